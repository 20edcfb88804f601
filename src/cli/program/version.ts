// `machinectl --version` and `importctl --version`.
import * as host from "../../kernel/process/host-systemd.ts";

/** What was built in, in the manner of the systemd tools. */
export const FEATURES = ["+DBUS", "+VARLINK", "+PRIVATE_SOCKET", "+POLKIT_AGENT", "+PAGER", "+JSON"] as const;

/** Both lines of `--version`. */
export function versionText(): string {
  return host.versionText(FEATURES);
}
