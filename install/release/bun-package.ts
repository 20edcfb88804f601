// Bun for the machines of a release. npm installs only what fits the machine it runs on, so the others are fetched as
// archives into dist/cache. package-lock.json has the checksum of each: an archive without it is refused.
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

/** What package-lock.json pins of a package. */
export function lockedPackage(name: string): LockedPackage {
  const { packages } = JSON.parse(readFileSync(join(TOP, "package-lock.json"), "utf8"));
  const locked: Partial<LockedPackage> | undefined = packages[`node_modules/${name}`];
  if (locked?.version === undefined || locked.integrity === undefined) {
    throw new ReleaseError(`package-lock.json pins no '${name}'`);
  }
  return { version: locked.version, integrity: locked.integrity };
}

/** Throws where the bytes are not those that the checksum (`sha512-BASE64`) was made of. */
export function requireIntegrity(what: string, bytes: Uint8Array, integrity: string): void {
  const actual = `sha512-${new Bun.CryptoHasher("sha512").update(bytes).digest("base64")}`;
  if (actual !== integrity)
    throw new ReleaseError(`${what} has the checksum ${actual}, and not the ${integrity} of package-lock.json`);
}

/** Puts the Bun of a package into the folder and returns its path. */
export function unpackBun(name: string, folder: string): string {
  const { version, integrity } = lockedPackage(name);
  const archive = join(CACHE, `${basename(name)}-${version}.tgz`);
  if (!existsSync(archive)) download(`${name}@${version}`, archive);
  requireIntegrity(`'${archive}'`, readFileSync(archive), integrity);
  mkdirSync(folder, { recursive: true });
  run(["tar", "--extract", "--gzip", `--file=${archive}`, `--directory=${folder}`, "package/bin/bun"]);
  return join(folder, "package/bin/bun");
}

/** npm knows where the registry is; the archive appears whole under its name. */
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
