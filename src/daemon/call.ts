// A call to an action, independent of the transport.
import type { Access } from "../api/access.ts";
import type { Asking } from "./permission/authority.ts";

export interface Call extends Asking {
  readonly transport: "bus" | "varlink";
  /** Who may call the method, from its row. */
  readonly access: Access;
}
