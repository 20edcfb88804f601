// A strict command-line parser over option tables: getopt_long(3) with permutation, as the systemd tools behave. It serves
// every program of this executable; each brings its table, and the error that a mistake becomes.

/** An option acted at once (`--help`): parsing stops, the rest of the command line is not read. It is told the words before it. */
export type Finish = (words: readonly string[]) => void | Promise<void>;

/**
 * One option. The table's key is the long name; a key of one letter is an option that has no long form. `apply` changes
 * the settings; it may throw what `fail()` of the rules returns, and may end parsing by returning a function.
 */
export interface OptionRow<S, C> {
  readonly type: "boolean" | "string";
  readonly alias?: string;
  /** Whether a value is given by `=` alone, or not at all: then it is "". */
  readonly isValueOptional?: true;
  /** Not an option of the original: it takes no abbreviation away from those that are. */
  readonly added?: true;
  /** A returned value other than a function is ignored. */
  readonly apply: (settings: S, value: string, context: C) => unknown;
}

/** Options by their long names. `S` are the settings they change, `C` is what they need from outside for that. */
export type OptionTable<S, C> = Readonly<Record<string, OptionRow<S, C>>>;

export interface Parsed {
  /** What is not an option: the verb and its arguments. */
  readonly words: string[];
  /** The options that were given, by the names in the table, as arguments that mean the same. */
  readonly given: readonly GivenOption[];
  readonly finish: Finish | null;
}

/** An option of a command line. */
export interface GivenOption {
  readonly name: string;
  readonly args: readonly string[];
}

export interface ParseRules<S, C> {
  readonly options: OptionTable<S, C>;
  readonly context: C;
  /** The error to throw for a mistake on the command line; `text` is what getopt_long(3) prints behind the program's name. */
  readonly fail: (text: string) => Error;
  /** After this many words every argument is a word, given the words so far; undefined: options may come anywhere. */
  readonly wordsUntilRest?: (firstWord: string) => number | undefined;
}

function isShortOnly(name: string): boolean {
  return name.length === 1;
}

class Parser<S, C> {
  readonly words: string[] = [];
  readonly given: GivenOption[] = [];
  finish: Finish | null = null;
  readonly #rules: ParseRules<S, C>;
  readonly #settings: S;
  readonly #rest: string[];

  constructor(args: readonly string[], settings: S, rules: ParseRules<S, C>) {
    this.#rest = [...args];
    this.#settings = settings;
    this.#rules = rules;
  }

  run(): void {
    while (this.finish === null) {
      const limit = this.words[0] === undefined ? undefined : this.#rules.wordsUntilRest?.(this.words[0]);
      const arg = this.#rest.shift();
      if (arg === undefined) return;
      if (limit !== undefined && this.words.length >= limit) this.words.push(arg, ...this.#rest.splice(0));
      else if (arg === "--") this.words.push(...this.#rest.splice(0));
      else if (arg.startsWith("--")) this.#long(arg.slice(2));
      else if (arg.startsWith("-") && arg !== "-") this.#short(arg.slice(1));
      else this.words.push(arg);
    }
  }

  /** The full name for a long option given exactly or as a prefix that fits only one. */
  #longName(given: string): string {
    const names = Object.keys(this.#rules.options).filter((name) => !isShortOnly(name));
    if (names.includes(given)) return given;
    const all = names.filter((name) => name.startsWith(given));
    const original = all.filter((name) => this.#rules.options[name]?.added !== true);
    const fitting = original.length > 0 ? original : all;
    if (fitting.length > 1) {
      const list = fitting.map((name) => `--${name}`).join(", ");
      throw this.#rules.fail(`option '--${given}' is ambiguous; possibilities: ${list}`);
    }
    if (fitting[0] === undefined) throw this.#rules.fail(`unrecognized option '--${given}'`);
    return fitting[0];
  }

  #long(text: string): void {
    const equals = text.indexOf("=");
    const name = this.#longName(equals < 0 ? text : text.slice(0, equals));
    const value = equals < 0 ? undefined : text.slice(equals + 1);
    const row = this.#rules.options[name];
    if (row === undefined) return;
    if (row.type === "boolean") {
      if (value !== undefined) throw this.#rules.fail(`option '--${name}' doesn't allow an argument`);
      this.#apply(name, row, "");
    } else this.#apply(name, row, value ?? (row.isValueOptional === true ? "" : this.#argument(`--${name}`)));
  }

  #short(cluster: string): void {
    for (let i = 0; i < cluster.length && this.finish === null; i++) {
      const letter = cluster.charAt(i);
      const [name, row] = this.#shortRow(letter);
      if (row.type === "boolean") {
        this.#apply(name, row, "");
        continue;
      }
      const attached = cluster.slice(i + 1);
      this.#apply(name, row, attached !== "" ? attached : this.#argument(`-${letter}`));
      return;
    }
  }

  #shortRow(letter: string): [name: string, row: OptionRow<S, C>] {
    for (const [name, row] of Object.entries(this.#rules.options)) {
      if (row.alias === letter || name === letter) return [name, row];
    }
    throw this.#rules.fail(`unrecognized option '-${letter}'`);
  }

  #argument(option: string): string {
    const value = this.#rest.shift();
    if (value === undefined) throw this.#rules.fail(`option '${option}' requires an argument`);
    return value;
  }

  #apply(name: string, row: OptionRow<S, C>, value: string): void {
    const dashed = isShortOnly(name) ? `-${name}` : `--${name}`;
    const valued = isShortOnly(name) ? [dashed, value] : [`${dashed}=${value}`];
    this.given.push({ name, args: row.type === "boolean" ? [dashed] : valued });
    const result = row.apply(this.#settings, value, this.#rules.context);
    // The table's functions are typed by what they return; a function is always a Finish.
    if (typeof result === "function") this.finish = result as Finish;
  }
}

/** Reads arguments into `settings` and returns the words. Throws what `fail()` returns, with the text getopt would print. */
export function parseOptions<S, C>(args: readonly string[], settings: S, rules: ParseRules<S, C>): Parsed {
  const parser = new Parser(args, settings, rules);
  parser.run();
  return { words: parser.words, given: parser.given, finish: parser.finish };
}
