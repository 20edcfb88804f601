// Parses the settings file beside a container image (systemd.nspawn(5)), with the keys that `pull-oci` writes.
// systemd-nspawn reads the file only if the machine has the name of the image; `run` also needs the values for commands
// in the machine.

/** Values of the section [Exec]; null or empty if the file does not set them. */
export interface ImageSettings {
  /** `Boot=`. */
  readonly boots: boolean | null;
  readonly command: readonly string[];
  readonly user: string | null;
  readonly directory: string | null;
  readonly environment: readonly string[];
  readonly killSignal: string | null;
}

/**
 * Splits a value into words at blanks, as systemd-nspawn does: quotes, single or double, end with the same quote and
 * may be in the middle of a word; a backslash is an ordinary character.
 */
export function wordsOf(value: string): string[] {
  const words = value.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"));
}

/** Whether a line ends with a backslash that is not itself escaped: then the next line is a part of it. */
function isContinued(line: string): boolean {
  let backslashes = 0;
  while (line.at(-1 - backslashes) === "\\") backslashes++;
  return backslashes % 2 === 1;
}

/** What ends a line for systemd. */
const LINE_END = /[\n\r\0]/;

/** Returns the lines without comments; continued ones are joined by a blank, as systemd does. */
function wholeLines(text: string): string[] {
  const lines: string[] = [];
  let parts: string[] = [];
  for (const line of text.split(LINE_END).map((one) => one.trimStart())) {
    if (line.startsWith("#") || line.startsWith(";")) continue;
    if (isContinued(line)) parts.push(line.slice(0, -1));
    else {
      lines.push([...parts, line].join(" ").trim());
      parts = [];
    }
  }
  return parts.length === 0 ? lines : [...lines, parts.join(" ").trim()];
}

/** Returns the words of all values of a key; an empty value takes back those before it. */
function listOf(values: readonly string[]): string[] {
  return values.slice(values.lastIndexOf("") + 1).flatMap(wordsOf);
}

const ASSIGNMENT = /^[A-Za-z_]\w*=/;

/**
 * Parses the text of a settings file, which may come from the server of the image. What is no assignment of a variable
 * is left out: a name alone would be taken for a variable of this process, whose value the image would get.
 */
export function parseImageSettings(text: string): ImageSettings {
  const values = new Map<string, string[]>();
  let section = "";
  for (const line of wholeLines(text)) {
    const heading = /^\[(.*)\]$/.exec(line);
    const [, key = "", value = ""] = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (heading !== null) section = heading[1] ?? "";
    if (heading !== null || section !== "Exec" || key === "") continue;
    const given = values.get(key);
    if (given === undefined) values.set(key, [value]);
    else given.push(value);
  }
  const all = (key: string) => values.get(key) ?? [];
  const last = (key: string) => all(key).at(-1) || null;
  const boot = last("Boot")?.toLowerCase();
  return {
    boots: boot === undefined ? null : ["yes", "true", "on", "1", "y", "t"].includes(boot),
    command: listOf(all("Parameters")),
    user: last("User"),
    directory: last("WorkingDirectory"),
    environment: listOf(all("Environment")).filter((word) => ASSIGNMENT.test(word)),
    killSignal: last("KillSignal"),
  };
}
