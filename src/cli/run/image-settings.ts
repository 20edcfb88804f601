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

/** Parses the text of a settings file. */
export function parseImageSettings(text: string): ImageSettings {
  const values = new Map<string, string[]>();
  let section = "";
  for (const line of text.split("\n").map((one) => one.trim())) {
    const heading = /^\[(.*)\]$/.exec(line);
    const [, key = "", value = ""] = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (heading !== null) section = heading[1] ?? "";
    else if (section === "Exec" && key !== "") values.set(key, [...(values.get(key) ?? []), value]);
  }
  const last = (key: string) => values.get(key)?.at(-1) || null;
  const boot = last("Boot")?.toLowerCase();
  return {
    boots: boot === undefined ? null : ["yes", "true", "on", "1", "y", "t"].includes(boot),
    command: wordsOf(last("Parameters") ?? ""),
    user: last("User"),
    directory: last("WorkingDirectory"),
    environment: (values.get("Environment") ?? []).flatMap(wordsOf),
    killSignal: last("KillSignal"),
  };
}
