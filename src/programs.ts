// The programs of the executable: the name, the purpose and the module of each. A module is loaded when its program is
// called, so that no program waits for the code of another one.

/** Takes the arguments after the program's name; returns the exit code. */
type Program = (args: string[]) => Promise<number>;

/**
 * Who calls a program: users of the host (`client`), service managers (`daemon`), users as a verb of `machined`
 * (`verb`: a file with the name `install` does not select it), or our own programs and systemd's (`internal`).
 */
type ProgramKind = "verb" | "client" | "daemon" | "internal";

export interface ProgramRow {
  readonly kind: ProgramKind;
  /** Printed by `machined help`. At most 29 columns, so that a line fits a terminal of 50. */
  readonly summary: string;
  readonly load: () => Promise<{ main: Program }>;
}

/** The table of programs, in the order in which `machined help` prints them. */
export const PROGRAMS: Readonly<Record<string, ProgramRow>> = {
  install: { kind: "verb", summary: "Install machined on this host", load: () => import("./setup/install.ts") },
  uninstall: { kind: "verb", summary: "Remove it from this host", load: () => import("./setup/uninstall.ts") },
  doctor: {
    kind: "verb",
    summary: "Check this host for problems",
    load: async () => {
      const machinectl = await import("./cli/program/machinectl.ts");
      return { main: (args) => machinectl.main(["doctor", ...args]) };
    },
  },
  bridge: { kind: "verb", summary: "Serve machinectl -H over ssh", load: () => import("./bridge/main.ts") },
  fleet: { kind: "verb", summary: "Connect this host to NATS", load: () => import("./fleetd/main.ts") },
  machinectl: {
    kind: "client",
    summary: "Manage machines and images",
    load: () => import("./cli/program/machinectl.ts"),
  },
  importctl: {
    kind: "client",
    summary: "Transfer images",
    load: () => import("./cli/program/importctl.ts"),
  },
  "nss-mymachines": { kind: "client", summary: "Look up names of machines", load: () => import("./nss/lookup.ts") },
  "systemd-machined": { kind: "daemon", summary: "Keeps the registry", load: () => import("./machined/main.ts") },
  "systemd-importd": { kind: "daemon", summary: "Runs transfers of images", load: () => import("./importd/main.ts") },
  "machined-exec": { kind: "daemon", summary: "Runs commands for users", load: () => import("./execd/main.ts") },
  "machined-exec-command": { kind: "internal", summary: "Begins a command", load: () => import("./exec/command.ts") },
  "machined-inventory": {
    kind: "internal",
    summary: "Machines for Ansible",
    load: () => import("./cli/program/machined-inventory.ts"),
  },
  "machined-rsh": {
    kind: "internal",
    summary: "Enters machines like ssh",
    load: () => import("./cli/exec/remote-shell.ts"),
  },
  "machined-worker": { kind: "internal", summary: "Works on images and files", load: () => import("./worker/main.ts") },
  "systemd-import": {
    kind: "internal",
    summary: "Imports an image file",
    load: () => import("./worker/transfer/import.ts"),
  },
  "systemd-import-fs": {
    kind: "internal",
    summary: "Imports a directory",
    load: () => import("./worker/transfer/import-fs.ts"),
  },
  "systemd-export": {
    kind: "internal",
    summary: "Exports an image",
    load: () => import("./worker/transfer/export.ts"),
  },
  "systemd-pull": {
    kind: "internal",
    summary: "Downloads an image",
    load: () => import("./worker/transfer/pull.ts"),
  },
  "systemd-import-sweep": {
    kind: "internal",
    summary: "Removes left-over transfers",
    load: () => import("./worker/transfer/sweep.ts"),
  },
};

/** Returns the row of a program, or null for an unknown name. */
export function programOf(name: string): ProgramRow | null {
  return Object.hasOwn(PROGRAMS, name) ? (PROGRAMS[name] as ProgramRow) : null;
}
