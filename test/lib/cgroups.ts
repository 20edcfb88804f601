// What this host has of control groups, for beds that are booted with those of version 1 (`bed boot --cgroup v1`).
import { readFileSync } from "node:fs";

/** Whether hierarchies of version 1 with controllers are mounted here: a bed has those of its host. */
export const hasCgroupV1 = /^cgroup \S+ cgroup \S*memory/m.test(readFileSync("/proc/mounts", "utf8"));
