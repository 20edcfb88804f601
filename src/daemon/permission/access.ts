// Derives the polkit checks of a call from the access rule of its method's row.
import type { Access, PolkitRule } from "../../api/access.ts";
import type { Permission } from "./authority.ts";

/** What an action contributes to the permission that it needs: its subject, and details for polkit rules. */
export interface Grant {
  /** The name of the machine or image; absent where the call is about all of them. */
  readonly subject?: string;
  /** The machine is the host itself. */
  readonly isHost?: boolean;
  /** The user who registered the machine. */
  readonly ownerUid?: number;
  /** Which of the row's variants applies. */
  readonly variant?: string;
  readonly details?: Readonly<Record<string, string>>;
}

/**
 * Returns the permissions of which the caller needs one; only the last may ask the user. Empty where the call needs
 * none. `grant` is null where the action needs no permission for these arguments; `hostVersion` is the host's systemd
 * release. Throws an internal error where action and row contradict each other, so that the call is refused.
 */
export function permissionsOf(access: Access, grant: Grant | null, hostVersion: number): Permission[] {
  const rule = ruleOf(access, grant);
  if (grant === null) {
    if (rule === null || rule.when !== undefined) return [];
    throw new Error("The row of the method asks for a permission that its action does not need");
  }
  if (rule === null) throw new Error("The action needs a permission that the row of its method does not name");
  if (rule.since !== undefined && hostVersion < rule.since) return [];
  const details = detailsOf(rule, grant);
  const action = grant.isHost === true && rule.hostAction !== undefined ? rule.hostAction : rule.action;
  const owner = rule.owner === true && grant.ownerUid !== undefined ? { ownerUid: grant.ownerUid } : {};
  const { instead } = rule;
  const also = instead !== undefined && hostVersion < (instead.before ?? Infinity) ? [instead.action] : [];
  return [...also, action].map((id) => ({ action: id, details, ...owner }));
}

function ruleOf(access: Access, grant: Grant | null): PolkitRule | null {
  if (typeof access === "string") return null;
  if (!("variants" in access)) return access;
  const variant = grant?.variant ?? "";
  const rule = Object.hasOwn(access.variants, variant) ? access.variants[variant] : undefined;
  if (rule === undefined) throw new Error(`The row of the method has no permission for the variant '${variant}'`);
  return rule;
}

function detailsOf(rule: PolkitRule, grant: Grant): Readonly<Record<string, string>> {
  const details: Record<string, string> = {};
  if (rule.subject !== undefined && grant.subject !== undefined) details[rule.subject] = grant.subject;
  if (rule.verb !== undefined) details["verb"] = rule.verb;
  for (const name of rule.details ?? []) {
    const key = name.replace(/^\?/, "");
    const value = grant.details?.[key];
    if (value !== undefined) details[key] = value;
    else if (key === name) throw new Error(`The action does not fill in the detail '${key}'`);
  }
  return details;
}
