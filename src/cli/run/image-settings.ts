// The settings that stand beside a container image (systemd.nspawn(5)), as far as `pull-oci` writes them. systemd-nspawn itself
// finds them only where the machine has the image's name; and a command that is run in the machine needs them as well.

export interface ImageSettings {
  /** Null where nothing is said. */
  readonly boots: boolean | null;
  readonly command: readonly string[];
  readonly user: string | null;
  readonly directory: string | null;
  readonly environment: readonly string[];
  readonly killSignal: string | null;
}

/** The words of a value: blanks separate them, double quotes keep blanks, a backslash in quotes keeps the next character. */
export function wordsOf(value: string): string[] {
  const words = value.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  return words.map((word) => (word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/g, "$1") : word));
}

/** Reads the section [Exec]. */
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
