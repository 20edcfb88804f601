// Which of the everyday checks fail with the distribution's programs, and why. With machined's, none may fail.
import type { Tree } from "../lib/host-suite.ts";

type Reasons = Readonly<Record<string, string>>;

const NO_USER_NAMESPACE = "refuses bind mounts into a container with a user namespace";
const LOGIN = "the first login after a hangup sometimes ends at once";

export const failsWithStock: Readonly<Record<Tree, Reasons>> = {
  bookworm: { "bind-userns": NO_USER_NAMESPACE },
  trixie: { "bind-userns": NO_USER_NAMESPACE, "login-expect": LOGIN },
  forky: {
    "bind-userns": NO_USER_NAMESPACE,
    "login-expect": LOGIN,
    "ps-machine": "no link from unit to machine where the leader is in a subgroup",
  },
};
