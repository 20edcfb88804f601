// Arguments that are not UTF-8 are refused, because the engine has replaced their bytes.
import { expect, test } from "bun:test";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../../../src/main.ts");

/** Runs a client with a last argument in the notation of printf(1); returns its exit status and its errors. */
function run(argument: string, ...args: string[]): [number, string] {
  const script = 'last=$(printf "$1"); shift; exec "$@" "$last"';
  const command = ["sh", "-c", script, "sh", argument, process.execPath, MAIN, ...args];
  const { exitCode, stderr } = Bun.spawnSync(command, {
    env: { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/x" },
  });
  return [exitCode, stderr.toString()];
}

for (const command of [
  ["machinectl", "export-tar", "image"],
  ["importctl", "import-raw"],
  ["machinectl", "exec", "machine", "rm"],
  ["systemd-export", "tar"],
]) {
  test(`${command.join(" ")}: a file name that is not UTF-8 is no other file`, () => {
    expect(run("/caf\\351 1", ...command)).toEqual([1, "The argument '/caf\\xe9 1' is not UTF-8.\n"]);
  });
}

test("the character that stands for other bytes may be meant", () => {
  expect(run("\\357\\277\\275", "machinectl", "--output")[1]).toBe("Unknown output '\ufffd'.\n");
});
