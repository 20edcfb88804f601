// The control group hierarchies of this host, for beds that are booted with version 1 (`bed boot --cgroup v1`).
import { readFileSync } from "node:fs";

/** Whether hierarchies of version 1 with controllers are mounted on this host; a bed uses those of its host. */
export const hasCgroupV1 = /^cgroup \S+ cgroup \S*memory/m.test(readFileSync("/proc/mounts", "utf8"));
