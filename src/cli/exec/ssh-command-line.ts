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
const IGNORED_FLAGS = "46AaCGgKkqTvXxYy";

/** Returns the user of `-o User=NAME` or `-o 'User "NAME"'`; null for other settings, which are ignored. */
function userOf(setting: string): string | null {
  return /^\s*user\s*[=\s]\s*"?([^"\s]+)"?\s*$/i.exec(setting)?.[1] ?? null;
}

/**
 * Parses the arguments. Returns an error message for invalid options and for those that machined-rsh cannot implement.
 */
export function parseSshCommandLine(args: readonly string[]): SshCommandLine | string {
  const rest = [...args];
  let user = "";
  let terminals = 0;
  let readsInput = true;
  while (rest[0]?.startsWith("-") === true) {
    const cluster = (rest.shift() as string).slice(1);
    if (cluster === "-") break;
    for (let at = 0; at < cluster.length; at++) {
      const letter = cluster.charAt(at);
      if (letter === "t") terminals++;
      else if (letter === "n") readsInput = false;
      else if (IGNORED_FLAGS.includes(letter)) continue;
      else if (letter === "l" || letter === "o" || IGNORED.includes(letter)) {
        const value = cluster.slice(at + 1) || rest.shift();
        if (value === undefined) return `option requires an argument -- ${letter}`;
        if (letter === "l") user ||= value;
        if (letter === "o") user ||= userOf(value) ?? "";
        break;
      } else return `option -${letter} is not supported`;
    }
  }
  const [place, ...words] = rest;
  if (place === undefined) return "no machine is given";
  if (words.length === 0) return "no command is given: 'machinectl shell' opens shells";
  const sign = place.lastIndexOf("@");
  return {
    // As in ssh(1): USER@ has precedence over -l and -o User=, and the first of several options counts.
    user: sign > 0 ? place.slice(0, sign) : user,
    host: place.slice(sign + 1),
    command: words.join(" "),
    wantsTerminal: terminals > 0,
    readsInput,
  };
}
