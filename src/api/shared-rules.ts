// Permissions that methods of both transports share, and the systemd releases that introduced them.
import type { PolkitRule } from "./access.ts";

/** The systemd release since which polkit decides who may look into machines; before it, everybody may. */
export const INSPECT_MACHINES_SINCE = 261;

/** The permissions to open a terminal in a machine, by what runs on it. */
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

/** The permissions to register a machine: in its present unit (`register`), or in a new scope (`create`). */
export const REGISTRATION_RULES = {
  register: { action: "org.freedesktop.machine1.register-machine", details: ["name", "class"], note: LEADER },
  create: { action: "org.freedesktop.machine1.create-machine", details: ["name", "class"], note: LEADER },
} as const satisfies Readonly<Record<string, PolkitRule>>;

/** From systemd 257 on, cancelling a transfer has an action of its own; before, the action of pulling is sufficient. */
export const CANCEL_RULE: PolkitRule = {
  action: "org.freedesktop.import1.cancel",
  instead: { action: "org.freedesktop.import1.pull", before: 257 },
};
