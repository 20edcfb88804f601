// Which program is process 1 of a host, or will be of a tree of files: what starts our daemons at boot follows from it.

/** What is looked at. */
export interface Signs {
  /** The name of process 1; of a tree, of the program that /sbin/init leads to. Empty where that is unknown. */
  readonly first: string;
  /** Whether a path of the host or the tree exists. */
  has(path: string): boolean;
}

interface Sign {
  readonly init: "systemd" | "OpenRC" | "runit" | "s6" | "sysvinit";
  isHere(signs: Signs): boolean;
}

export type InitName = Sign["init"];

/** Where OpenRC runs, and where it is installed. */
const OPENRC = ["/run/openrc", "/sbin/openrc", "/usr/sbin/openrc"];

/** The first that is here is the one. OpenRC and sysvinit share a process 1 of the same name: OpenRC has more signs. */
const SIGNS: readonly Sign[] = [
  { init: "systemd", isHere: ({ first, has }) => first === "systemd" || has("/run/systemd/system") },
  { init: "runit", isHere: ({ first }) => first === "runit" || first === "runit-init" },
  { init: "s6", isHere: ({ first }) => first === "s6-svscan" || first === "s6-linux-init" },
  { init: "OpenRC", isHere: ({ first, has }) => /^(init|busybox|openrc-init)$/.test(first) && OPENRC.some(has) },
  { init: "sysvinit", isHere: ({ first, has }) => first === "init" && has("/etc/init.d") && runlevels(has) !== null },
];

/** The directory of the directories `rcN.d`; null where the host has none. */
export function runlevels(has: Signs["has"]): string | null {
  return ["/etc/rc.d", "/etc"].find((path) => has(`${path}/rc2.d`)) ?? null;
}

/** The init of a host or a tree; null where it is none of those that we know. */
export function initOf(signs: Signs): InitName | null {
  return SIGNS.find(({ isHere }) => isHere(signs))?.init ?? null;
}
