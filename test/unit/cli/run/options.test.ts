// Options of `machinectl run` that do not go together.
import { expect, test } from "bun:test";
import { run } from "../../../../src/cli/run/run.ts";
import type { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings, type Settings } from "../../../../src/cli/session/settings.ts";

/** The complaint of `run` on a host without systemd, which is the last of the checks. */
async function refusal(settings: Partial<Settings>, ...words: string[]): Promise<string> {
  const errors: string[] = [];
  const report = { failure: ({ message }: Error) => errors.push(message) };
  const ports = { isThere: () => false };
  const session = { settings: { ...defaultSettings(), ...settings }, ports, report } as unknown as Session;
  await run(session, ["web", ...words]).catch((error: Error) => errors.push(error.message));
  return errors.join();
}

test("options of the command are refused where there is none, as they would mean nothing", async () => {
  const last = "run needs systemd as service manager, which does not run on this host";
  const options = {
    uid: { uid: "u" },
    chdir: { directory: "/tmp" },
    timeout: { timeoutMs: 1 },
    stdin: { stdin: false },
  };
  for (const [name, settings] of Object.entries(options)) {
    expect(await refusal(settings)).toBe(
      `--${name}= is for a command: add one, or -t for the image's own program or a shell`,
    );
    expect(await refusal(settings, "ls")).toBe(last);
    expect(await refusal({ ...settings, tty: true })).toBe(last);
  }
  expect(await refusal({})).toBe(last);
});
