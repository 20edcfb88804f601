// Where the logins for registries are looked for.
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CREDENTIALS = new URL("../../../src/oci/credentials.ts", import.meta.url).pathname;
const SCRIPT = `const { credentialsFor } = await import(${JSON.stringify(CREDENTIALS)});
console.log(JSON.stringify(await credentialsFor("r.example", "app", () => {})));`;

/** Returns the credentials that a process finds in a directory with files of logins, and an own home. */
function foundIn(folder: string, env: Readonly<Record<string, string>>): unknown {
  const found = Bun.spawnSync([process.execPath, "-e", SCRIPT], { cwd: folder, env: { HOME: folder, ...env } });
  return JSON.parse(found.stdout.toString());
}

test("logins are not read from the current directory where a variable of XDG is empty, or no absolute path", () => {
  const folder = mkdtempSync(join(tmpdir(), "machined-logins-"));
  try {
    const login = { user: "me", password: "secret" };
    const text = JSON.stringify({ auths: { "r.example": { username: "me", password: "secret" } } });
    for (const name of ["auth.json", "containers/auth.json", "config.json"]) {
      mkdirSync(join(folder, "containers"), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    for (const variable of ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"]) {
      expect([variable, foundIn(folder, { [variable]: "" })]).toEqual([variable, null]);
      expect([variable, foundIn(folder, { [variable]: "." })]).toEqual([variable, null]);
      expect([variable, foundIn(folder, { [variable]: folder })]).toEqual([variable, login]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
