// The presets, systemd.preset(5), and their places on a host: 'systemctl preset-all' enables what `machined install`
// enables, and nothing else of ours.
import system from "../../../install/presets/system.preset" with { type: "text" };
import user from "../../../install/presets/user.preset" with { type: "text" };
import type { Wanted } from "../wanted.ts";

/** Before the 90-*.preset of distributions; the administrator's own have smaller numbers, or the same name in /etc. */
const NAME = "80-machined.preset";
const SYSTEMD = "/usr/local/lib/systemd";

/** Returns the presets for the system and for users. */
export function presets(): Wanted[] {
  return [
    { kind: "file", path: `${SYSTEMD}/system-preset/${NAME}`, text: system },
    { kind: "file", path: `${SYSTEMD}/user-preset/${NAME}`, text: user },
  ];
}
