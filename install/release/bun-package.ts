// Fetches Bun for the machines of a release. npm installs only the package for the machine on which it runs, so the
// others are downloaded as archives to dist/cache and checked against the checksums in package-lock.json.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { run } from "./command.ts";
import { TOP } from "./project.ts";
import { ReleaseError } from "./release-error.ts";

const CACHE = join(TOP, "dist/cache");

interface LockedPackage {
  readonly version: string;
  readonly integrity: string;
}

/** Returns version and checksum of a package from package-lock.json. Throws a ReleaseError if they are missing. */
export function lockedPackage(name: string): LockedPackage {
  const { packages } = JSON.parse(readFileSync(join(TOP, "package-lock.json"), "utf8"));
  const locked: Partial<LockedPackage> | undefined = packages[`node_modules/${name}`];
  if (locked?.version === undefined || locked.integrity === undefined) {
    throw new ReleaseError(`package-lock.json has no version and checksum of '${name}'`);
  }
  return { version: locked.version, integrity: locked.integrity };
}

/** Throws a ReleaseError if the bytes do not have the checksum (`sha512-BASE64`); `what` names them in the message. */
export function requireIntegrity(what: string, bytes: Uint8Array, integrity: string): void {
  const actual = `sha512-${new Bun.CryptoHasher("sha512").update(bytes).digest("base64")}`;
  if (actual !== integrity)
    throw new ReleaseError(`${what} has the checksum ${actual}, not ${integrity} as in package-lock.json`);
}

/** Unpacks the Bun executable of a package to the folder and returns its path. */
export function unpackBun(name: string, folder: string): string {
  const { version, integrity } = lockedPackage(name);
  const archive = join(CACHE, `${basename(name)}-${version}.tgz`);
  if (!existsSync(archive)) download(`${name}@${version}`, archive);
  requireIntegrity(`'${archive}'`, readFileSync(archive), integrity);
  mkdirSync(folder, { recursive: true });
  run(["tar", "--extract", "--gzip", `--file=${archive}`, `--directory=${folder}`, "package/bin/bun"]);
  return join(folder, "package/bin/bun");
}

/** Downloads a package by npm, whose configuration names the registry. The archive is renamed when it is complete. */
function download(specifier: string, archive: string): void {
  mkdirSync(dirname(archive), { recursive: true });
  const scratch = mkdtempSync(join(CACHE, ".download-"));
  try {
    console.log(`fetching ${specifier}`);
    const output = run(["npm", "pack", specifier, "--json", `--pack-destination=${scratch}`], { cwd: TOP });
    const [{ filename }] = JSON.parse(output);
    renameSync(join(scratch, basename(filename)), archive);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ReleaseError(`Cannot fetch ${specifier}. Is the npm registry reachable?\n${reason}`, { cause: error });
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
