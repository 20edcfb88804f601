// Which of the everyday checks fail with the distribution's programs, and why. With ours, none may.
import type { Tree } from "../lib/host-suite.ts";

type Reasons = Readonly<Record<string, string>>;

const NO_USER_NAMESPACE = "binds nothing into a container with a user namespace";
const LOGIN = "the first login after a hangup ends at once, now and then";

export const failsWithStock: Readonly<Record<Tree, Reasons>> = {
  bookworm: { "bind-userns": NO_USER_NAMESPACE },
  trixie: { "bind-userns": NO_USER_NAMESPACE, "login-expect": LOGIN },
  forky: {
    "bind-userns": NO_USER_NAMESPACE,
    "login-expect": LOGIN,
    "ps-machine": "no link from unit to machine where the leader is in a subgroup",
  },
};
