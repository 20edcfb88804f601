// Words that users of other programs type, and the command that does the same here. Such a word is often nearer in letters
// to a verb with another meaning (`rm` to `cat`), so the table precedes the search for similar words.

/** The command for each word: a client and its verb, or another program. */
export const SYNONYMS: Readonly<Record<string, string>> = {
  attach: "machinectl shell",
  boot: "machinectl start",
  console: "machinectl login",
  cp: "machinectl copy-to",
  copy: "machinectl copy-to",
  del: "machinectl remove",
  delete: "machinectl remove",
  down: "machinectl poweroff",
  enter: "machinectl shell",
  export: "importctl export-tar",
  freeze: "machinectl pause",
  halt: "machinectl poweroff",
  images: "machinectl list-images",
  import: "importctl import-tar",
  info: "machinectl status",
  inspect: "machinectl show",
  journal: "machinectl logs",
  log: "machinectl logs",
  ls: "machinectl list",
  mount: "machinectl bind",
  mv: "machinectl rename",
  prune: "machinectl clean",
  ps: "machinectl list",
  pull: "importctl pull-tar",
  "pull-oci": "importctl pull-oci",
  push: "machinectl copy-to",
  rm: "machinectl remove",
  rmi: "machinectl remove",
  shutdown: "machinectl poweroff",
  ssh: "machinectl shell",
  thaw: "machinectl resume",
  transfers: "importctl list-transfers",
  unfreeze: "machinectl resume",
  unpause: "machinectl resume",
  up: "machinectl start",
};

/** The command that a word means, as the user of `program` types it: its own verbs without its name. */
export function synonymOf(word: string, program: string): string | undefined {
  const command = Object.hasOwn(SYNONYMS, word) ? SYNONYMS[word] : undefined;
  return command?.startsWith(`${program} `) === true ? command.slice(program.length + 1) : command;
}
