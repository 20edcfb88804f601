// The configuration of an image as settings of systemd-nspawn(1). An image is not trusted: only settings of its own
// first process are converted, and no value that could end a line and begin another setting (CVE-2026-40226).
import { log } from "../program/log.ts";
import { parseObject } from "./manifest.ts";

/** DEL, and all characters below the space but the tab. */
function isControl(char: string): boolean {
  return (char < " " && char !== "\t") || char === "\x7f";
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string" && isClean(one)) : [];
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" && isClean(value) ? value : null;
}

function isClean(value: string): boolean {
  const isGood = ![...value].some(isControl);
  if (!isGood) log("warning", "Image configuration has a value with control characters, leaving it out.");
  return isGood;
}

/**
 * Returns the command; empty where a word of it cannot be in a settings file: without that word it would be another
 * command.
 */
function commandOf(words: readonly unknown[]): string[] {
  const texts = words.filter((word): word is string => typeof word === "string" && ![...word].some(isControl));
  if (texts.length === words.length) return texts;
  const advice = "give a command when you run it ('machinectl run IMAGE COMMAND')";
  log(
    "warning",
    `The image's command has a word with control characters, which settings of systemd-nspawn cannot have, leaving the command out: ${advice}.`,
  );
  return [];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/**
 * Returns a word as systemd-nspawn reads it: a backslash has no meaning, and a double quote is put between single ones.
 */
function quote(value: string): string {
  return value
    .split('"')
    .map((part) => `"${part}"`)
    .join(`'"'`);
}

const USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const SIGNAL = /^(SIG[A-Z0-9+-]+|\d{1,2})$/;

/** Returns the `.nspawn` file for an image configuration; null when it has no settings. */
export function settingsOf(config: Buffer): string | null {
  const document = parseObject(config);
  const inner = document["config"];
  if (typeof inner !== "object" || inner === null) return null;
  const { Env, Entrypoint, Cmd, User, WorkingDir, StopSignal } = inner as Record<string, unknown>;
  const lines = ["[Exec]", "Boot=no"];
  const signal = text(StopSignal);
  // Without one, nspawn would kill at once; this is the default of images.
  lines.push(`KillSignal=${signal !== null && SIGNAL.test(signal) ? signal : "SIGTERM"}`);
  const user = text(User)?.split(":")[0] ?? "";
  if (USER.test(user)) lines.push(`User=${user}`);
  const directory = text(WorkingDir);
  // A backslash at the end would make the next line a part of this one.
  if (directory?.startsWith("/") && !directory.endsWith("\\")) lines.push(`WorkingDirectory=${directory}`);
  for (const variable of texts(Env))
    if (/^[A-Za-z_][A-Za-z0-9_]*=/.test(variable)) lines.push(`Environment=${quote(variable)}`);
  const command = commandOf([...listOf(Entrypoint), ...listOf(Cmd)]);
  if (command.length > 0) lines.push(`Parameters=${command.map(quote).join(" ")}`);
  return `${lines.join("\n")}\n`;
}

/** Returns the digests of the layers' content in the configuration; null where it has none. */
export function contentDigests(config: Buffer): string[] | null {
  const rootfs = parseObject(config)["rootfs"];
  const list = typeof rootfs === "object" && rootfs !== null ? (rootfs as Record<string, unknown>)["diff_ids"] : null;
  return Array.isArray(list) ? list.map(String) : null;
}
