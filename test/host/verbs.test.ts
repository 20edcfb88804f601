// The output and exit codes of `machinectl` on a booted host with a running container: shells, logins, files and
// images. With MACHINED_HOST_STOCK=1 the same is expected of the distribution's programs.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Bed, isStock, systemdVersion } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;

let bed: Bed;

beforeAll(async () => {
  bed = await Bed.boot("verbs");
  await bed.install();
  await bed.startContainer("deb1");
  await bed.run("mkdir -p /var/lib/machines/tree/usr/lib; echo ID=x > /var/lib/machines/tree/usr/lib/os-release");
}, GUARD_MS);

afterAll(() => bed.stop(), GUARD_MS);

/** Runs a command on its own terminal, made by `script`. It may show as ^@ what script(1) writes at its end. */
const onTerminal = (line: string) => `script -qec ${JSON.stringify(line)} /dev/null </dev/null | sed 's/\\^@//'`;

interface Case {
  readonly statements: string;
  readonly script: string;
  /** All output of the script, trimmed at the end. */
  readonly says: RegExp;
  readonly code?: number;
  readonly since?: number;
}

const cases: readonly Case[] = [
  {
    statements: "C87 the exit status of a shell is 0 whatever the command returned",
    script: "machinectl -q shell deb1 /bin/false",
    says: /^$/,
  },
  {
    statements: "C88 a program that is missing",
    script: "machinectl -q shell deb1 /bin/no-such-program",
    says: /^/,
  },
  { statements: "C88 a user who is missing", script: "machinectl -q shell no-such-user@deb1", says: /^/ },
  {
    statements: "C89 a relative path",
    script: "machinectl -q shell deb1 true",
    says: /^Failed to get shell PTY: Specified path 'true' is not absolute\.?$/,
    code: 1,
  },
  {
    statements: "C90 options after the name are the command's",
    script: "machinectl -q shell deb1 /bin/echo --quiet -E --uid=5 end",
    says: /^--quiet -E --uid=5 end$/,
  },
  {
    statements: "options between the name and the command are machinectl's, as with 262",
    script: "machinectl -q shell daemon@deb1 --setenv=FOO=bar /bin/sh -c 'echo $FOO; id -un'",
    says: /^bar\ndaemon$/,
    since: 258,
  },
  {
    statements: "with -q and a command nothing is added to its output, also on a terminal",
    script: onTerminal("TERM=xterm-256color machinectl -q shell deb1 /bin/echo hi"),
    // Without what the machine's own systemd sends (its own context, since 258).
    says: /^(?!.*(?:comm=machinectl|\[!p))[\s\S]*hi\r?$/,
    since: 999,
  },
  {
    statements: "the release of the host is what --version begins with",
    script: "[[ $(machinectl --version | head -1) == $(systemctl --version | head -1) ]] && echo same",
    says: /^same$/,
  },
  {
    statements: "who has no privileges sees the system in a container as the host's release has it",
    script: "setpriv --reuid 65534 --clear-groups machinectl list --no-legend | awk '{print $4}'",
    says: systemdVersion < 261 ? /^debian$/ : /^-$/,
  },
  {
    statements: "paths in the machine may be written as the host's release takes them",
    script: `echo x > /root/odd; machinectl --force copy-to deb1 /root/odd /tmp/../run//odd &&
      machinectl --force copy-from deb1 //run/./odd /root/odd2 && cat /root/odd2`,
    says: systemdVersion < 258 ? /^x$/ : /^Failed to copy.*: Destination path must be absolute and normalized\.$/,
    code: systemdVersion < 258 ? 0 : 1,
  },
  {
    statements: "C92 the user before the @ goes before --uid",
    script: "machinectl -q shell --uid=root daemon@deb1 /usr/bin/id -u",
    says: /^1$/,
  },
  {
    statements: "C93 login with a variable",
    script: "machinectl login -E A=b deb1",
    says: /^--setenv= and --uid= are not supported for 'login'\. Use 'shell' instead\.$/,
    code: 1,
  },
  {
    statements: "C93 login with a user",
    script: "machinectl login --uid=root deb1",
    says: /^--setenv= and --uid= are not supported for 'login'\. Use 'shell' instead\.$/,
    code: 1,
  },
  {
    statements: "C91 a user without a host is one of this host",
    script: "machinectl -q shell root@ /usr/bin/id -un; machinectl -q shell '' /usr/bin/id -un",
    says: /^root\s+root$/,
  },
  { statements: "C91 a host without a user", script: "machinectl -q shell @deb1 /bin/true", says: /./, code: 1 },
  {
    statements: "C95 -q leaves out the lines around a shell",
    script: "machinectl shell deb1 /bin/true; echo; echo quiet; machinectl -q shell deb1 /bin/true",
    says: /^Connected to machine deb1\.[\s\S]*Connection to machine deb1 terminated\.\s+quiet\s*$/,
  },
  {
    statements: "C109 a file that exists is not copied over without --force",
    script: `echo one > /root/one; machinectl copy-to deb1 /root/one /root/one
      machinectl copy-to deb1 /root/one /root/one; echo $?
      machinectl copy-to --force deb1 /root/one /root/one; echo $?`,
    says: /^Failed to copy.*: .*File exists\n1\n0$/,
    since: 252,
  },
  {
    statements: "C110 a relative path of the host is one below the working directory",
    script: `mkdir -p /root/dir; cd /root/dir; echo two > two; machinectl copy-to deb1 two /root/two
      machinectl -q shell deb1 /bin/cat /root/two`,
    says: /^two$/,
  },
  {
    statements: "C115 a clone's name may have blanks",
    script: "machinectl clone tree 'a b'; echo $?; ls -d '/var/lib/machines/a b'; machinectl remove 'a b'",
    says: /^0\n\/var\/lib\/machines\/a b$/,
  },
  {
    statements: "C116 a boolean that is none",
    script: "machinectl read-only tree maybe",
    says: /^Failed to parse boolean argument: maybe$/,
    code: 1,
  },
  {
    statements: "C113 clean says what went away",
    script: `mkdir -p /var/lib/machines/.hidden/usr/lib; cp /var/lib/machines/{tree,.hidden}/usr/lib/os-release
      machinectl clean; echo $?; machinectl clean; echo $?`,
    says: /^Removed image '\.hidden'.*\nRemoved 1 images in total.*\n0\nRemoved 0 images in total\. Total freed exclusive disk space: 0B\.\n0$/,
  },
  {
    statements: "C61 images and what is known of them",
    script: "truncate -s 5M /var/lib/machines/disk.raw; machinectl list-images --no-pager",
    says: /disk +raw +no +\S+ /,
  },
  {
    statements: "C63 sizes in few digits",
    script: `cd /var/lib/machines; truncate -s 8M disk.raw; head -c 36K /dev/urandom | dd of=disk.raw conv=notrunc status=none
      sync disk.raw; machinectl list-images --no-pager | grep disk; machinectl image-status --no-pager disk`,
    says: /^disk +raw +no +36K .*\n[\s\S]*\n\t {3}Usage: 36K\n\t {3}Limit: 8M$/,
    since: 262,
  },
  {
    statements: "C64 what is read-only is marked in red on a terminal, and nothing else is",
    script: `chmod a-w /var/lib/machines/disk.raw; unset SYSTEMD_COLORS
      ${onTerminal("TERM=xterm machinectl list-images --no-pager --no-legend")}; machinectl list-images --no-legend`,
    // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences of the terminal
    says: /\ndisk +raw +\x1b\[0;1;31myes\x1b\[0m [^\x1b]+\ntree +directory +no [^\x1b]+\ndisk +raw +yes /,
  },
  {
    statements: "status where $SYSTEMD_COLORS paints, which journalctl would do with its JSON",
    script: "SYSTEMD_COLORS=1 machinectl status .host --no-pager | tail -1",
    says: / systemd\[1\]: |journal/,
  },
  {
    statements: "C65 the pool without the name of an image",
    script: "machinectl image-status --no-pager",
    says: /^\s*Path: \/var\/lib\/machines(\n\s*(Usage|Limit): .*)*$/,
  },
  {
    statements: "C128 cat goes on after what is missing",
    script: `mkdir -p /etc/systemd/nspawn; printf '[Exec]\\nBoot=no\\n' > /etc/systemd/nspawn/tree.nspawn
      machinectl cat nosuch tree`,
    says: /# \/etc\/systemd\/nspawn\/tree\.nspawn\n\[Exec\]\nBoot=no/,
    code: 1,
    since: 254,
  },
  {
    statements: "C129 edit without a terminal",
    script: "machinectl edit tree",
    says: /^Cannot edit machine settings: not a tty\.?$|^Cannot edit.* if not on a tty\.$/,
    code: 1,
    since: 254,
  },
  {
    statements: "C140 completion has every machine and image once",
    script: `machinectl --no-legend --no-pager list --full --max-addresses=0 | awk '{print $1}' | sort | uniq -c | awk '{print $1 $2}'
      machinectl --no-legend --no-pager list-images --full | awk '{print $1}' | sort | uniq -c | awk '{print $1 $2}'`,
    says: /^(1\.host\n)?1deb1\n(1\.host\n)?1deb1\n1disk\n1tree$/,
  },
  {
    statements: "C106 a terminal's kind goes into the shell",
    script: onTerminal("TERM=vt220 machinectl -q shell deb1 /usr/bin/printenv TERM"),
    says: /vt220/,
  },
  {
    statements: "C114 clean -a removes every image that is not in use",
    script: "machinectl clean -a; ls /var/lib/machines",
    says: /^(Removed image '(tree|disk)'.*\n){2}Removed 2 images in total.*\ndeb1$/,
  },
  {
    // In systemd, a pool whose limit is below its content keeps that limit for ever.
    statements: "C112 limits in words and units of 1024, raised again from below what is used",
    script: "for l in none - infinity 1K 5M 2G; do machinectl set-limit $l; done",
    says: isStock ? /^(Could not set limit: .*\n?)*$/ : /^$/,
    code: isStock ? 1 : 0,
  },
];

for (const { statements, script, says, code = 0, since = 0 } of cases) {
  const old = since > systemdVersion && isStock;
  test.skipIf(old)(
    `${statements}${old ? ` (left out: since ${since})` : ""}`,
    async () => {
      const outcome = await bed.exec(`export SYSTEMD_LOG_TARGET=console; ${script}`);
      const output = outcome.output.replace(/\r/g, "").trimEnd();
      expect({ output: says.test(output) ? "as expected" : output, code: outcome.code }).toEqual({
        output: "as expected",
        code,
      });
    },
    TIMEOUT_MS,
  );
}
