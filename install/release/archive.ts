// Makes reproducible archives: entries are sorted and have a fixed time and owner.
import { renameSync } from "node:fs";
import { basename, dirname } from "node:path";
import { run } from "./command.ts";

/** Packs a folder, under its own name, to a `.tar.gz`. */
export function packFolder(folder: string, archive: string, sourceDate: number): void {
  if (!archive.endsWith(".tar.gz")) throw new Error(`'${archive}' does not end with .tar.gz`);
  const tar = archive.slice(0, -".gz".length);
  run([
    "tar",
    "--create",
    `--file=${tar}`,
    `--directory=${dirname(folder)}`,
    "--format=gnu",
    "--sort=name",
    `--mtime=@${sourceDate}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    basename(folder),
  ]);
  // -n: neither name nor time of the tar file.
  run(["gzip", "-n", "--force", tar]);
  renameSync(`${tar}.gz`, archive);
}

/** Returns the text of SHA256SUMS, in the format of `sha256sum --check`. */
export async function checksums(folder: string, names: readonly string[]): Promise<string> {
  const lines: string[] = [];
  for (const name of [...names].sort()) {
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const chunk of Bun.file(`${folder}/${name}`).stream()) hasher.update(chunk);
    lines.push(`${hasher.digest("hex")}  ${name}\n`);
  }
  return lines.join("");
}
