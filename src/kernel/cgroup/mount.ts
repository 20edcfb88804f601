// Finds the mounted control group hierarchies: cgroups(7).

import { openPath } from "../file/fd.ts";
import { readRegular } from "../file/regular-file.ts";
import { SyscallError } from "../syscall/sys.ts";

interface CgroupRoot {
  readonly mount: string;
  /**
   * Whether it is version 2, which reports empty groups and kills whole groups; else it is version 1's `name=systemd`.
   */
  readonly unified: boolean;
}

const LIMIT_BYTES = 16 * 1024 * 1024;
let known: CgroupRoot | undefined;

/**
 * Returns the hierarchy in which systemd (or we) track the processes of machines. A hybrid host has both versions with
 * the same groups: version 2 is used, because it reports more. Throws `ENOENT` where neither is mounted.
 */
export function cgroupRoot(): CgroupRoot {
  if (known === undefined) {
    using table = openPath("/proc/self/mountinfo", "read");
    known = findCgroupRoot(readRegular(table, LIMIT_BYTES).toString());
  }
  return known;
}

/** Returns `cgroupRoot()` for the text of a /proc/self/mountinfo. */
export function findCgroupRoot(mountinfo: string): CgroupRoot {
  const mounts = mountinfo.split("\n").map(parseLine);
  const unified = mounts.filter((mount) => mount.type === "cgroup2").map(({ path }) => path);
  const usual = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find((path) => unified.includes(path));
  if (usual !== undefined) return { mount: usual, unified: true };
  const legacy = mounts.find((mount) => mount.type === "cgroup" && mount.options.includes("name=systemd"));
  if (legacy !== undefined) return { mount: legacy.path, unified: false };
  if (unified[0] !== undefined) return { mount: unified[0], unified: true };
  throw new SyscallError("cgroup", "ENOENT", undefined, "No control group hierarchy is mounted");
}

/** A control group hierarchy, by its controllers field in /proc/PID/cgroup: "" for version 2. */
interface CgroupHierarchy {
  readonly controllers: string;
  readonly mount: string;
}

/** Options of a version 1 mount that are not controllers. */
const NO_CONTROLLER =
  /^(rw|ro|xattr|noprefix|clone_children|cpuset_v2_mode|favordynmods|release_agent=.*|seclabel|(fs|def|root)?context=.*)$/;

/** Options of SELinux with a label, whose categories are separated by commas within quotes. */
const QUOTED_LABEL = /(fs|def|root)?context="[^"]*",?/g;

/** Returns all hierarchies whose root is mounted. */
export function cgroupHierarchies(): CgroupHierarchy[] {
  using table = openPath("/proc/self/mountinfo", "read");
  return findCgroupHierarchies(readRegular(table, LIMIT_BYTES).toString());
}

/** Where each controller's hierarchy is mounted; version 2 is the controller "". */
export type CgroupMounts = ReadonlyMap<string, string>;

/** Returns the mounts of all controllers. */
export function cgroupMounts(): CgroupMounts {
  return new Map(
    cgroupHierarchies().flatMap(({ controllers, mount }) =>
      controllers.split(",").map((name) => [name, mount] as const),
    ),
  );
}

/** Returns `cgroupHierarchies()` for the text of a /proc/self/mountinfo. */
export function findCgroupHierarchies(mountinfo: string): CgroupHierarchy[] {
  const found = new Map<string, string>();
  // Hosts may have thousands of mounts; few of them are of control groups.
  const lines = mountinfo.split("\n").filter((line) => line.includes(" - cgroup"));
  for (const { path, root, type, options } of lines.map(parseLine)) {
    if (root !== "/" || (type !== "cgroup" && type !== "cgroup2")) continue;
    const controllers = type === "cgroup2" ? "" : options.filter((option) => !NO_CONTROLLER.test(option)).join(",");
    if (!found.has(controllers)) found.set(controllers, path);
  }
  return [...found].map(([controllers, mount]) => ({ controllers, mount }));
}

/** `36 35 98:0 /root /mount/point options… - type source super,options`: proc_pid_mountinfo(5). */
function parseLine(line: string) {
  const [head = "", tail = ""] = line.split(" - ");
  const [type = "", , options = ""] = tail.replace(QUOTED_LABEL, "").split(" ");
  const path = (head.split(" ")[4] ?? "").replace(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return { path, root: head.split(" ")[3] ?? "", type, options: options.split(",") };
}
