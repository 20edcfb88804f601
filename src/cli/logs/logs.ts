// `machinectl logs`: what a machine logged, now or before it ended; with -f what it logs from now on, also when it is started
// anew.
import type { MachineFacts } from "../machine/details.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { type Settings, tableJsonMode } from "../session/settings.ts";
import { JournalReader } from "./reader.ts";
import { factsOf, findSource, nothingToShow, type Source } from "./source.ts";

const MANAGER = { sender: "org.freedesktop.machine1", path: "/org/freedesktop/machine1" } as const;
const LOOK_AGAIN_MS = 250;
/** How long a machine that was started anew may take until it has a journal again, before its console is shown instead. */
const JOURNAL_PATIENCE_MS = 20_000;
const KILLED = 128;
/** How often in a row journalctl may end in a machine that goes on running: as often as in one that takes long to shut down. */
const MOST_ENDS = 400;
/** What `exec` returns where the machine went away before the command ran. */
const NOT_ENTERED = 125;

/** The output mode: `-o`, or what --json= means for entries. */
function modeOf(settings: Settings): string {
  if (settings.json === "off") return settings.output;
  return tableJsonMode(settings) === "pretty" ? "json-pretty" : "json";
}

/** One reading of a source. */
interface Reading {
  /** Where it begins, µs; null for what the options say. */
  readonly sinceUsec: number | null;
  /** The interrupted reading that it goes on with. */
  readonly before: JournalReader | null;
  readonly follows: boolean;
}

/** The arguments of journalctl. */
function journalArguments(settings: Settings, source: Source, { sinceUsec, follows }: Reading): string[] {
  const { since, until } = settings;
  const { unit, pattern, lines } = settings.log;
  if (unit !== null && !source.hasUnits) {
    throw new Failure(`--unit= selects units inside a machine, and this is ${source.says}`);
  }
  const from = sinceUsec === null ? since : `@${(sinceUsec / 1e6).toFixed(6)}`;
  const most = sinceUsec === null ? lines : "all";
  return [
    "--no-pager",
    `--output=${modeOf(settings)}`,
    ...(settings.all ? ["--all"] : []),
    // Between the readings of one call there are no headings.
    ...(settings.quiet || sinceUsec !== null ? ["--quiet"] : []),
    ...(most === null ? [] : [`--lines=${most}`]),
    ...(from === "" ? [] : [`--since=${from}`]),
    ...(until === "" ? [] : [`--until=${until}`]),
    ...(unit === null ? [] : [`--unit=${unit}`]),
    ...(pattern === null ? [] : [`--grep=${pattern}`]),
    ...(follows ? ["--follow"] : []),
  ];
}

/** Follows one machine through its lives. */
class Follower {
  readonly #session: Session;
  readonly #name: string;
  #started = Promise.withResolvers<"started">();

  constructor(session: Session, name: string) {
    this.#session = session;
    this.#name = name;
  }

  /** From now on starts of the machine are noticed. */
  async watch(): Promise<void> {
    const bus = await this.#session.managerConnection();
    await bus.subscribe({ ...MANAGER, member: "MachineNew", arg0: this.#name }, () => this.#started.resolve("started"));
  }

  /** Resolves when the machine is started, from the last call of `forget()` on. */
  get started(): Promise<"started"> {
    return this.#started.promise;
  }

  forget(): void {
    this.#started = Promise.withResolvers();
  }
}

function sinceOf(facts: MachineFacts | null): number | null {
  return facts === null || facts.sinceUsec === 0n ? null : Number(facts.sinceUsec);
}

class LogView {
  readonly #session: Session;
  readonly #name: string;
  readonly #follower: Follower;
  #interrupted = false;
  readonly #interrupt: { readonly promise: Promise<void>; stop(): void };
  #shown: string | null = null;
  #ends = 0;

  constructor(session: Session, name: string) {
    this.#session = session;
    this.#name = name;
    this.#follower = new Follower(session, name);
    this.#interrupt = session.ports.interrupted();
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
    let reading: Reading = { sinceUsec: null, before: null, follows: follow && source.canFollow };
    for (;;) {
      this.#say(source);
      const reader = this.#start(source, reading);
      const status = await this.#untilEnd(reader, source, reading.follows);
      if (!follow || this.#interrupted || this.#session.output.isOver) return this.#interrupted ? 0 : status;
      const next = await this.#next(source, reading, status);
      if (typeof next === "number") return next;
      if (this.#interrupted) return 0;
      reading =
        next.key === source.key
          ? // journalctl --follow shows the current boot alone: what is left of the last one is read without.
            {
              sinceUsec: reader.resumeUsec,
              before: reader,
              follows: !reading.follows && status === 0 && source.canFollow,
            }
          : { sinceUsec: sinceOf(next.facts) ?? reader.resumeUsec, before: null, follows: next.canFollow };
      source = next;
    }
  }

  /** The source of the next reading, or the exit status where there is none. */
  async #next(source: Source, { follows }: Reading, status: number): Promise<Source | number> {
    // Newer releases end with 0 when the machine's shutdown terminates them.
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

  /** The source to go on with. A machine whose journal was shown is waited for, and given time to open it again. */
  async #sourceAfter(last: Source): Promise<Source | null> {
    let untilMs = performance.now() + JOURNAL_PATIENCE_MS;
    for (;;) {
      const source = await findSource(this.#session, this.#name);
      if (this.#interrupted || !last.endsWithMachine || source?.endsWithMachine === true) return source;
      const hasEnded = (await factsOf(this.#session, this.#name)) === null;
      if (!hasEnded && performance.now() > untilMs) return source;
      if (hasEnded) {
        await this.#untilStarted();
        untilMs = performance.now() + JOURNAL_PATIENCE_MS;
      }
      await Promise.race([Bun.sleep(LOOK_AGAIN_MS), this.#interrupt.promise]);
    }
  }

  #say({ key, says }: Source): void {
    if (this.#shown !== key && !this.#session.settings.quiet) this.#session.report.info(`Showing ${says}`);
    this.#shown = key;
  }

  #start(source: Source, reading: Reading): JournalReader {
    const { settings } = this.#session;
    this.#follower.forget();
    const args = journalArguments(settings, source, reading);
    const reader = new JournalReader(this.#session, source.start(args), modeOf(settings), reading.before);
    void this.#interrupt.promise.then(() => reader.end());
    return reader;
  }

  /** Waits until journalctl ends; ends it when there is a better source because the machine was started. */
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

  /** Waits for the machine, which does not run or is about to end. */
  async #untilBack(): Promise<void> {
    await Promise.race([Bun.sleep(LOOK_AGAIN_MS), this.#interrupt.promise]);
    if (!this.#interrupted && (await factsOf(this.#session, this.#name)) === null) await this.#untilStarted();
  }

  async #untilStarted(): Promise<void> {
    const { report, settings } = this.#session;
    if (!settings.quiet) report.info(`Machine '${this.#name}' does not run; waiting until it is started`);
    await Promise.race([this.#follower.started, this.#interrupt.promise]);
    this.#follower.forget();
    if (!this.#interrupted && !settings.quiet) report.info(`Machine '${this.#name}' was started`);
  }
}

/** The verb `logs`. */
export async function logs(session: Session, [name = ""]: readonly string[]): Promise<number> {
  const { settings } = session;
  if (settings.transport.kind !== "local") {
    throw new Failure("Journals are read on the host of the machine: ssh HOST machinectl logs NAME");
  }
  if (Bun.which("journalctl") === null) throw new Failure("There is no journalctl on this host");
  if (!settings.log.follow) await session.openPager();
  return await new LogView(session, name).run();
}
