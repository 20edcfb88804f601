// The few options of `machined install` and `machined uninstall`.

export interface Arguments {
  readonly root: string;
  readonly flags: ReadonlySet<string>;
}

/** The options, or, where the call is done with (help, or a mistake that was told), its exit code. */
export function parseArguments(
  verb: string,
  flags: readonly string[],
  args: readonly string[],
  help: string,
): Arguments | number {
  let root = "/";
  const given = new Set<string>();
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? "";
    if (word === "-h" || word === "--help") {
      process.stdout.write(help);
      return 0;
    }
    const value = word === "--root" ? args[++index] : word.startsWith("--root=") ? word.slice(7) : null;
    if (flags.includes(word)) given.add(word);
    else if (value !== null && value !== undefined && value !== "") root = value;
    else {
      const mistake = value === null ? `Unknown argument '${word}'` : "--root needs a directory";
      process.stderr.write(`machined ${verb}: ${mistake}, see 'machined ${verb} --help'\n`);
      return 1;
    }
  }
  return { root, flags: given };
}
