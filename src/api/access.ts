// Who may call a method: a field of each method's row, on both transports. The polkit check
// (daemon/permission/access.ts), the list of calls in the D-Bus policy and docs/actions.md are derived from it.
import type { PolkitActionId } from "./polkit-actions.ts";

/** The polkit check that precedes a method. */
export interface PolkitRule {
  readonly action: PolkitActionId;
  /** Replaces `action` where the machine is `.host`. */
  readonly hostAction?: PolkitActionId;
  /** An action whose permission is sufficient too. It is checked first, without interaction. */
  readonly instead?: {
    readonly action: PolkitActionId;
    /** Only on hosts whose systemd is older than this release. */
    readonly before?: number;
  };
  /** On hosts whose systemd is older than this release, no permission is needed. */
  readonly since?: number;
  /** The key under which the details of the check name the machine or image. */
  readonly subject?: "machine" | "name" | "image";
  /** The value of the detail `verb`. */
  readonly verb?: string;
  /** The keys of further details, whose values the action supplies; one that begins with "?" may be absent. */
  readonly details?: readonly string[];
  /** The user who registered the machine needs no permission. */
  readonly owner?: true;
  /** When the permission is needed, for the documentation: only some calls of the method need it. */
  readonly when?: string;
  /** What else is checked, for the documentation. */
  readonly note?: string;
}

/**
 * `everyone`: no permission is needed. `privileged`: root and the daemon's own user only, checked before the arguments.
 * `variants`: the rule depends on the arguments; the action says which one applies.
 */
export type Access =
  | "everyone"
  | "privileged"
  | PolkitRule
  | { readonly variants: Readonly<Record<string, PolkitRule>> };

/** Returns the rules of a row, by the name of the variant ("" where there is one rule). */
export function rulesOf(access: Access): (readonly [variant: string, PolkitRule])[] {
  if (typeof access === "string") return [];
  return "variants" in access ? Object.entries(access.variants) : [["", access]];
}
