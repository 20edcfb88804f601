// Which of the everyday checks are left out, and why. Each line is a debt or a fact; a test that passes has no line here.
import type { Tree } from "../lib/host-suite.ts";

type Reasons = Readonly<Record<string, string>>;

/** Features that this program does not have yet. */
export const notYet: Reasons = {
  ...reason("shell is not there yet", "shell", "shell-user", "shell-env", "shell-host", "bind-nouserns", "bind-userns"),
  ...reason("login is not there yet", "login", "login-expect"),
  ...reason("copying is not there yet", "copy-to", "copy-from", "copy-to-dir", "copy-tiny"),
  ...reason("the user database is not there yet", "getent-passwd", "userdbctl"),
  ...reason("image verbs are not there yet", "list-images", "image-status", "clone", "set-limit"),
  ...reason("image metadata is not there yet", "image-os-release-raw", "start-raw"),
  ...reason("transfers are not there yet", "export-import-tar", "import-raw", "pull-tar"),
};

/** Fails with every daemon, because of another program of that Debian. */
export const failsHere: Readonly<Partial<Record<Tree, Reasons>>> = {
  forky: { "ps-machine": "ps of procps 4.0.7 shows no machine names here" },
};

/** Fails with the distribution's programs. */
export const failsWithStock: Readonly<Partial<Record<Tree, Reasons>>> = {
  bookworm: { "bind-userns": "252 binds nothing into a container with a user namespace" },
  trixie: {
    "bind-userns": "257 binds nothing into a container with a user namespace",
    "login-expect": "the first login after a hangup ends at once, now and then",
  },
  forky: {
    "bind-userns": "262 binds nothing into a container with a user namespace",
    "login-expect": "the first login after a hangup ends at once, now and then",
  },
};

function reason(why: string, ...checks: string[]): Reasons {
  return Object.fromEntries(checks.map((check) => [check, why]));
}
