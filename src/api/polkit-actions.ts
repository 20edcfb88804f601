// The polkit actions of both daemons. Ids, defaults and implied actions equal the original's, because rules of
// administrators refer to them. The descriptions are our own. `npm run docs` writes
// install/polkit-1/actions/*.policy and docs/actions.md from this table.

export interface PolkitAction {
  /** The title of the action in administration tools. */
  readonly description: string;
  /** The text beside the prompt for a password. */
  readonly message: string;
  /** The default for users of an active local session; everybody else needs an administrator's password. */
  readonly active: "yes" | "auth_admin_keep";
  /** Actions that its permission includes. */
  readonly implies?: readonly string[];
}

function definePolkitActions<const Actions extends Readonly<Record<string, PolkitAction>>>(actions: Actions): Actions {
  return actions;
}

/** The actions of org.freedesktop.machine1, in the order of the policy file. */
export const MACHINE1_ACTIONS = definePolkitActions({
  "org.freedesktop.machine1.login": {
    description: "Log in to a machine",
    message: "Logging in to a container needs authentication.",
    active: "auth_admin_keep",
  },
  "org.freedesktop.machine1.host-login": {
    description: "Log in to this host",
    message: "Logging in to this host needs authentication.",
    active: "yes",
  },
  "org.freedesktop.machine1.shell": {
    description: "Open a shell in a machine",
    message: "Opening a shell in a container needs authentication.",
    active: "auth_admin_keep",
    implies: ["org.freedesktop.login1.login"],
  },
  "org.freedesktop.machine1.host-shell": {
    description: "Open a shell on this host",
    message: "Opening a shell on this host needs authentication.",
    active: "auth_admin_keep",
    implies: ["org.freedesktop.login1.host-login"],
  },
  "org.freedesktop.machine1.open-pty": {
    description: "Open a pseudo terminal in a machine",
    message: "Opening a pseudo terminal in a container needs authentication.",
    active: "auth_admin_keep",
  },
  "org.freedesktop.machine1.host-open-pty": {
    description: "Open a pseudo terminal on this host",
    message: "Opening a pseudo terminal on this host needs authentication.",
    active: "auth_admin_keep",
  },
  "org.freedesktop.machine1.manage-machines": {
    description: "Manage machines",
    message: "Managing virtual machines and containers needs authentication.",
    active: "auth_admin_keep",
    implies: [
      "org.freedesktop.login1.shell",
      "org.freedesktop.login1.login",
      "org.freedesktop.machine1.inspect-machines",
    ],
  },
  "org.freedesktop.machine1.inspect-machines": {
    description: "Inspect machines",
    message: "Reading from inside virtual machines and containers needs authentication.",
    active: "auth_admin_keep",
  },
  "org.freedesktop.machine1.create-machine": {
    description: "Create a machine",
    message: "Creating a virtual machine or container needs authentication.",
    active: "auth_admin_keep",
    implies: [
      "org.freedesktop.login1.shell",
      "org.freedesktop.login1.login",
      "org.freedesktop.machine1.register-machine",
    ],
  },
  "org.freedesktop.machine1.register-machine": {
    description: "Register a machine",
    message: "Registering a virtual machine or container needs authentication.",
    active: "yes",
  },
  "org.freedesktop.machine1.manage-images": {
    description: "Manage machine images",
    message: "Managing images of virtual machines and containers needs authentication.",
    active: "auth_admin_keep",
    implies: ["org.freedesktop.machine1.inspect-images"],
  },
  "org.freedesktop.machine1.inspect-images": {
    description: "Inspect machine images",
    message: "Reading from images of virtual machines and containers needs authentication.",
    active: "auth_admin_keep",
  },
});

/** The actions of org.freedesktop.import1, in the order of the policy file. */
export const IMPORT1_ACTIONS = definePolkitActions({
  "org.freedesktop.import1.import": {
    description: "Make an image of a file",
    message: "Importing an image needs authentication.",
    active: "auth_admin_keep",
  },
  "org.freedesktop.import1.export": {
    description: "Write an image to a file",
    message: "Exporting an image needs authentication.",
    active: "auth_admin_keep",
  },
  "org.freedesktop.import1.pull": {
    description: "Download an image",
    message: "Downloading an image needs authentication.",
    active: "auth_admin_keep",
  },
  "org.freedesktop.import1.cancel": {
    description: "End a transfer of an image",
    message: "Cancelling the transfer of an image needs authentication.",
    active: "auth_admin_keep",
  },
});

export type PolkitActionId = keyof typeof MACHINE1_ACTIONS | keyof typeof IMPORT1_ACTIONS;
