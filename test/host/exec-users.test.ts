// `machinectl exec` for callers that are not root, in a booted host: through machined-exec and polkit.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

let bed: Bed;

/** A polkit rule: testuser may run `id` and the commands of these tests as root of deb1. */
const RULE = `polkit.addRule(function(action, subject) {
  if (action.id == "org.freedesktop.machine1.shell" && subject.user == "allowed" && action.lookup("machine") == "deb1" &&
      action.lookup("user") == "root" && action.lookup("program") != "passwd") return polkit.Result.YES;
});`;

describe.skipIf(isStock)(isStock ? "exec for users (left out: a feature of machined)" : "exec for users", () => {
  beforeAll(async () => {
    bed = await Bed.boot("execute-users", ["polkitd"]);
    await bed.install();
    await bed.startContainer("deb1");
    const rule = Buffer.from(RULE).toString("base64");
    await run(`useradd -m allowed; useradd -m denied
      mkdir -p /etc/polkit-1/rules.d; base64 -d <<<'${rule}' > /etc/polkit-1/rules.d/10-exec.rules
      chmod 644 /etc/polkit-1/rules.d/10-exec.rules; systemctl restart polkit`);
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  function run(script: string, timeoutSeconds = 200): Promise<string> {
    const wrapped = Buffer.from(script).toString("base64");
    return bed.run(`bash -c "$(base64 -d <<<'${wrapped}')"`, timeoutSeconds);
  }

  /** Runs a shell script as a user of the host; returns output and exit status. */
  function as(user: string, script: string): Promise<string> {
    const wrapped = Buffer.from(script).toString("base64");
    return run(
      `setpriv --reuid=${user} --regid=${user} --init-groups -- bash -c "$(base64 -d <<<'${wrapped}')" 2>&1; echo "|$?"`,
    );
  }

  test(
    "polkit gets machine, user and program, and streams and exit statuses are the same as for root",
    async () => {
      expect(await as("allowed", "machinectl exec deb1 id -u")).toBe("0\n|0");
      expect(await as("allowed", "seq 1 100000 | machinectl exec deb1 wc -l")).toBe("100000\n|0");
      expect(await as("allowed", "machinectl exec deb1 sh -c 'echo out; echo err >&2; exit 7' 2>/dev/null")).toBe(
        "out\n|7",
      );
      expect(await as("allowed", "machinectl exec deb1 /nonexistent 2>/dev/null")).toBe("|127");
      expect(await as("allowed", "machinectl exec --no-ask-password testuser@deb1 id")).toMatch(
        /Access denied.*\n\|125$/,
      );
      expect(await as("allowed", "machinectl exec --no-ask-password deb1 passwd")).toMatch(/Access denied.*\n\|125$/);
      expect(await as("denied", "machinectl exec --no-ask-password deb1 id")).toMatch(/Access denied.*\n\|125$/);
      expect(await as("allowed", "machinectl exec --no-ask-password .host id")).toMatch(/Access denied.*\n\|125$/);
    },
    GUARD_MS,
  );

  test(
    "commands that are left running leave no process in machined-exec, and the next command removes their cgroups",
    async () => {
      const service = "/sys/fs/cgroup/system.slice/machined-exec.service/cgroup.procs";
      const leave = "machinectl exec --detach deb1 sleep 4711 | cut -d' ' -f2";
      const cgroups = (await as("allowed", `for i in 1 2 3; do ${leave}; done`)).split("\n").slice(0, 3);
      for (const cgroup of cgroups) expect(cgroup).toMatch(/^\/sys\/fs\/cgroup\/.*\/\.machined-exec-/);
      expect(await run(`cat $(find $(dirname ${service}) -name cgroup.procs) | wc -l`)).toBe("1");
      await run("machinectl exec deb1 pkill -fx 'sleep 4711'");
      await run(`until ! ls -d ${cgroups.join(" ")} 2>/dev/null | grep -q .; do machinectl exec deb1 true; done`);
    },
    GUARD_MS,
  );

  test(
    "a command has the machine's privileges, and does not run in the sandbox of machined-exec",
    async () => {
      const lines = "grep -E '^(CapBnd|NoNewPrivs):' /proc/self/status";
      expect(await as("allowed", `machinectl exec deb1 ${lines}`)).toBe(
        `${await run(`machinectl exec deb1 ${lines}`)}\n|0`,
      );
    },
    GUARD_MS,
  );

  test(
    "the journal has a line for each call, with the caller",
    async () => {
      await as("allowed", "machinectl exec deb1 sh -c 'exit 43'; true");
      const uid = await run("id -u allowed");
      const found = await run(`journalctl --sync; journalctl -q -o cat CALLER_UID=${uid} EXIT_STATUS=43 | tail -n 1`);
      expect(found).toBe(`User ${uid} ran 'sh' as root in machine 'deb1', exit status 43`);
    },
    GUARD_MS,
  );

  test(
    "signals are passed to the command, which gets SIGHUP when its caller is killed",
    async () => {
      for (const [signal, status] of [
        ["INT", "130"],
        ["TERM", "143"],
        ["KILL", "137"],
      ]) {
        const left = await as(
          "allowed",
          `set -m; machinectl exec deb1 sleep 4712 & caller=$!
          until machinectl exec deb1 pgrep -x sleep -a | grep -q 4712; do sleep .1; done
          kill -${signal} $caller; wait $caller 2>/dev/null; status=$?
          while machinectl exec deb1 pgrep -x sleep -a | grep -q 4712; do sleep .1; done; echo $status`,
        );
        expect(left.split("\n").slice(-2)).toEqual([status ?? "", "|0"]);
      }
    },
    GUARD_MS,
  );

  test(
    "a terminal is one of the machine, belongs to the command's user, and has the caller's size, also for root",
    async () => {
      const inside = (user: string) =>
        `machinectl exec -t ${user}deb1 sh -c 'stty size; tty; stat -c %U \\$(tty); echo by name >\\$(tty); exit 5'`;
      const script = (user: string) =>
        `script -qec "stty rows 33 cols 101; ${inside(user)}" /dev/null </dev/null | tr -d '\\0\\r'; echo \${PIPESTATUS[0]}`;
      // The terminal shows as ^@ what script(1) writes at the end of its own input, at any time.
      const shown = (output: string) => output.replace(/\n\|0$/, "").replaceAll("^@", "");
      const expected = (user: string) => new RegExp(`^33 101\n/dev/pts/\\d+\n${user}\nby name\n5$`);
      expect(shown(await as("allowed", script("")))).toMatch(expected("root"));
      expect(shown(await run(script("testuser@")))).toMatch(expected("testuser"));
      const interrupted = `script -qec "machinectl exec -t deb1 sh -c 'kill -INT \\$\\$; sleep 1000'" /dev/null </dev/null`;
      expect(await as("allowed", `${interrupted} >/dev/null; echo $?`)).toBe("130\n|0");
      const missing = await as("allowed", `script -qec "machinectl exec -t deb1 /nonexistent" /dev/null </dev/null`);
      expect(missing.replaceAll("^@", "")).toMatch(/nonexistent[^\n]*\n\|127$/);
    },
    GUARD_MS,
  );

  test(
    "the number of commands of a user is limited, and other users can still run theirs",
    async () => {
      const script = `for i in $(seq 40); do machinectl exec deb1 sleep 4713 2>>/tmp/limits & done
        until [[ $(grep -c 'has 32 commands' /tmp/limits) == 8 ]]; do sleep .1; done
        kill $(jobs -p) 2>/dev/null; wait; grep -c 'has 32 commands' /tmp/limits`;
      expect(await as("allowed", script)).toMatch(/\n?8\n\|0$/);
      expect(await run("machinectl exec deb1 true; echo $?")).toBe("0");
    },
    GUARD_MS,
  );

  test(
    "where the service is missing, the message says what helps",
    async () => {
      await run("systemctl stop machined-exec.socket machined-exec.service");
      expect(await as("allowed", "machinectl exec deb1 id")).toMatch(
        /machined install --now.*systemctl start machined-exec.socket.*\n\|125$/,
      );
      await run("systemctl start machined-exec.socket");
    },
    GUARD_MS,
  );
});
