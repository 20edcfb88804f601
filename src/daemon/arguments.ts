// The command line of a daemon (systemd-machined.service(8), systemd-importd.service(8)).
import { type OptionTable, parseOptions } from "../base/getopt.ts";
import type { ScopeKind } from "./scope.ts";

type Command =
  | { readonly kind: "run"; readonly scope: ScopeKind }
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "introspect"; readonly path: string }
  | { readonly kind: "error"; readonly message: string };

interface Settings {
  command: Command;
}

function act(settings: Settings, command: Command): () => void {
  settings.command = command;
  return () => {};
}

function serve(settings: Settings, scope: ScopeKind): void {
  settings.command = { kind: "run", scope };
}

const OPTIONS: OptionTable<Settings, null> = {
  help: { type: "boolean", alias: "h", apply: (settings) => act(settings, { kind: "help" }) },
  version: { type: "boolean", apply: (settings) => act(settings, { kind: "version" }) },
  "bus-introspect": { type: "string", apply: (settings, path) => act(settings, { kind: "introspect", path }) },
  system: { type: "boolean", apply: (settings) => serve(settings, "system") },
  user: { type: "boolean", apply: (settings) => serve(settings, "user") },
};

class Mistake extends Error {}

/** Reads the arguments; options take effect from left to right. */
export function parseArguments(args: readonly string[]): Command {
  const settings: Settings = { command: { kind: "run", scope: "system" } };
  try {
    const fail = (text: string) => new Mistake(text);
    const { words, finish } = parseOptions(args, settings, { options: OPTIONS, context: null, fail });
    if (finish === null && words.length > 0) throw fail("This program takes no arguments.");
    return settings.command;
  } catch (error) {
    if (error instanceof Mistake) return { kind: "error", message: error.message };
    throw error;
  }
}
