// Whether a caller may do something: root and the daemon's own user may, the owner of a machine may where that is said,
// everyone else is polkit's to decide (org.freedesktop.PolicyKit1.Authority). Both transports come through here.
import { readFileSync } from "node:fs";
import { MachinedError } from "../base/error.ts";
import { Variant } from "../base/variant.ts";
import type { BusClient } from "./bus-client.ts";
import { BusError } from "./bus-error.ts";
import type { Caller, Subject } from "./caller.ts";

const AUTHORITY = {
  destination: "org.freedesktop.PolicyKit1",
  path: "/org/freedesktop/PolicyKit1/Authority",
  interface: "org.freedesktop.PolicyKit1.Authority",
};
/** People take their time at a password prompt; the call ends with the caller. */
const ANSWER_TIMEOUT_MS = 0x7fff_ffff;

/** What is asked for. `details` are shown to whoever decides; `ownerUid` is a user who needs not be asked about. */
export interface Permission {
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
  readonly ownerUid?: number;
}

export interface Asking {
  readonly interactive: boolean;
  caller(): Promise<Caller>;
  onGone(handler: () => void): () => void;
}

/** Users that need no permission. */
export function isPrivileged(caller: Caller): boolean {
  return caller.uid === 0 || caller.uid === (process.geteuid?.() ?? 0);
}

/**
 * Returns when the caller may, throws AccessDenied or InteractiveAuthorizationRequired when it may not. `bus` is null
 * on hosts without one: there nobody can be asked. Gives polkit's details of its answer (who authenticated, say).
 */
export async function authorize(
  bus: BusClient | null,
  call: Asking,
  permission: Permission,
): Promise<ReadonlyMap<string, string>> {
  const caller = await call.caller();
  if (isPrivileged(caller) || caller.uid === permission.ownerUid) return new Map();
  if (bus === null) throw new MachinedError("AccessDenied", "Access denied");
  const { authorized, challenge, details } = await ask(bus, call, caller, permission);
  if (authorized) return details;
  if (challenge) throw new MachinedError("InteractiveAuthorizationRequired", INTERACTIVE);
  throw new MachinedError("AccessDenied", "Access denied");
}

const INTERACTIVE =
  "Access denied as the requested operation requires interactive authentication. " +
  "However, interactive authentication has not been enabled by the calling program.";

interface Decision {
  readonly authorized: boolean;
  readonly challenge: boolean;
  readonly details: ReadonlyMap<string, string>;
}

let questions = 0;

async function ask(bus: BusClient, call: Asking, caller: Caller, permission: Permission): Promise<Decision> {
  const cancellation = `machined-${process.pid}-${++questions}`;
  const stop = call.onGone(() => {
    const cancel = { ...AUTHORITY, member: "CancelCheckAuthorization", signature: "s", body: [cancellation] };
    bus.call(cancel).catch(() => {});
  });
  try {
    const [answer] = await bus.call({
      ...AUTHORITY,
      member: "CheckAuthorization",
      signature: "(sa{sv})sa{ss}us",
      body: [
        subjectOf(caller.subject),
        permission.action,
        Object.entries(permission.details),
        call.interactive ? 1 : 0,
        cancellation,
      ],
      timeoutMs: ANSWER_TIMEOUT_MS,
    });
    const [authorized, challenge, details] = answer as [boolean, boolean, Map<string, string>];
    return { authorized, challenge, details };
  } catch (error) {
    if (error instanceof BusError && isRefusal(error)) {
      throw new MachinedError("AccessDenied", "Access denied", { cause: error });
    }
    throw error;
  } finally {
    stop();
  }
}

/** No polkit at all, or one that failed: who cannot be asked says no. */
function isRefusal(error: BusError): boolean {
  return (
    /^org\.freedesktop\.DBus\.Error\.(ServiceUnknown|NameHasNoOwner|Spawn\.\w+|Disconnected|NoReply)$/.test(
      error.errorName,
    ) || /^org\.freedesktop\.PolicyKit1\.Error\.(Failed|Cancelled|NotAuthorized)$/.test(error.errorName)
  );
}

function subjectOf(subject: Subject): readonly [string, readonly (readonly [string, Variant])[]] {
  if (subject.kind === "bus-name") return ["system-bus-name", [["name", new Variant("s", subject.name)]]];
  return [
    "unix-process",
    [
      ["pid", new Variant("u", subject.pid)],
      ["start-time", new Variant("t", startTime(subject.pid))],
      ["uid", new Variant("i", subject.uid)],
    ],
  ];
}

/** Field 22 of /proc/PID/stat; the name of the command before it may contain anything. */
function startTime(pid: number): bigint {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return BigInt(fields[19] ?? "0");
  } catch {
    throw new MachinedError("AccessDenied", "Access denied");
  }
}
