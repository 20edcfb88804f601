// The versions that the programs report.
import { version } from "../../../package.json";

/** The systemd release whose interfaces our programs follow. */
export const COMPATIBLE_WITH = 262;

/** The name and version of this program. */
export const PROGRAM_VERSION = `machined ${version}`;

/** The version that the daemons report in their interfaces. */
export const INTERFACE_VERSION = `${COMPATIBLE_WITH} (${PROGRAM_VERSION})`;
