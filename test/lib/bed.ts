// A booted Debian in systemd-nspawn for one test file; see test/host/bed. Whatever ends the tests ends the bed.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BED, TREES, type Tree } from "./host-suite.ts";
import { TOP } from "./run-tests.ts";
import { GUARD_MS, WAIT_MS } from "./wait-for.ts";

/** Which Debian the tests of this process boot. */
export const tree: Tree = treeOf(process.env["BED_TREE"] ?? "bookworm");
export const systemdVersion: number = TREES[tree];
/** Test the distribution's programs instead of ours: what fails there is wrong in the test. */
export const isStock = process.env["MACHINED_HOST_STOCK"] === "1";

const DIST = process.env["MACHINED_DIST"] ?? join(TOP, "dist");
const RUNNING = "/run/machined-bed";
const beds = new Set<Bed>();

/** How long a script may take in all. */
const GUARD_SECONDS = GUARD_MS / 1000;

/** Waiting for a condition, for scripts. One line, so that the numbers of a script's lines stay. */
export const WAIT_FOR =
  `wait_for() { local end=$((SECONDS + ${WAIT_MS / 1000})); until "$@"; do ` +
  '[ "$SECONDS" -lt "$end" ] || { echo "waited in vain for: $*"; return 1; }; sleep .1; done; }; ';

interface Outcome {
  readonly code: number;
  readonly output: string;
}

function treeOf(name: string): Tree {
  if (name in TREES) return name as Tree; // the line before is the check
  throw new Error(`BED_TREE=${name}: known are ${Object.keys(TREES).join(", ")}`);
}

export class Bed {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /**
   * Boots a fresh bed of this process's tree, with the folder of the executable at /srv/machined. With more Debian
   * packages it is a tree of its own, which is kept. `options` are those of `bed boot`.
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
   * Runs a bash script in the bed as root; its standard output and error come back as one text. It has `wait_for COMMAND
   * [ARGUMENT…]`, which tries a command until it succeeds.
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

  /** Like `exec`; returns the output, and throws where the script fails. */
  async run(script: string, timeoutSeconds = GUARD_SECONDS): Promise<string> {
    const { code, output } = await this.exec(script, timeoutSeconds);
    if (code !== 0) throw new Error(`'${script}' ended with ${code}: ${output}`);
    return output.trim();
  }

  /** Puts a bootable container tree at /var/lib/machines/NAME. */
  async inner(machine: string): Promise<void> {
    const { code, output } = await run([BED, "inner", this.name, machine]);
    if (code !== 0) throw new Error(output);
  }

  /** Boots a container, made by `inner` where there is none, to the end of its boot. */
  async startContainer(machine: string): Promise<void> {
    const { code } = await this.exec(`test -d /var/lib/machines/${machine}`);
    if (code !== 0) await this.inner(machine);
    await this.run(`systemctl start systemd-nspawn@${machine}.service
      booted() { case $(systemctl -M ${machine} is-system-running) in running|degraded) ;; *) false;; esac; }
      wait_for booted`);
  }

  /** Lets the program under test take over; with the distribution's programs there is nothing to do. */
  async install(): Promise<string> {
    return isStock ? "" : this.run("/srv/machined/machined install --now");
  }

  async uninstall(): Promise<string> {
    return isStock ? "" : this.run("machined uninstall --now");
  }

  /** Reboots the bed from inside, to the end of its next boot; returns what its console showed since it was made. */
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

/** A connection to the bed's service manager that ended before the script was started. */
const NOT_STARTED = /^Failed to start transient service unit: (Transport endpoint is not connected|Connection reset)/;

async function run(command: string[]): Promise<Outcome> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, output: stdout + stderr };
}

/** Beds whose test process was killed without a chance to end them. */
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
