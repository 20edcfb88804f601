// Decides whether a caller may do something. Root and the daemon's own user may, the owner of a machine may where the
// method's row says so, polkit decides about everyone else. Calls of both transports are decided here.
import { MachinedError } from "../base/error.ts";
import { isPrivileged } from "../ipc/caller.ts";
import type { Asking, Authority, Permission } from "./authority.ts";

export type { Permission } from "./authority.ts";

const NO_DETAILS: ReadonlyMap<string, string> = new Map();

/**
 * Returns when the caller has one of the permissions, or none is needed; throws AccessDenied or
 * InteractiveAuthorizationRequired otherwise. Only about the last one is a person asked. `authority` is null on hosts
 * without a bus, where nobody can be asked. Returns the details of polkit's answer (who authenticated, for example).
 */
export async function authorize(
  authority: Authority | null,
  call: Asking,
  permissions: readonly Permission[],
): Promise<ReadonlyMap<string, string>> {
  for (const permission of permissions) {
    const isLast = permission === permissions.at(-1);
    try {
      return await authorizeOne(authority, isLast ? call : withoutAsking(call), permission);
    } catch (error) {
      if (isLast || !(error instanceof MachinedError)) throw error;
    }
  }
  return NO_DETAILS;
}

function withoutAsking(call: Asking): Asking {
  return { interactive: false, caller: () => call.caller(), onGone: (handler) => call.onGone(handler) };
}

async function authorizeOne(
  authority: Authority | null,
  call: Asking,
  permission: Permission,
): Promise<ReadonlyMap<string, string>> {
  const caller = await call.caller();
  if (isPrivileged(caller) || caller.uid === permission.ownerUid) return NO_DETAILS;
  if (authority === null) throw new MachinedError("AccessDenied", "Access denied");
  const { authorized, challenge, details } = await authority.ask(call, caller, permission);
  if (authorized) return details;
  if (challenge) throw new MachinedError("InteractiveAuthorizationRequired", INTERACTIVE);
  throw new MachinedError("AccessDenied", "Access denied");
}

const INTERACTIVE =
  "Access denied as the requested operation requires interactive authentication. " +
  "However, interactive authentication has not been enabled by the calling program.";
