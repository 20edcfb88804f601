// A Debian that is booted in systemd-nspawn for one test file ("bed"; see test/host/bed). It is stopped when the test
// process ends, for whatever reason.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BED, TREES, type Tree } from "./host-suite.ts";
import { TOP } from "./run-tests.ts";
import { GUARD_MS, WAIT_MS } from "./wait-for.ts";

/** The Debian that the tests of this process boot, from $BED_TREE. */
export const tree: Tree = treeOf(process.env["BED_TREE"] ?? "bookworm");
export const systemdVersion: number = TREES[tree];
/** Whether the distribution's programs are tested instead of this project's. A test that fails with them is wrong. */
export const isStock = process.env["MACHINED_HOST_STOCK"] === "1";

const DIST = process.env["MACHINED_DIST"] ?? join(TOP, "dist");
const RUNNING = "/run/machined-bed";
const beds = new Set<Bed>();

/** The time limit of a script. */
const GUARD_SECONDS = GUARD_MS / 1000;

/**
 * A shell function that waits for a condition. It is one line, so that line numbers in messages are those of the
 * script.
 */
export const WAIT_FOR =
  `wait_for() { local end=$((SECONDS + ${WAIT_MS / 1000})); until "$@"; do ` +
  '[ "$SECONDS" -lt "$end" ] || { echo "waited in vain for: $*"; return 1; }; sleep .1; done; }; ';

interface Outcome {
  readonly code: number;
  readonly output: string;
}

function treeOf(name: string): Tree {
  if (name in TREES) return name as Tree; // checked by the condition
  throw new Error(`BED_TREE=${name}: known are ${Object.keys(TREES).join(", ")}`);
}

/** A booted bed. */
export class Bed {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /**
   * Boots a new bed from this process's tree, with the executable's directory at /srv/machined. With further Debian
   * packages, it is booted from a tree of its own, which is cached. `options` are those of `bed boot`.
   */
  static async boot(label: string, packages: readonly string[] = [], options: readonly string[] = []): Promise<Bed> {
    stopOrphans();
    const bed = new Bed(`t-${label}-${tree}-${process.pid}`);
    beds.add(bed);
    const source = packages.length === 0 ? tree : `${tree}-${label}`;
    if (source !== tree) {
      const derived = await run([BED, "derive", tree, source, "--", ...packages]);
      if (derived.code !== 0) throw new Error(`The bed's tree was not made: ${derived.output}`);
    }
    const { code, output } = await run([
      BED,
      "boot",
      source,
      "--name",
      bed.name,
      "--bind-ro",
      `${DIST}:/srv/machined`,
      ...options,
    ]);
    if (code !== 0) throw new Error(`The bed did not boot: ${output}`);
    return bed;
  }

  /**
   * Runs a bash script in the bed as root; returns its exit status, and stdout and stderr as one text. In the script,
   * `wait_for COMMAND [ARGUMENT…]` repeats a command until it succeeds.
   */
  async exec(script: string, timeoutSeconds = GUARD_SECONDS): Promise<Outcome> {
    const outcome = await this.#tryExec(script, timeoutSeconds);
    return NOT_STARTED.test(outcome.output) ? this.#tryExec(script, timeoutSeconds) : outcome;
  }

  #tryExec(script: string, timeoutSeconds: number): Promise<Outcome> {
    return run([
      BED,
      "exec",
      this.name,
      "--timeout",
      String(timeoutSeconds),
      "--",
      "bash",
      "-c",
      `exec 2>&1; ${WAIT_FOR}${script}`,
    ]);
  }

  /** Like exec(), but returns the output only, and throws if the script fails. */
  async run(script: string, timeoutSeconds = GUARD_SECONDS): Promise<string> {
    const { code, output } = await this.exec(script, timeoutSeconds);
    if (code !== 0) throw new Error(`'${script}' ended with ${code}: ${output}`);
    return output.trim();
  }

  /** Makes a bootable container tree at /var/lib/machines/NAME in the bed. */
  async inner(machine: string): Promise<void> {
    const { code, output } = await run([BED, "inner", this.name, machine]);
    if (code !== 0) throw new Error(output);
  }

  /** Boots a container and waits until it has booted; its tree is made by inner() if there is none. */
  async startContainer(machine: string): Promise<void> {
    const { code } = await this.exec(`test -d /var/lib/machines/${machine}`);
    if (code !== 0) await this.inner(machine);
    await this.run(`systemctl start systemd-nspawn@${machine}.service
      booted() { case $(systemctl -M ${machine} is-system-running) in running|degraded) ;; *) false;; esac; }
      wait_for booted`);
  }

  /** Installs the program under test and returns the output; does nothing if the distribution's programs are tested. */
  async install(): Promise<string> {
    return isStock ? "" : this.run("/srv/machined/machined install --now");
  }

  /** Uninstalls the program under test and returns the output. */
  async uninstall(): Promise<string> {
    return isStock ? "" : this.run("machined uninstall --now");
  }

  /**
   * Reboots the bed from inside and waits until it has booted; returns all output on its console since its first boot.
   */
  async reboot(): Promise<string> {
    const { code, output } = await run([BED, "reboot", this.name]);
    if (code !== 0) throw new Error(`The bed did not reboot: ${output}`);
    return readFileSync(join(RUNNING, this.name, "console"), "latin1");
  }

  async stop(): Promise<void> {
    beds.delete(this);
    await run([BED, "stop", this.name]);
  }

  stopNow(): void {
    beds.delete(this);
    Bun.spawnSync([BED, "stop", this.name], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  }
}

/** The error if the connection to the bed's service manager was closed before the script was started. */
const NOT_STARTED = /^Failed to start transient service unit: (Transport endpoint is not connected|Connection reset)/;

async function run(command: string[]): Promise<Outcome> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, output: stdout + stderr };
}

/** Stops beds whose test process was killed before it could stop them. */
function stopOrphans(): void {
  for (const name of readRunning()) {
    const pid = /^t-.*-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) Bun.spawnSync([BED, "stop", name], { stdin: "ignore" });
  }
}

function readRunning(): string[] {
  try {
    return readdirSync(RUNNING);
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

process.on("exit", () => {
  for (const bed of beds) bed.stopNow();
});
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.on(signal, () => process.exit(code));
}
