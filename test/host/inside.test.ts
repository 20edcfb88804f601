// Terminals, logins and shells in booted containers: one with a user namespace (deb1), one without (nu).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock, WAIT_FOR } from "../lib/bed.ts";
import { WAIT_FOR_FULL_PIPE } from "../lib/full-pipe.ts";
import { GUARD_MS, WAIT_MS, waitFor } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const OURS = isStock ? " (left out: a feature of machined)" : "";
const SHELLS = Number(process.env["MACHINED_SHELLS"] ?? 100);
const BYTES = Number(process.env["MACHINED_BYTES"] ?? 30_000_000);

let bed: Bed;

/** A container from deb1's tree without a user namespace, as `systemd-nspawn -x` starts it. */
const START_NU = `systemd-run --unit=nu -q -p KillMode=mixed -p Type=notify systemd-nspawn -q --keep-unit --register=yes \\
  -M nu -xb -D /var/lib/machines/deb1 --private-network --notify-ready=yes`;

beforeAll(async () => {
  bed = await Bed.boot("inside");
  await bed.install();
  await bed.startContainer("deb1");
  await run(START_NU);
}, TIMEOUT_MS);

afterAll(() => bed.stop(), GUARD_MS);

/** Runs a script in the bed, encoded, because `$$` and `${…}` would be replaced on the way. */
function run(script: string): Promise<string> {
  const wrapped = Buffer.from(WAIT_FOR + script).toString("base64");
  return bed.run(`bash -c "$(base64 -d <<<'${wrapped}')"`);
}

/**
 * Runs machinectl without a terminal, which has to exit with that status; returns its output without carriage returns.
 */
async function machinectl(words: string, input = "</dev/null", status = 0): Promise<string> {
  const output = await run(`machinectl ${words} ${input} | cat; echo "status \${PIPESTATUS[0]}"`);
  // The manager of the machine may end the context of an earlier shell on the same terminal now.
  const shown = output.replaceAll("\u001b", "^").replaceAll(/\^\]3008;end=[^^]*\^\\/g, "");
  const lines = shown.replaceAll("\r", "").split("\n");
  expect(lines.pop(), output).toBe(`status ${status}`);
  return lines.join("\n").trim();
}

for (const machine of ["deb1", "nu"]) {
  describe(machine, () => {
    test(
      "a program runs as root or as a user given by name or number, with unchanged arguments and variables",
      async () => {
        expect(await machinectl(`-q shell ${machine} /usr/bin/id -un`)).toBe("root");
        expect(await machinectl(`-q shell testuser@${machine} /usr/bin/id -un`)).toBe("testuser");
        expect(await machinectl(`-q shell --uid=65534 ${machine} /usr/bin/id -u`)).toBe("65534");
        const print = `-q shell -E 'A=b c' ${machine} /bin/sh -c 'printf "%s|" "$A" "$@"; echo' sh`;
        expect(await machinectl(`${print} 'x y' 'quo"te' "it's" ''`)).toBe(`b c|x y|quo"te|it's||`);
        expect(await machinectl(`-q shell ${machine} /bin/printf '%s' $'two\\nlines'`)).toBe("two\nlines");
      },
      TIMEOUT_MS,
    );

    test("C87 C88 machinectl succeeds also when the program fails, is killed or is missing", async () => {
      for (const program of ["/bin/false", "/nonexistent", "/bin/sh -c 'kill -9 $PPID'"]) {
        await machinectl(`-q shell ${machine} ${program}`);
      }
      await machinectl(`-q shell nosuchuser@${machine} /bin/true`);
    });

    test.skipIf(isStock)(
      `arguments are passed to the program unchanged, also with variables in them${OURS}`,
      async () => {
        const text = `$HOME \${PATH} $$ 100% \\n`;
        expect(await machinectl(`-q shell ${machine} /bin/printf '%s\\n' '${text}'`)).toBe(text);
      },
    );

    test.skipIf(isStock)(
      `M112 without a program the user's login shell runs, and reads from a pipe${OURS}`,
      async () => {
        const output = await machinectl(`-q shell testuser@${machine}`, "<<<'echo $0 $- $USER; shopt login_shell'");
        expect(output).toMatch(/^-?\S*bash \S*i\S* testuser$/m);
        expect(output).toMatch(/login_shell\s+on/);
      },
    );

    test(
      "C102 a user can log in at the prompt, which comes again after the logout",
      async () => {
        const script = `set timeout ${WAIT_MS / 1000}
          proc wait_for {text} { expect $text {} timeout { puts "no $text"; exit 1 } eof { puts "end, no $text"; exit 1 } }
          spawn env TERM=dumb machinectl login ${machine}
          wait_for "login:"; send "root\\r"
          wait_for "# "; send "echo IN-\\$((40+2)); tty\\r"
          wait_for "IN-42"
          wait_for "# "; send "exit\\r"
          wait_for "login:"; send "\\x1d\\x1d\\x1d"
          wait_for "terminated."
          expect eof`;
        const output = await run(`cat >/tmp/login.exp <<'X'\n${script}\nX\nexpect /tmp/login.exp`);
        // The unit of the prompt resets its terminal at its end; the next shell's terminal may have the same number.
        const states = "active,activating,deactivating";
        const units = `systemctl -M ${machine} list-units --no-legend --state=${states} "container-getty@*"`;
        await run(`wait_for sh -c '! ${units} | grep -q .' || { ${units}; false; }`);
        expect(output).toContain("IN-42");
        expect(output).toMatch(/\/dev\/pts\/\d/);
        // 257 and 262 have the two words in the wrong order.
        if (!isStock) expect(output).toEndWith(`Connection to machine ${machine} terminated.`);
      },
      TIMEOUT_MS,
    );

    test(
      "a program has three descriptors, a directory of the container, and no file of the host (CVE-2024-21626, CVE-2019-5736)",
      async () => {
        const output = await machinectl(
          `-q shell ${machine} /bin/sh -c 'ls /proc/self/fd; pwd; ls -l /proc/*/exe 2>&1 | grep -c machined'`,
        );
        // The fourth is the descriptor of ls itself.
        expect(output.replaceAll(/\s+/g, " ")).toBe("0 1 2 3 /root 0");
      },
      TIMEOUT_MS,
    );
  });
}

test("M112 shells can be opened on the local host, too", async () => {
  expect(await machinectl("-q shell .host /usr/bin/id -un")).toBe("root");
  expect(await machinectl("-q shell nobody@ /usr/bin/id -un")).toBe("nobody");
});

test(
  "M107 every call that opens something in a machine is refused for a user without permission",
  async () => {
    const output = await run(
      `useradd -m joe; for call in "OpenMachinePTY s deb1" "OpenMachineLogin s deb1" \\
        "OpenMachineShell sssasas deb1 root /bin/true 0 0" "OpenMachineRootDirectory s deb1" \\
        "CopyToMachine sss deb1 /etc/hostname /tmp/x" "BindMountMachine sssbb deb1 /etc /mnt 0 0"; do
      setpriv --reuid joe --regid joe --clear-groups busctl call org.freedesktop.machine1 /org/freedesktop/machine1 \\
        org.freedesktop.machine1.Manager $call; done; true`,
    );
    expect(output.split("\n")).toHaveLength(6);
    for (const line of output.split("\n")) expect(line).toMatch(/denied|authentication/);
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `with --wait-status the exit status is the program's${OURS}`,
  async () => {
    const script = `for c in 'exit 0' 'exit 7' 'kill -9 $$' 'sleep 1; exit 3'; do
        machinectl -q shell --wait-status deb1 /bin/sh -c "$c" </dev/null; echo -n "$? "; done
      machinectl -q shell --wait-status .host /bin/sh -c 'exit 9' </dev/null; echo $?`;
    expect(await run(script)).toBe("0 7 137 3 9");
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `much output arrives complete, also when it is read slowly${OURS}`,
  async () => {
    const output = await run(`(head -c ${BYTES - 1} /dev/urandom; echo) >/tmp/big
      machinectl copy-to deb1 /tmp/big /root/big; sha256sum </tmp/big
      machinectl -q shell deb1 /bin/sh -c 'stty -opost; exec cat /root/big' </dev/null | (${WAIT_FOR_FULL_PIPE}; sha256sum)
      machinectl -q shell deb1 /bin/sh -c 'stty -opost; exec cat /root/big' </dev/null >/tmp/out; sha256sum </tmp/out`);
    const [first, ...others] = output.split("\n");
    expect(others).toEqual([first as string, first as string]);
  },
  TIMEOUT_MS,
);

/**
 * Counts what shells could leave behind: the daemon's descriptors, programs on the host, processes in the container.
 */
async function countLeftovers(): Promise<{ descriptors: number; programs: number; inside: number }> {
  const output = await run(`set -eu -o pipefail
    pid=$(systemctl show -P MainPID systemd-machined); ls /proc/$pid/fd | wc -l
    ps -e -o args= | awk '/machine[c]tl|machined-worke[r]/ { n++ } END { print n + 0 }'
    namespace=$(readlink /proc/$(machinectl show -p Leader --value deb1)/ns/pid)
    for p in /proc/[0-9]*; do readlink $p/ns/pid || true; done | awk -v ns="$namespace" '$0 == ns { n++ } END { print n + 0 }'`);
  const counts = /^(\d+)\n(\d+)\n(\d+)$/.exec(output);
  if (counts === null) throw new Error(`The probe did not count: ${output}`);
  const [descriptors = 0, programs = 0, inside = 0] = counts.slice(1).map(Number);
  if (descriptors === 0 || inside === 0) throw new Error(`The probe looked at nothing: ${output}`);
  return { descriptors, programs, inside };
}

test.skipIf(isStock)(
  `${SHELLS} shells leave neither descriptors nor processes nor units behind${OURS}`,
  async () => {
    const before = await countLeftovers();
    const output = await run(
      `for i in $(seq ${SHELLS}); do machinectl -q shell deb1 /bin/echo $i </dev/null | cat; [ $PIPESTATUS = 0 ] || echo "status $PIPESTATUS"; done | tr -d '\\r' | md5sum
       seq ${SHELLS} | md5sum`,
    );
    const [shown, expected] = output.split("\n");
    expect(shown).toBe(expected as string);
    await run(`gone() { local units; units=$(systemctl -M deb1 list-units --all --no-legend 'container-shell@*') &&
      [ -z "$units" ]; }; wait_for gone`);
    await waitFor(async () => {
      const after = await countLeftovers();
      expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + 3);
      expect(after.programs).toBeLessThanOrEqual(before.programs);
      // The user's service manager ends some seconds later.
      expect(after.inside).toBeLessThanOrEqual(before.inside + 4);
    }, "everything to be left as it was");
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `a container that is stopped blocks its own callers for some seconds, and nobody else${OURS}`,
  async () => {
    const output = await run(`leader=$(machinectl show -p Leader --value deb1)
      all() { for p in /proc/[0-9]*; do [ $p/ns/pid -ef /proc/$leader/ns/pid ] && kill -$1 \${p#/proc/}; done; }
      all STOP
      # However slow the clients are, one of them comes back while another one is held up: it is tried until then.
      meanwhile() {
        machinectl -q shell deb1 /bin/true </dev/null & shell=$!
        for i in 1 2 3; do machinectl show deb1 >/dev/null && machinectl list >/dev/null || echo "a call failed"; done
        kill -0 $shell; held=$?
        wait $shell && echo "the shell ran"; return $held
      }
      wait_for meanwhile && echo meanwhile
      all CONT; machinectl -q shell deb1 /bin/echo alive </dev/null`);
    expect(output).toContain("\nmeanwhile\n");
    expect(output).not.toMatch(/the shell ran|a call failed/);
    expect(output).toContain("The system bus in container deb1 does not answer.");
    expect(output).toEndWith("alive");
  },
  TIMEOUT_MS,
);

test(
  "C103 a login ends with its machine",
  async () => {
    // The terminal's input stays open as long as the session runs.
    const output = await run(`mkfifo /tmp/input; exec 7<>/tmp/input; touch /tmp/login.out
      (wait_for grep -q login: /tmp/login.out && machinectl terminate nu) &
      TERM=dumb script -qec 'machinectl login nu' /dev/null </tmp/input >/tmp/login.out; wait $! && tail -1 /tmp/login.out`);
    expect(output).toContain("nu terminated.");
    if (!isStock) expect(output.trim()).toBe("Machine nu terminated.");
  },
  TIMEOUT_MS,
);
