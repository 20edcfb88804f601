// Parses the command line of ssh(1) for machined-rsh. Options about the network, keys and connections are ignored.

/** A parsed command line. */
interface SshCommandLine {
  readonly user: string;
  readonly host: string;
  /** Text for a shell, as ssh(1) sends it: the words joined by blanks. */
  readonly command: string;
  readonly wantsTerminal: boolean;
  readonly readsInput: boolean;
}

/** Options with a value that are ignored. */
const IGNORED = "BbcEeFIimPpS";
/** Options without a value that are ignored. */
const IGNORED_FLAGS = "46AaCGgKkqvXxYy";

/** Returns the user of `-o User=NAME` or `-o 'User "NAME"'`; null for other settings, which are ignored. */
function userOf(setting: string): string | null {
  return /^\s*user\s*[=\s]\s*"?([^"\s]+)"?\s*$/i.exec(setting)?.[1] ?? null;
}

/** The options of a command line, as far as they matter. */
interface Options {
  user: string;
  wantsTerminal: boolean;
  readsInput: boolean;
}

/** Sets an option without a value; returns false for one that is not known. */
function setFlag(options: Options, letter: string): boolean {
  if (letter === "t" || letter === "T") options.wantsTerminal = letter === "t";
  else if (letter === "n") options.readsInput = false;
  else return IGNORED_FLAGS.includes(letter);
  return true;
}

/**
 * Takes the options at the beginning of the arguments; "--" ends them. Returns whether it did, or an error message for
 * invalid options and for those that machined-rsh cannot implement.
 */
function takeOptions(rest: string[], options: Options): boolean | string {
  while (rest[0]?.startsWith("-") === true) {
    const cluster = (rest.shift() as string).slice(1);
    if (cluster === "-") return true;
    for (let at = 0; at < cluster.length; at++) {
      const letter = cluster.charAt(at);
      if (setFlag(options, letter)) continue;
      if (letter !== "l" && letter !== "o" && !IGNORED.includes(letter)) return `option -${letter} is not supported`;
      const value = cluster.slice(at + 1) || rest.shift();
      if (value === undefined) return `option requires an argument -- ${letter}`;
      if (letter === "l") options.user ||= value;
      if (letter === "o") options.user ||= userOf(value) ?? "";
      break;
    }
  }
  return false;
}

/**
 * Parses the arguments. As in ssh(1), options may also follow the host, unless "--" is before that. Returns an error
 * message where that is not possible.
 */
export function parseSshCommandLine(args: readonly string[]): SshCommandLine | string {
  const rest = [...args];
  const options: Options = { user: "", wantsTerminal: false, readsInput: true };
  const before = takeOptions(rest, options);
  if (typeof before === "string") return before;
  const place = rest.shift();
  if (place === undefined) return "no machine is given";
  const after = before ? true : takeOptions(rest, options);
  if (typeof after === "string") return after;
  if (rest.length === 0) return "no command is given: 'machinectl shell' opens shells";
  const sign = place.lastIndexOf("@");
  return {
    ...options,
    // As in ssh(1): USER@ has precedence over -l and -o User=, and the first of several options counts.
    user: sign > 0 ? place.slice(0, sign) : options.user,
    host: place.slice(sign + 1),
    command: rest.join(" "),
  };
}
