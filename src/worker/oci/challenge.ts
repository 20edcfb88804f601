// WWW-Authenticate: the authentication schemes that a server offers (RFC 9110, 11.6.1). One line may offer several
// schemes, several lines are joined with commas, and some servers omit quotes that the grammar requires.

export interface Challenge {
  /** The name of the scheme, in lower case. */
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const SEPARATORS = /[\s,]*/y;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const EQUALS = /[ \t]*=[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"?/y;
/** An unquoted value, up to the comma before another parameter or scheme: a scope may contain commas. */
const PLAIN = /[^"\s,]*(?:,(?![\s,]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=|[A-Za-z]+[ \t]|[A-Za-z]+$|$))[^"\s,]+)*/y;
/** The token that some schemes have in place of parameters. */
const TOKEN68 = /[ \t]+[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|$)/y;

/** Returns the schemes of a header, in its order, up to the first part that cannot be parsed. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  while (at < header.length) {
    take(SEPARATORS);
    const name = take(TOKEN)?.[0]?.toLowerCase();
    if (name === undefined) break;
    if (take(EQUALS) === null) {
      challenges.push({ scheme: name, parameters: new Map() });
      take(TOKEN68);
      continue;
    }
    const quoted = take(QUOTED);
    const value = quoted === null ? (take(PLAIN)?.[0] ?? "") : (quoted[1] ?? "").replace(/\\(.)/g, "$1");
    const parameters = challenges.at(-1)?.parameters;
    // Of a repeated parameter the first one counts.
    if (parameters !== undefined && !parameters.has(name)) parameters.set(name, value);
  }
  return challenges;
}
