// The lines of nsswitch.conf(5) as the C library reads them: blanks may be before the name of the database and before
// its colon, and an action in brackets need not be apart from the service in front of it.

/** A line about a database. The texts make up the line. */
interface DatabaseLine {
  readonly database: string;
  /** The name, the colon, and blanks around both. */
  readonly start: string;
  readonly services: string;
  /** A comment; empty without one. */
  readonly end: string;
}

/** Returns the parts of a line; null for one without a database, such as a comment. */
export function databaseLine(line: string): DatabaseLine | null {
  const [whole, start = "", database = "", services = ""] = /^(\s*([^\s:#]+)[\s:]+)([^#]*)/.exec(line) ?? [];
  return whole === undefined ? null : { database, start, services, end: line.slice(whole.length) };
}

/** A service, or an action in brackets. */
const WORD = /\[[^\]]*\]?|[^\s[]+/g;

/** Returns the services and actions of a line with their positions. */
function wordsOf(services: string): { readonly text: string; readonly at: number }[] {
  return [...services.matchAll(WORD)].map(({ 0: text, index: at }) => ({ text, at }));
}

/** Whether the text of nsswitch.conf names a service for a database. Of several lines for one, the last counts. */
export function namesService(text: string, database: string, service: string): boolean {
  const lines = text.split("\n").map(databaseLine);
  const services = lines.findLast((line) => line?.database === database)?.services ?? "";
  return wordsOf(services).some((word) => word.text === service);
}

/**
 * Returns services with another one in front of the first of `before`, or at the end; unchanged where it is among them,
 * or where there are none.
 */
export function withService(services: string, service: string, before: readonly string[]): string {
  const words = wordsOf(services);
  if (words.length === 0 || words.some(({ text }) => text === service)) return services;
  const next = words.find(({ text }) => before.includes(text));
  if (next !== undefined) return `${services.slice(0, next.at)}${service} ${services.slice(next.at)}`;
  const end = services.trimEnd().length;
  return `${services.slice(0, end)} ${service}${services.slice(end)}`;
}

/** Returns services without one of them and the actions that belong to it, which are behind it. */
export function withoutService(services: string, service: string): string {
  const words = wordsOf(services);
  const index = words.findIndex(({ text }) => text === service);
  const found = words[index];
  if (found === undefined) return services;
  const next = words.slice(index + 1).find(({ text }) => !text.startsWith("["));
  if (next !== undefined) return services.slice(0, found.at) + services.slice(next.at);
  return services.slice(0, found.at).trimEnd() + services.slice(services.trimEnd().length);
}
