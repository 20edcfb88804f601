// The daemon's command line (systemd-machined.service(8)).

export type Command =
  | { readonly kind: "run"; readonly scope: "system" | "user" }
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "introspect"; readonly path: string }
  | { readonly kind: "error"; readonly message: string };

export const HELP = `systemd-machined [OPTION…]

Keeps the registry of this host's virtual machines and containers.

  -h --help                 Show this help
     --version              Show the version
     --bus-introspect=PATH  Print the D-Bus interfaces of an object as XML;
                            "list" prints the paths
     --system               Serve the whole host (default)
     --user                 Serve the user this runs as

See systemd-machined.service(8), machinectl(1).
`;

/** Reads the arguments; options take effect from left to right, as getopt has it. */
export function parseArguments(args: readonly string[]): Command {
  let scope: "system" | "user" = "system";
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (arg === "-h" || arg === "--help") return { kind: "help" };
    if (arg === "--version") return { kind: "version" };
    if (arg.startsWith("--bus-introspect=")) return { kind: "introspect", path: arg.slice("--bus-introspect=".length) };
    if (arg === "--bus-introspect") {
      const path = args[i + 1];
      if (path === undefined) return error("option '--bus-introspect' requires an argument");
      return { kind: "introspect", path };
    }
    if (arg === "--system" || arg === "--user") {
      scope = arg === "--user" ? "user" : "system";
      continue;
    }
    if (arg.startsWith("-")) return error(`unrecognized option '${arg}'`);
    return error("This program takes no arguments.");
  }
  return { kind: "run", scope };
}

function error(message: string): Command {
  return { kind: "error", message };
}
