// The output of `machinectl --version` and `importctl --version`.
import * as host from "../../kernel/process/host-systemd.ts";

/** The built-in features, in the form of the systemd tools. */
export const FEATURES = ["+DBUS", "+VARLINK", "+PRIVATE_SOCKET", "+POLKIT_AGENT", "+PAGER", "+JSON"] as const;

/** Returns both lines of `--version`. */
export function versionText(): string {
  return host.versionText(FEATURES);
}
