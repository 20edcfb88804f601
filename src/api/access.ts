// Who may call a method: a field of each method's row, on both transports. From it follow the question to polkit
// (daemon/access.ts), the list of calls in the D-Bus policy, and docs/actions.md.
import type { PolkitActionId } from "./polkit-actions.ts";

/** What polkit is asked before a method is carried out. */
export interface PolkitRule {
  readonly action: PolkitActionId;
  /** The action where the machine is the host itself. */
  readonly hostAction?: PolkitActionId;
  /** A permission that is enough as well. It is asked for first, without asking a person. */
  readonly instead?: {
    readonly action: PolkitActionId;
    /** Only on hosts whose systemd is older than this release. */
    readonly before?: number;
  };
  /** Hosts whose systemd is older than this release ask for no permission. */
  readonly since?: number;
  /** The key of the details that names the machine or image. */
  readonly subject?: "machine" | "name" | "image";
  /** The value of the detail `verb`. */
  readonly verb?: string;
  /** The keys of further details, which the action fills in; one that begins with "?" may be absent. */
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

/** The rules of a row, by the name of the variant ("" where there is one rule). */
export function rulesOf(access: Access): (readonly [variant: string, PolkitRule])[] {
  if (typeof access === "string") return [];
  return "variants" in access ? Object.entries(access.variants) : [["", access]];
}
