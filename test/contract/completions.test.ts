// Completions in the real shells. The client is a script that answers `complete` and records its arguments.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { havePrograms } from "../lib/programs.ts";

const TOP = join(import.meta.dir, "../..");
const COMPLETIONS = join(TOP, "install/completions");

// Images may have any name that a file may have: a shell must not execute parts of it.
const CLIENT = `#!/bin/sh
echo "$*" >> "$(dirname "$0")/calls"
for word; do
    case $word in --signal=help) printf '%s\\n' KILL TERM; exit ;; complete) break ;; esac
    shift
done
case $2 in
    machine) printf '%s\\n' deb1 web ;;
    machine-or-host) printf '%s\\n' deb1 web .host ;;
    image) printf '%s\\n' 'img 1' 'img$(touch HERE/ran)' base ;;
    transfer) printf '%s\\n' 7 12 ;;
    column | column-sort | column-filter)
        case $3:$4 in
            list:) printf '%s\\n' name os ;;
            list:name,*) printf '%s\\n' name,os name,class ;;
            list:class=*) printf '%s\\n' class=vm class=container ;;
            stats:-*) printf '%s\\n' -cpu -memory ;;
        esac ;;
    machine-path) printf '%s\\n' /etc/ /entry /var/ ;;
esac
`;

let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "completions-"));
  for (const program of ["machinectl", "importctl", "machined"]) {
    const path = join(directory, program);
    writeFileSync(path, CLIENT.replace("HERE", directory));
    chmodSync(path, 0o755);
    symlinkSync(join(COMPLETIONS, `${program}.zsh`), join(directory, `_${program}`));
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

/** The words that a shell offers for a line, sorted. */
type Offer = (line: string) => string[];

function run(command: string[]): string[] {
  const env = { ...process.env, PATH: `${directory}:${process.env["PATH"]}` };
  const { stdout, stderr } = Bun.spawnSync(command, { env, cwd: directory });
  expect(stderr.toString()).toBe("");
  return stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .sort();
}

function program(line: string): string {
  return line.split(" ")[0] ?? "";
}

const BASH = `
    COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
    compopt() { :; }
    source "$1"; COMP_LINE=$2 COMP_POINT=\${#2}; "_$3"; printf '%s\\n' "\${COMPREPLY[@]}"`;

const SHELLS: Readonly<Record<"bash" | "zsh" | "fish", Offer>> = {
  bash: (line) =>
    run(["bash", "-c", BASH, "bash", join(COMPLETIONS, `${program(line)}.bash`), line, program(line)]).map((word) =>
      word.replace(/\\(.)/g, "$1"),
    ),
  zsh: (line) => run(["zsh", "-f", join(TOP, "test/lib/complete.zsh"), directory, line]),
  // fish prints each word with a description.
  fish: (line) =>
    run(["fish", "--no-config", "-c", `source ${COMPLETIONS}/${program(line)}.fish; complete -C $argv`, line]).map(
      (word) => (word.split("\t")[0] ?? "").replace(/^--[a-z-]+=(?=.)/, "").replace(/^[^@/]*@(?=.)/, ""),
    ),
};

const LINES: readonly (readonly [string, readonly string[]])[] = [
  ["machinectl sta", ["start", "stats", "status"]],
  ["machinectl term", ["terminate"]],
  ["machinectl --json=", ["off", "pretty", "short"]],
  ["machinectl status ", ["deb1", "web"]],
  ["machinectl status deb1 w", ["web"]],
  ["machinectl shell root@d", ["deb1"]],
  ["machinectl shell nobod", ["nobody@"]],
  ["machinectl login .", [".host"]],
  ["machinectl start i", ["img 1", "img$(touch HERE/ran)"]],
  ["machinectl read-only base ", ["no", "yes"]],
  ["machinectl copy-from deb1 /e", ["/entry", "/etc/"]],
  ["machinectl --signal T", ["TERM"]],
  ["machinectl --signal SIGT", ["SIGTERM"]],
  ["machinectl kill deb1 --signal=SIGK", ["SIGKILL"]],
  ["machinectl kill deb1 --signal=K", ["KILL"]],
  ["machinectl -M ", ["deb1", "web"]],
  ["machinectl list --columns=", ["name", "os"]],
  ["machinectl list --columns=name,o", ["name,os"]],
  ["machinectl list --columns name,c", ["name,class"]],
  ["machinectl list --columns=name,", ["name,class", "name,os"]],
  ["machinectl events --type=ma", ["machine"]],
  ["machinectl events --type=machine,im", ["machine,image"]],
  ["machinectl stats --sort=-m", ["-memory"]],
  ["machined uninst", ["uninstall"]],
  ["machined importc", ["importctl"]],
  ["machined help fl", ["fleet"]],
  ["machined fleet ", ["setup"]],
  ["machined fleet --allow=l", ["lifecycle"]],
  ["machined fleet --allow l", ["lifecycle"]],
  ["machined doctor w", ["web"]],
  ["machined doctor --json=p", ["pretty"]],
  ["importctl pull-", ["pull-oci", "pull-raw", "pull-tar"]],
  ["importctl --class p", ["portable"]],
  ["importctl -m export-tar b", ["base"]],
  ["importctl cancel-transfer ", ["12", "7"]],
];

for (const [shell, offer] of Object.entries(SHELLS) as [keyof typeof SHELLS, Offer][]) {
  describe.skipIf(!havePrograms(`completions of ${shell}`, shell))(shell, () => {
    for (const [line, expected] of LINES) {
      test(`offers the right words for '${line}'`, () => {
        expect(offer(line)).toEqual(expected.map((word) => word.replace("HERE", directory)));
      });
    }

    test("offers the long options that begin with the typed text", () => {
      expect(offer("machinectl --max").map((word) => word.replace("=", ""))).toEqual(["--max-addresses"]);
    });

    test("offers only the options of the verb of machined", () => {
      const options = (line: string) => offer(line).map((word) => word.replace("=", ""));
      expect(options("machined install --n")).toEqual(["--now", "--nss"]);
      expect(options("machined uninstall --n")).toEqual(["--now"]);
      expect(options("machined fleet --credentials")).toEqual(["--credentials-file"]);
    });

    test("passes --user and -M of the line to the client", () => {
      writeFileSync(join(directory, "calls"), "");
      expect(offer("machinectl --user -M box status ")).toEqual(["deb1", "web"]);
      const calls = readFileSync(join(directory, "calls"), "utf8").trimEnd().split(" ");
      expect(calls.sort()).toEqual(["--user", "-M", "box", "complete", "machine"]);
    });

    if (shell === "bash") {
      test("a list of columns is offered without backslashes, which would prevent further completion", () => {
        const script = join(COMPLETIONS, "machinectl.bash");
        const line = "machinectl list --columns=name,";
        expect(run(["bash", "-c", BASH, "bash", script, line, "machinectl"])).toEqual(["name,class", "name,os"]);
      });
    }

    test("never executes commands in a name", () => {
      offer("machinectl start img");
      expect(existsSync(join(directory, "ran"))).toBeFalse();
    });
  });
}
