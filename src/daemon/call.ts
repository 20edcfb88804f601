// One call on its way into an action, whichever transport brought it.
import type { Asking } from "./authority.ts";

export interface Call extends Asking {
  readonly transport: "bus" | "varlink";
}
