// Verbs of similar programs (docker, virsh, ls …), with the command that does the same here. The table is searched
// before suggest(), because such a word is often nearer in letters to a verb with another meaning (`rm` to `cat`).

/** For each word the command to suggest: the name of a client and one of its verbs. */
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

/** The same for importctl, where they name what importctl lists. */
const IMPORTCTL_SYNONYMS: Readonly<Record<string, string>> = {
  images: "list-images",
  jobs: "list-transfers",
  ls: "list-images",
  ps: "list-transfers",
  push: "push-oci",
};

/**
 * Returns the command to suggest for a word that is no verb of `program`, or undefined. A verb of `program` itself is
 * returned without the program's name.
 */
export function synonymOf(word: string, program: string): string | undefined {
  if (program === "importctl" && Object.hasOwn(IMPORTCTL_SYNONYMS, word)) return IMPORTCTL_SYNONYMS[word];
  const command = Object.hasOwn(SYNONYMS, word) ? SYNONYMS[word] : undefined;
  return command?.startsWith(`${program} `) === true ? command.slice(program.length + 1) : command;
}
