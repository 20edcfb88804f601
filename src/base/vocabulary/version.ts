// The versions that the programs report: the systemd release whose interfaces they follow, and their own.
import { version } from "../../../package.json";

/** The systemd release whose interfaces our programs follow. */
export const COMPATIBLE_WITH = 262;

/** This program and its version. */
export const PROGRAM_VERSION = `machined ${version}`;

/** The version that the daemons report in their interfaces. */
export const INTERFACE_VERSION = `${COMPATIBLE_WITH} (${PROGRAM_VERSION})`;
