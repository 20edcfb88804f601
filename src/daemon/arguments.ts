// The command line of a daemon (systemd-machined.service(8), systemd-importd.service(8)).
import { type OptionRow, parseOptions } from "../base/getopt.ts";
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

interface DescribedOption extends OptionRow<Settings, null> {
  readonly valueHint?: string;
  readonly description: string;
}

/** The options of a daemon; its help text and manual page are generated from them. */
export const DAEMON_OPTIONS: Readonly<Record<string, DescribedOption>> = {
  help: {
    type: "boolean",
    alias: "h",
    description: "Show this help",
    apply: (settings) => act(settings, { kind: "help" }),
  },
  version: {
    type: "boolean",
    description: "Show the version",
    apply: (settings) => act(settings, { kind: "version" }),
  },
  "bus-introspect": {
    type: "string",
    valueHint: "PATH",
    description: 'Print the D-Bus interfaces of an object as XML; "list" prints the paths',
    apply: (settings, path) => act(settings, { kind: "introspect", path }),
  },
  system: {
    type: "boolean",
    description: "Serve the whole host (default)",
    apply: (settings) => serve(settings, "system"),
  },
  user: {
    type: "boolean",
    description: "Serve the calling user",
    apply: (settings) => serve(settings, "user"),
  },
};

class UsageError extends Error {}

/** Parses the arguments; options take effect from left to right. Returns a mistake as kind "error". */
export function parseArguments(args: readonly string[]): Command {
  const settings: Settings = { command: { kind: "run", scope: "system" } };
  try {
    const fail = (text: string) => new UsageError(text);
    const { words, finish } = parseOptions(args, settings, { options: DAEMON_OPTIONS, context: null, fail });
    if (finish === null && words.length > 0) throw fail("This program takes no arguments.");
    return settings.command;
  } catch (error) {
    if (error instanceof UsageError) return { kind: "error", message: error.message };
    throw error;
  }
}
