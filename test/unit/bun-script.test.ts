// install/bun.mjs, which runs the scripts of this project for npm.
import { expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TOP } from "../lib/run-tests.ts";
import { waitFor } from "../lib/wait-for.ts";

/** A script that ends on signals, but not before the test wants it. */
const SCRIPT = `
import { existsSync, writeFileSync } from "node:fs";
const [folder] = process.argv.slice(2);
let code = 0;
for (const [signal, number] of [["SIGTERM", 43], ["SIGINT", 30], ["SIGHUP", 29]]) {
  process.on(signal, () => {
    code = number;
    writeFileSync(folder + "/heard", signal);
  });
}
setInterval(() => { if ((code > 0 && existsSync(folder + "/may-end")) || !existsSync(folder)) process.exit(code); }, 10);
writeFileSync(folder + "/up", String(process.pid));
`;

/** Runs `act` with the directory of a project of one package, x 1.0.0, of which `version` is installed. */
function withProject(version: string, act: (top: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const top = mkdtempSync(join(tmpdir(), "machined-bun-script-"));
    try {
      for (const folder of ["install", "node_modules/x"]) mkdirSync(join(top, folder), { recursive: true });
      for (const name of ["bun", "@oven"])
        symlinkSync(join(TOP, "node_modules", name), join(top, "node_modules", name));
      cpSync(join(TOP, "install/bun.mjs"), join(top, "install/bun.mjs"));
      const packages = { "": {}, "node_modules/x": { version: "1.0.0" }, "node_modules/y": { optional: true } };
      writeFileSync(join(top, "package-lock.json"), JSON.stringify({ packages }));
      writeFileSync(join(top, "node_modules/x/package.json"), JSON.stringify({ version }));
      writeFileSync(join(top, "script.ts"), SCRIPT);
      await act(top);
    } finally {
      rmSync(top, { recursive: true });
    }
  };
}

const begin = (top: string, path = process.env["PATH"] ?? "") =>
  Bun.spawn([process.execPath, join(top, "install/bun.mjs"), "script.ts", top], {
    env: { PATH: path },
    stdio: ["ignore", "ignore", "pipe"],
  });

for (const [signal, code] of [
  ["SIGTERM", 43],
  ["SIGINT", 30],
  ["SIGHUP", 29],
] as const) {
  test(
    `${signal} is passed on to the script, whose end is waited for`,
    withProject("1.0.0", async (top) => {
      const node = begin(top);
      await waitFor(() => expect(readFileSync(join(top, "up"), "utf8")).not.toBe(""), "the script");
      node.kill(signal);
      await waitFor(() => expect(readFileSync(join(top, "heard"), "utf8")).toBe(signal), "the signal");
      expect(node.exitCode).toBe(null);
      writeFileSync(join(top, "may-end"), "");
      expect(await node.exited).toBe(code);
    }),
  );
}

test(
  "packages in other versions than those that package-lock.json pins are installed anew",
  withProject("0.9.0", async (top) => {
    writeFileSync(join(top, "npm"), '#!/bin/sh\necho "npm $*" >&2; exit 1\n', { mode: 0o755 });
    const node = begin(top, `${top}:/usr/bin:/bin`);
    const [text, code] = [await node.stderr.text(), await node.exited];
    expect(text).toContain("\nnpm ci --ignore-scripts");
    expect(code).toBe(1);
  }),
);

test(
  "where packages are missing and npm, too, that is the error",
  withProject("0.9.0", async (top) => {
    const node = begin(top, "/nonexistent");
    const [text, code] = [await node.stderr.text(), await node.exited];
    expect(text).toEndWith("There is no npm (Debian: the package npm). It installs what this project is built with.\n");
    expect(code).toBe(1);
  }),
);
