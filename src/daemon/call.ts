// One call on its way into an action, whichever transport brought it.
import type { Access } from "../api/access.ts";
import type { Asking } from "./authority.ts";

export interface Call extends Asking {
  readonly transport: "bus" | "varlink";
  /** Who may call the method, as its row says. */
  readonly access: Access;
}
