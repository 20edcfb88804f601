// Replies and errors as Varlink messages (https://varlink.org/Method-Call).
import { errnoNumber } from "../../base/errno.ts";
import { ERRORS, errnoNameOf, MachinedError } from "../../base/error.ts";
import { formatJson } from "../../base/text/json.ts";
import { BusError } from "../bus/error.ts";

/** Returns the messages of several replies to one call; all but the last one say that more follow. */
export function repliesText(replies: readonly object[]): string[] {
  return replies.map((reply, index) => replyText(reply, index < replies.length - 1));
}

/** Returns the message of a reply; `continues`: more replies follow. */
export function replyText(reply: object, continues: boolean): string {
  let empty = true;
  for (const key in reply) if ((reply as Record<string, unknown>)[key] !== undefined) empty = false;
  const body = empty ? "" : `"parameters":${formatJson(reply)}`;
  return `{${body}${continues ? `${empty ? "" : ","}"continues":true` : ""}}`;
}

/** Returns the message of an error. Calls `bug` for an error that is a bug, of which the caller receives only EIO. */
export function errorText(error: unknown, bug: (error: unknown) => void): string {
  const known = describeError(error);
  if (known === null) bug(error);
  const { id, parameters } = known ?? systemError("EIO");
  return Object.keys(parameters).length === 0 ? formatJson({ error: id }) : formatJson({ error: id, parameters });
}

function systemError(errnoName: string): { id: string; parameters: Readonly<Record<string, unknown>> } {
  const errno = errnoNumber(errnoName) ?? 5;
  return { id: "io.systemd.System", parameters: { origin: "linux", errno, errnoName } };
}

/** Returns the id and parameters of an error; null for a bug. */
function describeError(error: unknown): { id: string; parameters: Readonly<Record<string, unknown>> } | null {
  if (error instanceof MachinedError) {
    const row = ERRORS[error.code];
    return row.varlink === "io.systemd.System"
      ? systemError(row.errno)
      : { id: row.varlink, parameters: error.parameters };
  }
  if (error instanceof BusError) return systemError(error.errnoName);
  const errno = errnoNameOf(error);
  return errno === null ? null : systemError(errno);
}
