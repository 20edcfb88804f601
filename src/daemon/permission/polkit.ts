// Decides whether a caller is authorized, for calls of both transports. Root and the daemon's own user are; so is the
// owner of a machine where the method's row says so; polkit decides about everyone else.
import { MachinedError } from "../../base/error.ts";
import { isPrivileged } from "../../ipc/caller.ts";
import type { Asking, Authority, Permission } from "./authority.ts";

export type { Permission } from "./authority.ts";

const NO_DETAILS: ReadonlyMap<string, string> = new Map();

/**
 * Checks that the caller has one of the permissions, or that the list is empty; throws AccessDenied or
 * InteractiveAuthorizationRequired otherwise. Only the last check is interactive. `authority` is null without a bus:
 * then unprivileged callers are refused. Returns the details of polkit's reply (for example, who authenticated).
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
