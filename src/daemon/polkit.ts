// Whether a caller may do something: root and the daemon's own user may, the owner of a machine may where that is said,
// everyone else is polkit's to decide. Both transports come through here.
import { MachinedError } from "../base/error.ts";
import { isPrivileged } from "../ipc/caller.ts";
import type { Asking, Authority, Permission } from "./authority.ts";

export type { Asking, Permission } from "./authority.ts";

/**
 * Returns when the caller may, throws AccessDenied or InteractiveAuthorizationRequired when it may not. `authority` is null
 * on hosts without a bus: there nobody can be asked. Gives polkit's details of its answer (who authenticated, say).
 */
export async function authorize(
  authority: Authority | null,
  call: Asking,
  permission: Permission,
): Promise<ReadonlyMap<string, string>> {
  const caller = await call.caller();
  if (isPrivileged(caller) || caller.uid === permission.ownerUid) return new Map();
  if (authority === null) throw new MachinedError("AccessDenied", "Access denied");
  const { authorized, challenge, details } = await authority.ask(call, caller, permission);
  if (authorized) return details;
  if (challenge) throw new MachinedError("InteractiveAuthorizationRequired", INTERACTIVE);
  throw new MachinedError("AccessDenied", "Access denied");
}

const INTERACTIVE =
  "Access denied as the requested operation requires interactive authentication. " +
  "However, interactive authentication has not been enabled by the calling program.";
