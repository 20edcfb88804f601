// Permissions that methods of both transports have in common, and the releases in which they came.
import type { PolkitRule } from "./access.ts";

/** Since this release polkit decides who may look into machines; before, everybody may. */
export const INSPECT_MACHINES_SINCE = 261;

/** The permissions to open a terminal in a machine, by what is at its other end. */
export const TERMINAL_RULES = {
  tty: {
    action: "org.freedesktop.machine1.open-pty",
    hostAction: "org.freedesktop.machine1.host-open-pty",
    subject: "machine",
    owner: true,
  },
  login: {
    action: "org.freedesktop.machine1.login",
    hostAction: "org.freedesktop.machine1.host-login",
    subject: "machine",
    verb: "login",
    owner: true,
  },
  shell: {
    action: "org.freedesktop.machine1.shell",
    hostAction: "org.freedesktop.machine1.host-shell",
    subject: "machine",
    verb: "shell",
    details: ["user", "program", "command_line"],
    owner: true,
  },
} as const satisfies Readonly<Record<string, PolkitRule>>;

const LEADER = "the caller owns the leader, or an administrator authenticated";

/** The permissions to register a machine: in the unit that it is in, or in a scope made for it. */
export const REGISTRATION_RULES = {
  register: { action: "org.freedesktop.machine1.register-machine", details: ["name", "class"], note: LEADER },
  create: { action: "org.freedesktop.machine1.create-machine", details: ["name", "class"], note: LEADER },
} as const satisfies Readonly<Record<string, PolkitRule>>;

/** Since this release of systemd cancelling a transfer has an action of its own; before, it was that of pulling. */
export const CANCEL_RULE: PolkitRule = {
  action: "org.freedesktop.import1.cancel",
  instead: { action: "org.freedesktop.import1.pull", before: 257 },
};
