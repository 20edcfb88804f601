// The command line of ssh(1), as far as it makes sense for a machine of this host.

interface SshCommandLine {
  readonly user: string;
  readonly host: string;
  /** For a shell, as ssh(1) sends it: the words with blanks between them. */
  readonly command: string;
  readonly wantsTerminal: boolean;
  readonly readsInput: boolean;
}

/** Options with a value that say something about the network, keys or connections: there are none here. */
const WITHOUT_MEANING = "BbcEeFIimPpS";
/** The same, without a value. */
const FLAGS_WITHOUT_MEANING = "46AaCGgKkqTvXxYy";

/** `-o User=NAME`, `-o 'User "NAME"'`: of all settings the only one that means something. */
function userOf(setting: string): string | null {
  return /^\s*user\s*[=\s]\s*"?([^"\s]+)"?\s*$/i.exec(setting)?.[1] ?? null;
}

/** Reads the arguments; a text for a mistake, or for what cannot be done without ssh. */
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
      else if (FLAGS_WITHOUT_MEANING.includes(letter)) continue;
      else if (letter === "l" || letter === "o" || WITHOUT_MEANING.includes(letter)) {
        const value = cluster.slice(at + 1) || rest.shift();
        if (value === undefined) return `option requires an argument -- ${letter}`;
        if (letter === "l") user ||= value;
        if (letter === "o") user ||= userOf(value) ?? "";
        break;
      } else return `-${letter} is not possible here`;
    }
  }
  const [place, ...words] = rest;
  if (place === undefined) return "no machine is named";
  if (words.length === 0) return "no command is given: 'machinectl shell' opens shells";
  const sign = place.lastIndexOf("@");
  return {
    // The first that is said counts, and what stands before the name is said first.
    user: sign > 0 ? place.slice(0, sign) : user,
    host: place.slice(sign + 1),
    command: words.join(" "),
    wantsTerminal: terminals > 0,
    readsInput,
  };
}
