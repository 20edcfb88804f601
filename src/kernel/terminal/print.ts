// Prints texts of all programs but the clients, whose texts Output prints (src/cli/session/output.ts): no text reaches
// a terminal with a control character of a machine, a server or another host. test/contract/printed.test.ts checks
// that nothing else in src writes to the standard streams.
import { withoutControls } from "../../base/text/control-characters.ts";

/** Writes to standard output, with control characters escaped. */
export function print(text: string): void {
  process.stdout.write(withoutControls(text));
}

/** Writes to standard error, with control characters escaped. */
export function printError(text: string): void {
  process.stderr.write(withoutControls(text));
}
