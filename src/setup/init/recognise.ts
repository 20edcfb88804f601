// Recognises the init of a host, or of a tree of files that will be booted. It decides how the daemons are started at
// boot.

/** The facts by which an init is recognised. */
export interface Signs {
  /** The name of process 1, or for a tree, of the program that /sbin/init links to; empty if it is unknown. */
  readonly first: string;
  /** Whether a path of the host or the tree exists. */
  has(path: string): boolean;
}

interface Sign {
  readonly init: "systemd" | "OpenRC" | "runit" | "s6" | "sysvinit";
  isHere(signs: Signs): boolean;
}

export type InitName = Sign["init"];

/** A directory of a running OpenRC, and paths of an installed one. */
const OPENRC = ["/run/openrc", "/sbin/openrc", "/usr/sbin/openrc"];

/** The first row that matches is the init. OpenRC precedes sysvinit, because process 1 has the same name for both. */
const SIGNS: readonly Sign[] = [
  { init: "systemd", isHere: ({ first, has }) => first === "systemd" || has("/run/systemd/system") },
  { init: "runit", isHere: ({ first }) => first === "runit" || first === "runit-init" },
  { init: "s6", isHere: ({ first }) => first === "s6-svscan" || first === "s6-linux-init" },
  { init: "OpenRC", isHere: ({ first, has }) => /^(init|busybox|openrc-init)$/.test(first) && OPENRC.some(has) },
  { init: "sysvinit", isHere: ({ first, has }) => first === "init" && has("/etc/init.d") && runlevels(has) !== null },
];

/** Returns the directory that contains the directories `rcN.d`; null if the host has none. */
export function runlevels(has: Signs["has"]): string | null {
  return ["/etc/rc.d", "/etc"].find((path) => has(`${path}/rc2.d`)) ?? null;
}

/** Returns the init of a host or a tree; null if it is none of the known ones. */
export function initOf(signs: Signs): InitName | null {
  return SIGNS.find(({ isHere }) => isHere(signs))?.init ?? null;
}
