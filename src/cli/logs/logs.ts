// `machinectl logs`: prints the log of a machine that runs or has ended; with -f also new entries, over restarts of the
// machine.
import { programPath } from "../../kernel/process/program-path.ts";
import type { MachineFacts } from "../machine/details.ts";
import { CONNECTION_LOST, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { journalArguments, modeOf, type Reading } from "./arguments.ts";
import { JournalReader } from "./reader.ts";
import { factsOf, findSource, nothingToShow, type Source } from "./source.ts";

const MANAGER = { sender: "org.freedesktop.machine1", path: "/org/freedesktop/machine1" } as const;
const POLL_MS = 250;
/** How long to wait for the journal of a machine that was started again, before its console is shown instead. */
const JOURNAL_WAIT_MS = 20_000;
/** Exit statuses above this are 128 plus the number of a signal. */
const KILLED = 128;
/**
 * How often in a row journalctl may end in a machine that continues to run. While a machine shuts down, which may take
 * long, each new journalctl is terminated.
 */
const MOST_ENDS = 400;
/** The exit status of `exec` if the machine ended before the command ran. */
const NOT_ENTERED = 125;

/** Notices starts of one machine. */
class Follower {
  readonly #session: Session;
  readonly #name: string;
  #started = Promise.withResolvers<"started">();
  readonly #lost = Promise.withResolvers<never>();

  constructor(session: Session, name: string) {
    this.#session = session;
    this.#name = name;
  }

  /** Subscribes to starts of the machine. */
  async watch(): Promise<void> {
    const bus = await this.#session.managerConnection("signals");
    // It counts only while a start is waited for.
    this.#lost.promise.catch(() => {});
    bus.onClose(() => this.#lost.reject(new Failure(CONNECTION_LOST)));
    await bus.subscribe({ ...MANAGER, member: "MachineNew", arg0: this.#name }, () => this.#started.resolve("started"));
  }

  /** Rejects when no start can be noticed any more. */
  get lost(): Promise<never> {
    return this.#lost.promise;
  }

  /** Resolves at the first start of the machine after the last call of forget(). */
  get started(): Promise<"started"> {
    return this.#started.promise;
  }

  /** Replaces `started` by a promise for the next start. */
  forget(): void {
    this.#started = Promise.withResolvers();
  }
}

function sinceOf(facts: MachineFacts | null): number | null {
  return facts === null || facts.sinceUsec === 0n ? null : Number(facts.sinceUsec);
}

/** One run of the verb. */
class LogView {
  readonly #session: Session;
  readonly #name: string;
  readonly #follower: Follower;
  #interrupted = false;
  readonly #interrupt: { readonly promise: Promise<void>; stop(): void };
  /** The key of the source that was announced last. */
  #shown: string | null = null;
  /** How often in a row journalctl has ended while the machine continued to run. */
  #ends = 0;

  constructor(session: Session, name: string) {
    this.#session = session;
    this.#name = name;
    this.#follower = new Follower(session, name);
    this.#interrupt = session.ports.interrupted("or-reader-left");
    void this.#interrupt.promise.then(() => {
      this.#interrupted = true;
    });
  }

  async run(): Promise<number> {
    try {
      return await this.#show();
    } finally {
      this.#interrupt.stop();
    }
  }

  async #show(): Promise<number> {
    const { follow } = this.#session.settings.log;
    if (follow) await this.#follower.watch();
    let source = await findSource(this.#session, this.#name);
    if (source === null) throw await nothingToShow(this.#session, this.#name);
    let reading: Reading = { sinceUsec: null, before: null, follows: follow && source.canFollow, isNewStart: false };
    for (;;) {
      this.#announce(source);
      const reader = await this.#start(source, reading);
      const status = await this.#untilEnd(reader, source, reading.follows);
      if (status !== NOT_ENTERED) reader.printErrors();
      // journalctl was ended where nobody reads its output any more; the client handles a failure of standard output,
      // not this verb.
      if (this.#interrupted || this.#session.output.isOver) return 0;
      if (!follow) return status;
      const next = await this.#next(source, reading, status);
      if (typeof next === "number") {
        if (!this.#interrupted) reader.printErrors();
        return next;
      }
      if (this.#interrupted) return 0;
      reading =
        next.key === source.key
          ? // journalctl --follow shows only the current boot, so a run without it reads the rest of the boot before.
            {
              sinceUsec: reader.resumeUsec,
              before: reader,
              follows: !reading.follows && status === 0 && source.canFollow,
              isNewStart: next.facts?.leaderPid !== source.facts?.leaderPid,
            }
          : {
              sinceUsec: sinceOf(next.facts) ?? reader.resumeUsec,
              before: null,
              follows: next.canFollow,
              isNewStart: false,
            };
      source = next;
    }
  }

  /** Returns the source of the next run after one has ended, or the exit status if there is no next one. */
  async #next(source: Source, { follows }: Reading, status: number): Promise<Source | number> {
    // journalctl of newer releases exits with 0 on SIGTERM, which it gets when the machine shuts down.
    const isCutOff = source.endsWithMachine && (status === 0 || status > KILLED || status === NOT_ENTERED);
    if (source.canFollow && !follows && status === 0) return source;
    if (!source.canFollow) await this.#untilStarted();
    else if (!isCutOff && status !== 0) return status;
    else if (isCutOff) {
      await this.#untilBack();
      this.#ends =
        (await factsOf(this.#session, this.#name))?.leaderPid === source.facts?.leaderPid ? this.#ends + 1 : 0;
      if (this.#ends > MOST_ENDS || (this.#ends > 0 && status === 0 && this.#session.settings.until !== ""))
        return status;
    }
    if (this.#interrupted) return 0;
    const next = await this.#sourceAfter(source);
    if (next === null) throw await nothingToShow(this.#session, this.#name);
    return next;
  }

  /**
   * Returns the source to continue with. If the last one was the journal inside the machine, waits until the machine
   * runs and, for JOURNAL_WAIT_MS, until it has a journal again.
   */
  async #sourceAfter(last: Source): Promise<Source | null> {
    let untilMs = performance.now() + JOURNAL_WAIT_MS;
    for (;;) {
      const source = await findSource(this.#session, this.#name);
      if (this.#interrupted || !last.endsWithMachine || source?.endsWithMachine === true) return source;
      const hasEnded = (await factsOf(this.#session, this.#name)) === null;
      if (!hasEnded && performance.now() > untilMs) return source;
      if (hasEnded) {
        await this.#untilStarted();
        untilMs = performance.now() + JOURNAL_WAIT_MS;
      }
      await Promise.race([Bun.sleep(POLL_MS), this.#interrupt.promise]);
    }
  }

  /** Prints a line about the source, unless it is the one before. */
  #announce({ key, says }: Source): void {
    if (this.#shown !== key && !this.#session.settings.quiet) this.#session.report.info(`Showing ${says}`);
    this.#shown = key;
  }

  async #start(source: Source, reading: Reading): Promise<JournalReader> {
    this.#follower.forget();
    const args = await journalArguments(this.#session, source, reading);
    const mode = modeOf(this.#session.settings);
    // Errors of `exec` from a machine that has just ended are not shown to a reader who waits for its next start.
    const keepsErrors = this.#session.settings.log.follow && source.endsWithMachine;
    const reader = new JournalReader(this.#session, source.start(args), mode, { ...reading, keepsErrors });
    void this.#interrupt.promise.then(() => reader.end());
    return reader;
  }

  /**
   * Waits until journalctl ends. When the machine is started and has a better source, ends journalctl and returns 0.
   */
  async #untilEnd(reader: JournalReader, source: Source, follows: boolean): Promise<number> {
    while (follows && !source.endsWithMachine) {
      const event = await Promise.race([reader.ended, this.#follower.started]);
      if (event !== "started") return event;
      this.#follower.forget();
      const better = await findSource(this.#session, this.#name);
      if (better !== null && better.key !== source.key) {
        reader.end();
        await reader.ended;
        return 0;
      }
    }
    return reader.ended;
  }

  /** Waits until the machine runs, if it does not; it may be about to end. */
  async #untilBack(): Promise<void> {
    await Promise.race([Bun.sleep(POLL_MS), this.#interrupt.promise]);
    if (!this.#interrupted && (await factsOf(this.#session, this.#name)) === null) await this.#untilStarted();
  }

  async #untilStarted(): Promise<void> {
    const { report, settings } = this.#session;
    if (!settings.quiet) report.info(`Machine '${this.#name}' does not run; waiting until it is started`);
    await Promise.race([this.#follower.started, this.#follower.lost, this.#interrupt.promise]);
    this.#follower.forget();
    if (!this.#interrupted && !settings.quiet) report.info(`Machine '${this.#name}' was started`);
  }
}

/** The verb `logs`. Returns 0 after Ctrl-C, else the exit status of journalctl. */
export async function logs(session: Session, [name = ""]: readonly string[]): Promise<number> {
  const { settings } = session;
  if (settings.transport.kind !== "local") {
    throw new Failure("logs reads journals of machines of this host only: use 'ssh HOST machinectl logs NAME'");
  }
  if (programPath("journalctl") === null) throw new Failure("Cannot read journals: journalctl(1) is not installed");
  if (!settings.log.follow) await session.openPager();
  return await new LogView(session, name).run();
}
