// `machinectl --version`. The first line begins as that of the systemd release whose interfaces we serve, because
// scripts read the number after `systemd`.
import { version } from "../../package.json";

/** The systemd release whose interface this program follows. */
export const COMPATIBLE_WITH = 262;

/** What was built in, in the manner of the systemd tools. */
export const FEATURES = ["+DBUS", "+VARLINK", "+PRIVATE_SOCKET", "+POLKIT_AGENT", "+PAGER", "+JSON"] as const;

/** Both lines of `--version`. */
export function versionText(): string {
  return `systemd ${COMPATIBLE_WITH} (machined ${version})\n${FEATURES.join(" ")}\n`;
}
