// A strict command-line parser over option tables: getopt_long(3) with permutation, as in the systemd tools. All
// programs of this executable use it, each with its own table and its own kind of error.

/**
 * The action of an option that ends parsing, such as `--help`. Takes the words before the option; arguments after it
 * are not read.
 */
export type Finish = (words: readonly string[]) => void | Promise<void>;

/**
 * One option. The table's key is the long name; a key of one letter is an option that has no long form. `apply` changes
 * the settings; it may throw what `fail()` of the rules returns, and ends parsing by returning a `Finish`.
 */
export interface OptionRow<S, C> {
  readonly type: "boolean" | "string";
  readonly alias?: string;
  /** The value is given only as `--option=value`; without `=` it is "". */
  readonly isValueOptional?: true;
  /** The original lacks the option: an abbreviation that fits one of the original's options means that one. */
  readonly added?: true;
  readonly apply: (settings: S, value: string, context: C) => unknown;
}

/** Options by their long names. `S`: the settings that they change. `C`: what else `apply` needs. */
export type OptionTable<S, C> = Readonly<Record<string, OptionRow<S, C>>>;

export interface Parsed {
  /** The arguments that are not options: the verb and its arguments. */
  readonly words: string[];
  /** The options of the command line in normal form: by their names in the table, with their values. */
  readonly given: readonly GivenOption[];
  /** The action of an option that ended parsing; null where none did. */
  readonly finish: Finish | null;
}

/** An option of a command line, and the arguments that would repeat it. */
export interface GivenOption {
  readonly name: string;
  readonly args: readonly string[];
}

export interface ParseRules<S, C> {
  readonly options: OptionTable<S, C>;
  readonly context: C;
  /**
   * Returns the error for a mistake on the command line; `text` is what getopt_long(3) prints after the program's name.
   * `unknown` is the name of a long option that the table does not have.
   */
  readonly fail: (text: string, unknown?: string) => Error;
  /**
   * Takes the first word; returns after how many words every argument is a word. Undefined: options are allowed
   * anywhere.
   */
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

  /** Returns the full name of a long option that is given exactly or by an unambiguous prefix. */
  #longName(given: string): string {
    const names = Object.keys(this.#rules.options).filter((name) => !isShortOnly(name));
    if (names.includes(given)) return given;
    const all = given === "" ? [] : names.filter((name) => name.startsWith(given));
    const original = all.filter((name) => this.#rules.options[name]?.added !== true);
    const fitting = original.length > 0 ? original : all;
    if (fitting.length > 1) {
      const list = fitting.map((name) => `--${name}`).join(", ");
      throw this.#rules.fail(`option '--${given}' is ambiguous; possibilities: ${list}`);
    }
    if (fitting[0] === undefined) throw this.#rules.fail(`unrecognized option '--${given}'`, given);
    return fitting[0];
  }

  #long(text: string): void {
    const equals = text.indexOf("=");
    const typed = equals < 0 ? text : text.slice(0, equals);
    const name = this.#longName(typed);
    const value = equals < 0 ? undefined : text.slice(equals + 1);
    const row = this.#rules.options[name];
    if (row === undefined) return;
    if (row.type === "boolean") {
      if (value !== undefined) throw this.#rules.fail(`option '--${typed}' doesn't allow an argument`);
      this.#apply(name, row, "");
    } else this.#apply(name, row, value ?? (row.isValueOptional === true ? "" : this.#argument(`--${typed}`)));
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
    // `apply` may return anything (`unknown`); a function is always a Finish.
    if (typeof result === "function") this.finish = result as Finish;
  }
}

/**
 * Applies the options of `args` to `settings`, and returns words and options. Throws the error of `rules.fail()` for a
 * mistake.
 */
export function parseOptions<S, C>(args: readonly string[], settings: S, rules: ParseRules<S, C>): Parsed {
  const parser = new Parser(args, settings, rules);
  parser.run();
  return { words: parser.words, given: parser.given, finish: parser.finish };
}
