// The control groups and processes of a unit as a tree, drawn by `status` in the form of systemd-cgls(1).

import { compareBytes } from "../../base/byte-order.ts";
import { onOneLine } from "../../base/text/control-characters.ts";
import { displayWidth, ellipsize } from "../../base/text/format.ts";
import type { Json } from "./json.ts";
import type { Terminal } from "./terminal.ts";

/** A process in the form of GetUnitProcesses() of the service manager. */
export interface UnitProcess {
  readonly cgroup: string;
  readonly pid: number;
  readonly command: string;
}

/** The processes of a unit. */
export interface UnitProcesses {
  /** The control group of the unit itself; those of processes may be below it or elsewhere. */
  readonly cgroup: string;
  readonly list: readonly UnitProcess[];
}

/** A control group; its processes are sorted by number, its children by name. */
export interface ProcessTree {
  readonly path: string;
  readonly processes: readonly UnitProcess[];
  readonly children: readonly ProcessTree[];
}

const LEAST_COMMAND_WIDTH = 20;

function normal(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  return trimmed === "" ? "/" : trimmed;
}

function parentOf(path: string): string | null {
  if (path === "/") return null;
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function isWithin(path: string, root: string): boolean {
  return path === root || root === "/" || path.startsWith(`${root}/`);
}

/**
 * Returns the tree below a control group, and the processes of the list that are not in it. Groups without processes in
 * or below them are left out; `root` is null when no process is in the tree.
 */
export function processTree(
  list: readonly UnitProcess[],
  rootPath: string,
): { root: ProcessTree | null; elsewhere: readonly UnitProcess[] } {
  const root = normal(rootPath);
  const own = new Map<string, UnitProcess[]>();
  const children = new Map<string, Set<string>>();
  const elsewhere: UnitProcess[] = [];
  for (const process of list) {
    const path = normal(process.cgroup);
    if (!isWithin(path, root)) {
      elsewhere.push(process);
      continue;
    }
    const known = own.get(path);
    if (known === undefined) own.set(path, [process]);
    else known.push(process);
    // Up to a group that another process has added already, with those above it.
    for (let at = path; at !== root; ) {
      const parent = parentOf(at) ?? root;
      const siblings = children.get(parent);
      if (siblings?.has(at)) break;
      children.set(parent, (siblings ?? new Set()).add(at));
      at = parent;
    }
  }
  const grow = (path: string): ProcessTree => ({
    path,
    processes: (own.get(path) ?? []).sort((a, b) => a.pid - b.pid),
    children: [...(children.get(path) ?? [])].sort(compareBytes).map(grow),
  });
  const isEmpty = own.size === 0;
  return { root: isEmpty ? null : grow(root), elsewhere: elsewhere.sort((a, b) => a.pid - b.pid) };
}

interface TreeForm {
  readonly terminal: Terminal;
  readonly prefix: string;
  /** Columns for tree and command together; commands are shortened to it. Null prints them whole. */
  readonly width: number | null;
}

function processLine(process: UnitProcess, glyph: string, pidWidth: number, form: TreeForm): string {
  const { paint, glyphs } = form.terminal;
  const pid = String(process.pid).padStart(pidWidth);
  const room = form.width === null ? null : form.width - displayWidth(glyph) - pidWidth - 1;
  const whole = onOneLine(process.command);
  const command = room === null ? whole : ellipsize(whole, Math.max(room, LEAST_COMMAND_WIDTH), glyphs.ellipsis);
  return `${form.prefix}${glyph}${paint.grey}${pid} ${command}${paint.normal}\n`;
}

function pidWidth(processes: readonly UnitProcess[]): number {
  return String(processes.at(-1)?.pid ?? 0).length;
}

/** Draws a tree: one line for each process and each group, without a line for the root itself. */
export function drawTree(tree: ProcessTree, form: TreeForm): string {
  const { glyphs } = form.terminal;
  const count = tree.processes.length + tree.children.length;
  const isLast = (index: number) => index === count - 1;
  const width = pidWidth(tree.processes);
  const processes = tree.processes.map((process, index) =>
    processLine(process, isLast(index) ? glyphs.lastBranch : glyphs.branch, width, form),
  );
  const groups = tree.children.map((child, position) => {
    const last = isLast(tree.processes.length + position);
    const name = child.path.slice(child.path.lastIndexOf("/") + 1);
    const inner = {
      ...form,
      prefix: form.prefix + (last ? glyphs.space : glyphs.vertical),
      width: form.width === null ? null : Math.max(form.width - 2, 0),
    };
    return `${form.prefix}${last ? glyphs.lastBranch : glyphs.branch}${name}\n${drawTree(child, inner)}`;
  });
  return processes.join("") + groups.join("");
}

/** Draws processes that belong to a unit but are outside of its control group, as a flat list. */
export function drawElsewhere(processes: readonly UnitProcess[], form: TreeForm): string {
  const width = pidWidth(processes);
  return processes.map((process) => processLine(process, `${form.terminal.glyphs.bullet} `, width, form)).join("");
}

/** Returns a tree as JSON, in the form of docs/json.md. */
export function treeJson(tree: ProcessTree | null): Json {
  if (tree === null) return null;
  return {
    cgroup: tree.path,
    processes: tree.processes.map(({ pid, command }) => ({ pid, command })),
    children: tree.children.map(treeJson),
  };
}
