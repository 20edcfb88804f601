// The manual pages, below /usr/local/share/man, which man(1) searches before the distribution's.
import importctl from "../../install/man/importctl.1" with { type: "text" };
import interfaces from "../../install/man/io.machined.7" with { type: "text" };
import machinectl from "../../install/man/machinectl.1" with { type: "text" };
import machined from "../../install/man/machined.1" with { type: "text" };
import nss from "../../install/man/nss-mymachines.8" with { type: "text" };
import importd from "../../install/man/systemd-importd.service.8" with { type: "text" };
import daemon from "../../install/man/systemd-machined.service.8" with { type: "text" };
import type { Wanted } from "./wanted.ts";

const PAGES: Readonly<Record<string, string>> = {
  "man1/machinectl.1": machinectl,
  "man1/importctl.1": importctl,
  "man1/machined.1": machined,
  "man7/io.machined.7": interfaces,
  "man8/systemd-machined.service.8": daemon,
  "man8/systemd-importd.service.8": importd,
  "man8/nss-mymachines.8": nss,
};

/**
 * Further names of pages, which the distribution's pages have as well: roff files that include the page (man(7),
 * `.so`).
 */
const NAMES: Readonly<Record<string, keyof typeof PAGES>> = {
  "man8/systemd-machined.8": "man8/systemd-machined.service.8",
  "man8/systemd-importd.8": "man8/systemd-importd.service.8",
};

/** Returns the manual pages for a host. */
export function manuals(): Wanted[] {
  const names = Object.entries(NAMES).map(([path, page]) => [path, `.so ${page}\n`] as const);
  const pages = [...Object.entries(PAGES), ...names];
  return pages.map(([path, text]) => ({ kind: "file", path: `/usr/local/share/man/${path}`, text }));
}
