// The completion files of the clients and of machined: for bash always, because it may be installed later and then
// finds them; for zsh and fish if the host has them.
import importctlBash from "../../install/completions/importctl.bash" with { type: "text" };
import importctlFish from "../../install/completions/importctl.fish" with { type: "text" };
import importctlZsh from "../../install/completions/importctl.zsh" with { type: "text" };
import machinectlBash from "../../install/completions/machinectl.bash" with { type: "text" };
import machinectlFish from "../../install/completions/machinectl.fish" with { type: "text" };
import machinectlZsh from "../../install/completions/machinectl.zsh" with { type: "text" };
import machinedBash from "../../install/completions/machined.bash" with { type: "text" };
import machinedFish from "../../install/completions/machined.fish" with { type: "text" };
import machinedZsh from "../../install/completions/machined.zsh" with { type: "text" };
import type { Host } from "./host.ts";
import type { Wanted } from "./wanted.ts";

const TEXTS = {
  machinectl: { bash: machinectlBash, zsh: machinectlZsh, fish: machinectlFish },
  importctl: { bash: importctlBash, zsh: importctlZsh, fish: importctlFish },
  machined: { bash: machinedBash, zsh: machinedZsh, fish: machinedFish },
} as const;

/** Returns the completion files for a host, in directories that precede the distribution's. */
export function completions(host: Host): Wanted[] {
  return Object.entries(TEXTS).flatMap(([program, { bash, zsh, fish }]): Wanted[] => [
    { kind: "file", path: `/usr/local/share/bash-completion/completions/${program}`, text: bash },
    ...(host.hasZsh
      ? [{ kind: "file", path: `/usr/local/share/zsh/site-functions/_${program}`, text: zsh } as const]
      : []),
    ...(host.hasFish ? [{ kind: "file", path: `/etc/fish/completions/${program}.fish`, text: fish } as const] : []),
  ]);
}
