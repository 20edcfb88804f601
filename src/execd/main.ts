// machined-exec: runs commands in machines for callers that are not root (io.machined.Exec). It is a service of its
// own, started by its socket, because children of systemd-machined inherit its sandbox, which a command in a machine
// must not have.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { version } from "../../package.json";
import { IoMachinedExec } from "../api/varlink/io-machined-exec.ts";
import { ErrnoError, hostFaultOf } from "../base/error.ts";
import { type HelpText, helpWidth, layOutHelp } from "../base/text/help-text.ts";
import { serviceVarlink } from "../daemon/control.ts";
import { DaemonLog } from "../daemon/log.ts";
import { Authority } from "../daemon/permission/authority.ts";
import { Peers } from "../ipc/peers.ts";
import { runtimeDirectory } from "../ipc/runtime-directory.ts";
import type { VarlinkCall } from "../ipc/varlink/server.ts";
import { VarlinkServer } from "../ipc/varlink/server.ts";
import { listenFds, notifyReady, notifyStopping } from "../kernel/socket/notify.ts";
import { listenUnix } from "../kernel/socket/unix.ts";
import { print } from "../kernel/terminal/print.ts";
import { Commands } from "./commands.ts";
import { type RunContext, type RunParameters, runCommand } from "./run.ts";

/** After this time without a call, a service that its socket started exits. */
const IDLE_MS = 30_000;
/**
 * Signals that are forwarded to commands: HUP, INT, QUIT, USR1, USR2, TERM, WINCH. Others would act on machined-enter
 * itself.
 */
const SIGNALS = [1, 2, 3, 10, 12, 15, 28];

const HELP: HelpText = {
  usage: "machined-exec",
  about: [
    "Runs commands in machines for callers that are not root. It is started by machined-exec.socket; without that it listens at /run/systemd/machine/io.machined.Exec by itself.",
  ],
};

class Service {
  readonly #log = new DaemonLog("machined-exec", "auth");
  readonly #authority = new Authority({ kind: "system" });
  readonly #commands = new Commands(() => this.#touch());
  readonly #server: VarlinkServer;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isActivated = false;
  #stop: (code: number) => void = () => {};

  constructor() {
    const around: RunContext = { commands: this.#commands, authority: this.#authority };
    this.#server = new VarlinkServer({
      product: "machined-exec",
      version,
      peers: new Peers(),
      interfaces: [
        {
          table: IoMachinedExec,
          handlers: {
            Run: (call, parameters: RunParameters) => runCommand(call, parameters, around),
            Signal: (call, parameters: { id: string; signal: number | bigint | string }) =>
              this.#signal(call, parameters.id, Number(parameters.signal)),
          },
        },
        serviceVarlink(this.#log),
      ],
      bug: (error, where) => this.#bug(error, where),
      debug: (message) => this.#log.debug(message),
      called: () => this.#touch(),
    });
  }

  async run(): Promise<number> {
    const stopped = new Promise<number>((resolve) => {
      this.#stop = resolve;
    });
    process.on("uncaughtException", (error) => this.#bug(error, "a callback"));
    process.on("unhandledRejection", (error) => this.#bug(error, "a promise"));
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stop(0));
    this.#listen();
    notifyReady();
    this.#touch();
    const code = await stopped;
    notifyStopping();
    this.#commands.hangUp();
    this.#authority.close();
    this.#server.close();
    return code;
  }

  async #signal(call: VarlinkCall, id: string, signal: number): Promise<void> {
    const { uid } = await call.caller();
    if (!SIGNALS.includes(signal)) {
      throw new ErrnoError("EINVAL", `Signal ${signal} cannot be sent to a command, only ${SIGNALS.join(", ")}`);
    }
    if (!this.#commands.signal(uid, id, signal)) throw new ErrnoError("ESRCH", `There is no running command '${id}'`);
  }

  #listen(): void {
    const inherited = listenFds();
    this.#isActivated = inherited.length > 0;
    for (const { fd } of inherited) this.#server.listen(fd);
    if (this.#isActivated) return;
    const path = `${runtimeDirectory()}/machine/io.machined.Exec`;
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    this.#server.listen(listenUnix(path, { mode: 0o666 }));
  }

  /** Restarts the timer of the idle exit; to be called for each call. */
  #touch(): void {
    if (!this.#isActivated) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#commands.size === 0 && this.#server.connections === 0) this.#stop(0);
      else this.#touch();
    }, IDLE_MS);
  }

  #bug(error: unknown, where: string): void {
    if (hostFaultOf(error) !== null) this.#log.error(`Failed in ${where}: ${(error as Error).message}`);
    else this.#log.error(`Bug in ${where}: ${(error as Error).stack ?? error}`);
  }
}

/** Runs the program; returns its exit code. */
export async function main(args: string[]): Promise<number> {
  if (args.length === 0) return new Service().run();
  print(layOutHelp(HELP, helpWidth(process.stdout, process.env)));
  return args[0] === "--help" || args[0] === "-h" ? 0 : 1;
}
