// Makes a tar archive of each executable with its documents. Users unpack it and run `machined install`.
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packFolder } from "./archive.ts";
import { GUIDES, NOTICES, SBOM } from "./documents.ts";
import { shippedText } from "./links.ts";
import { version } from "./project.ts";
import type { Release } from "./release.ts";
import { TARGETS } from "./targets.ts";

const DOCUMENTS = new Set(["CHANGELOG.md", "LICENSE", "README.md", ...GUIDES.map((name) => `docs/${name}`)]);

/** Makes `machined-VERSION-linux-TARGET.tar.gz` from each executable in the release's folder. */
export function buildTarballs({ folder, work, sourceDate }: Release): void {
  for (const { name } of TARGETS) {
    const title = `machined-${version}-linux-${name}`;
    const content = join(work, title);
    mkdirSync(content);
    chmodSync(content, 0o755);
    const put = (from: string, to: string, mode: number) => {
      copyFileSync(from, join(content, to));
      chmodSync(join(content, to), mode);
    };
    put(join(folder, `machined-linux-${name}`), "machined", 0o755);
    mkdirSync(join(content, "docs"));
    chmodSync(join(content, "docs"), 0o755);
    for (const one of DOCUMENTS) {
      writeFileSync(join(content, one), shippedText(one, DOCUMENTS));
      chmodSync(join(content, one), 0o644);
    }
    for (const one of [NOTICES, SBOM]) put(join(folder, one), one, 0o644);
    packFolder(content, join(folder, `${title}.tar.gz`), sourceDate);
    rmSync(content, { recursive: true });
  }
}
