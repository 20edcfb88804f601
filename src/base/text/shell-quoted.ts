// Words of shell commands that are printed for people, or run by the shell of another host.

/** Quotes a text as one word for a shell, where that is needed. */
export function shellQuoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
