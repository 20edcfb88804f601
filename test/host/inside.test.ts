// Terminals, logins and shells in booted containers: one with a user namespace (deb1), one without (nu).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const OURS = isStock ? " (left out: ours alone)" : "";
const SHELLS = Number(process.env["MACHINED_SHELLS"] ?? 100);
const BYTES = Number(process.env["MACHINED_BYTES"] ?? 30_000_000);

let bed: Bed;

/** A container of deb1's tree without a user namespace, as `systemd-nspawn -x` starts it. */
const START_NU = `systemd-run --unit=nu -q -p KillMode=mixed -p Type=notify systemd-nspawn -q --keep-unit --register=yes \\
  -M nu -xb -D /var/lib/machines/deb1 --private-network --notify-ready=yes`;

beforeAll(async () => {
  bed = await Bed.boot("inside");
  await bed.install();
  await bed.startContainer("deb1");
  await run(START_NU);
}, TIMEOUT_MS);

afterAll(() => bed.stop(), GUARD_MS);

/** Runs a script in the bed. It goes there in a wrapping: the way there takes `$$` and `${…}` for its own. */
function run(script: string, timeoutSeconds = 60): Promise<string> {
  const wrapped = Buffer.from(script).toString("base64");
  return bed.run(`bash -c "$(base64 -d <<<'${wrapped}')"`, timeoutSeconds);
}

/** Runs machinectl without a terminal; its output without carriage returns. */
async function machinectl(words: string, input = "</dev/null"): Promise<string> {
  const output = await run(`timeout 30 machinectl ${words} ${input} | cat`);
  return output.replaceAll("\r", "");
}

for (const machine of ["deb1", "nu"]) {
  describe(machine, () => {
    test(
      "a program runs as root, as a user by name and by number, with its arguments and variables as given",
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

    test("C87 C88 a program that fails, is killed or is not there makes no failure", async () => {
      for (const program of ["/bin/false", "/nonexistent", "/bin/sh -c 'kill -9 $PPID'"]) {
        await machinectl(`-q shell ${machine} ${program}`);
      }
      await machinectl(`-q shell nosuchuser@${machine} /bin/true`);
    });

    test.skipIf(isStock)(`arguments are the program's, variables in them too${OURS}`, async () => {
      const text = `$HOME \${PATH} $$ 100% \\n`;
      expect(await machinectl(`-q shell ${machine} /bin/printf '%s\\n' '${text}'`)).toBe(text);
    });

    test.skipIf(isStock)(`M112 without a program it is the user's login shell, fed by a pipe${OURS}`, async () => {
      const output = await machinectl(`-q shell testuser@${machine}`, "<<<'echo $0 $- $USER; shopt login_shell'");
      expect(output).toMatch(/^-?\S*bash \S*i\S* testuser$/m);
      expect(output).toMatch(/login_shell\s+on/);
    });

    test(
      "C102 a login prompt lets in, and comes again after the logout",
      async () => {
        const script = `set timeout 20
          spawn env TERM=dumb machinectl login ${machine}
          expect "login:" { send "root\\r" }
          expect "# " { send "echo IN-\\$((40+2)); tty\\r" }
          expect "IN-42"
          expect "# " { send "exit\\r" }
          expect "login:" { send "\\x1d\\x1d\\x1d" }
          expect "terminated."
          expect eof`;
        const output = await run(`cat >/tmp/login.exp <<'X'\n${script}\nX\nexpect /tmp/login.exp`);
        expect(output).toContain("IN-42");
        expect(output).toMatch(/\/dev\/pts\/\d/);
        // 257 and 262 say it the wrong way round.
        if (!isStock) expect(output).toEndWith(`Connection to machine ${machine} terminated.`);
      },
      TIMEOUT_MS,
    );

    test(
      "what a program is given: three descriptors, a directory inside, and nothing of ours (CVE-2024-21626, CVE-2019-5736)",
      async () => {
        const output = await machinectl(
          `-q shell ${machine} /bin/sh -c 'ls /proc/self/fd; pwd; ls -l /proc/*/exe 2>&1 | grep -c machined'`,
        );
        // The fourth is what ls itself has open.
        expect(output.replaceAll(/\s+/g, " ")).toBe("0 1 2 3 /root 0");
      },
      TIMEOUT_MS,
    );
  });
}

test("M112 the local host has shells too", async () => {
  expect(await machinectl("-q shell .host /usr/bin/id -un")).toBe("root");
  expect(await machinectl("-q shell nobody@ /usr/bin/id -un")).toBe("nobody");
});

test(
  "M107 a user who may not is refused, on every way in",
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
  `--wait-status gives the program's own exit status${OURS}`,
  async () => {
    const script = `for c in 'exit 0' 'exit 7' 'kill -9 $$' 'sleep 1; exit 3'; do
        machinectl -q shell --wait-status deb1 /bin/sh -c "$c" </dev/null; echo -n "$? "; done
      machinectl -q shell --wait-status .host /bin/sh -c 'exit 9' </dev/null; echo $?`;
    expect(await run(script)).toBe("0 7 137 3 9");
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `much output arrives whole, also where it is read slowly${OURS}`,
  async () => {
    const output = await run(`(head -c ${BYTES - 1} /dev/urandom; echo) >/tmp/big
      machinectl copy-to deb1 /tmp/big /root/big; sha256sum </tmp/big
      machinectl -q shell deb1 /bin/sh -c 'stty -opost; exec cat /root/big' </dev/null | (sleep 1; sha256sum)
      machinectl -q shell deb1 /bin/sh -c 'stty -opost; exec cat /root/big' </dev/null >/tmp/out; sha256sum </tmp/out`);
    const [first, ...others] = output.split("\n");
    expect(others).toEqual([first as string, first as string]);
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `${SHELLS} shells leave neither descriptors nor processes nor units behind${OURS}`,
  async () => {
    const count = `ls /proc/$(pidof -s systemd-machined)/fd | wc -l
      pgrep -fc 'machine[c]tl|machined-worke[r]'; ls -l /proc/[0-9]*/ns/pid | grep -cF "$(readlink \
      /proc/$(machinectl show -p Leader --value deb1)/ns/pid)"`;
    const before = (await run(count)).split("\n").map(Number);
    const output = await run(
      `for i in $(seq ${SHELLS}); do machinectl -q shell deb1 /bin/echo $i </dev/null | cat; done | tr -d '\\r' | md5sum
       seq ${SHELLS} | md5sum`,
      100,
    );
    const [shown, expected] = output.split("\n");
    expect(shown).toBe(expected as string);
    await run(`for i in $(seq 50); do
      [ -z "$(systemctl -M deb1 list-units --all --no-legend 'container-shell@*')" ] && exit 0; sleep .1; done; exit 1`);
    const after = (await run(count)).split("\n").map(Number);
    expect(after[0]).toBeLessThanOrEqual((before[0] as number) + 3);
    expect(after[1]).toBe(before[1] as number);
    // The user's own manager stays for some seconds.
    expect(after[2]).toBeLessThanOrEqual((before[2] as number) + 4);
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `a container that is stopped holds up its own callers for seconds, and nobody else${OURS}`,
  async () => {
    const output = await run(`leader=$(machinectl show -p Leader --value deb1)
      all() { for p in /proc/[0-9]*; do [ $p/ns/pid -ef /proc/$leader/ns/pid ] && kill -$1 \${p#/proc/}; done; }
      all STOP; machinectl -q shell deb1 /bin/true </dev/null & sleep .3
      for i in $(seq 20); do machinectl show deb1 >/dev/null; machinectl list >/dev/null; done
      kill -0 $! && echo meanwhile
      wait; all CONT; machinectl -q shell deb1 /bin/echo alive </dev/null`);
    expect(output).toContain("meanwhile");
    expect(output).toContain("The system bus in container deb1 does not answer.");
    expect(output).toEndWith("alive");
  },
  TIMEOUT_MS,
);

test(
  "C103 a login ends with its machine",
  async () => {
    const output = await run(`(sleep 2; machinectl terminate nu) & TERM=dumb timeout 60 \\
      script -qec 'machinectl login nu' /dev/null < <(sleep 8) | tail -1`);
    expect(output).toContain("nu terminated.");
    if (!isStock) expect(output.trim()).toBe("Machine nu terminated.");
  },
  TIMEOUT_MS,
);
