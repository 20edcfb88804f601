// The daemon's command line (systemd-importd.service(8)).

export type Scope = "system" | "user";

export type Command =
  | { readonly kind: "run"; readonly scope: Scope }
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "introspect"; readonly path: string }
  | { readonly kind: "error"; readonly message: string };

export const HELP = `systemd-importd [OPTION…]

Downloads, imports and exports images of machines, portable services and
system extensions.

  -h --help                 Show this help
     --version              Show the version
     --bus-introspect=PATH  Print the D-Bus interfaces of an object as XML;
                            "list" prints the paths
     --system               Serve the whole host (default)
     --user                 Serve the calling user

See systemd-importd.service(8), importctl(1).
`;

const INTROSPECT = "--bus-introspect";

/** Reads the arguments; options take effect from left to right, as getopt has it. */
export function parseArguments(args: readonly string[]): Command {
  let scope: Scope = "system";
  for (const [index, arg] of args.entries()) {
    if (arg === "-h" || arg === "--help") return { kind: "help" };
    if (arg === "--version") return { kind: "version" };
    if (arg.startsWith(`${INTROSPECT}=`)) return { kind: "introspect", path: arg.slice(INTROSPECT.length + 1) };
    if (arg === INTROSPECT) {
      const path = args[index + 1];
      return path === undefined ? error(`option '${arg}' requires an argument`) : { kind: "introspect", path };
    }
    if (arg === "--system" || arg === "--user") scope = arg.slice(2) as Scope;
    else return error(arg.startsWith("-") ? `unrecognized option '${arg}'` : "This program takes no arguments.");
  }
  return { kind: "run", scope };
}

function error(message: string): Command {
  return { kind: "error", message };
}
