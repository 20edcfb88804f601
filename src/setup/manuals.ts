// Manual pages: below /usr/local, where man(1) looks before the distribution's.
import importctl from "../../install/man/importctl.1" with { type: "text" };
import machinectl from "../../install/man/machinectl.1" with { type: "text" };
import type { Wanted } from "./wanted.ts";

const PAGES: Readonly<Record<string, string>> = {
  "man1/machinectl.1": machinectl,
  "man1/importctl.1": importctl,
};

/** The pages that a host is to have. */
export function manuals(): Wanted[] {
  return Object.entries(PAGES).map(([path, text]) => ({ kind: "file", path: `/usr/local/share/man/${path}`, text }));
}
