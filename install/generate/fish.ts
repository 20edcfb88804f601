// Generates the completion for fish. fish takes each line that a command prints as a candidate, so that these need no
// quoting.
import {
  NOTICE,
  type OptionModel,
  type ProgramModel,
  scopeOptions,
  takesList,
  type WordPlace,
  wordPlaces,
} from "./model.ts";

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

/** Returns the arguments of `complete` for the values of an option. */
function valueSource(program: string, { values, hint }: OptionModel): string {
  if (values === null) return "";
  if (typeof values !== "string" && takesList({ values, hint })) {
    return ` -a ${quoted(`(__${program}_commas ${values.join(" ")})`)}`;
  }
  if (typeof values !== "string") return ` -a ${quoted(values.join(" "))}`;
  const known: Readonly<Record<typeof values, string>> = {
    host: "(__fish_print_hostnames)",
    machine: `(__${program}_ask machine)`,
    signal: `(__${program}_signals)`,
    user: "(__fish_complete_users)",
    variable: "(set -xn)=",
    column: `(__${program}_columns column)`,
    "column-sort": `(__${program}_columns column-sort)`,
    "column-filter": `(__${program}_columns column-filter)`,
  };
  return ` -a ${quoted(known[values])}`;
}

function optionLine(program: string, option: OptionModel): string {
  const { names, takesValue, description } = option;
  const spelled = names.map((one) => (one.startsWith("--") ? `-l ${one.slice(2)}` : `-s ${one.slice(1)}`));
  const value = takesValue ? ` -x${valueSource(program, option)}` : "";
  return `complete -c ${program} ${spelled.join(" ")}${value} -d ${quoted(description)}`;
}

function placeLine(program: string, { verbs, position, andLater, kind }: WordPlace): string {
  const condition = `__${program}_at ${position}${andLater ? "+" : ""} ${verbs.join(" ")}`;
  const sources: Readonly<Partial<Record<WordPlace["kind"], string>>> = {
    file: "-F",
    directory: `-a ${quoted("(__fish_complete_directories)")}`,
    command: "-F",
    boolean: `-a ${quoted("yes no")}`,
    inventory: `-a ${quoted("ansible prometheus-sd")}`,
    verb: `-a ${quoted(`(__${program}_verbs)`)}`,
    login: `-a ${quoted(`(__${program}_logins)`)}`,
    image: `-a ${quoted(`(__${program}_ask image ${program})`)}`,
    settings: `-F -a ${quoted(`(__${program}_ask image ${program})`)}`,
    "machine-path": `-a ${quoted(`(__${program}_paths)`)}`,
  };
  return `complete -c ${program} -n ${quoted(condition)} ${sources[kind] ?? `-a ${quoted(`(__${program}_ask ${kind})`)}`}`;
}

/** Returns the script for one client. */
export function fishCompletion(program: ProgramModel): string {
  const { name, options, verbs } = program;
  const offered = verbs.filter(({ names }) => names[0] !== "help");
  const valued = options.filter(({ takesValue }) => takesValue).flatMap(({ names }) => names);
  const scope = scopeOptions(program);
  const scopeValued = scope.filter(({ takesValue }) => takesValue).flatMap(({ names }) => names);
  const scopeFlags = scope.filter(({ takesValue }) => !takesValue).flatMap(({ names }) => names);
  const rows = offered.flatMap(({ names, description }) =>
    names.map((verb) => `complete -c ${name} -n '__${name}_at -1' -a ${verb} -d ${quoted(description)}`),
  );
  return `# fish completion of ${name}(1).
# ${NOTICE}

# Sets __${name}_words to the verb and the words after it, and __${name}_scope to the options that select host, daemon and class.
function __${name}_parse
    set -g __${name}_words
    set -g __${name}_scope
    set -l tokens (commandline -opc)
    set -l i 2
    while test $i -le (count $tokens)
        set -l token $tokens[$i]
        if contains -- $token ${valued.join(" ")}
            contains -- $token ${scopeValued.join(" ")}; and set -a __${name}_scope $tokens[$i..(math $i + 1)]
            set i (math $i + 1)
        else if string match -q -- '-*' $token
            contains -- (string replace -r '=.*' '' -- $token) ${[...scopeValued, ...scopeFlags].join(" ")}
            and set -a __${name}_scope $token
        else
            set -a __${name}_words $token
        end
        set i (math $i + 1)
    end
end

# Whether the cursor is at word $argv[1] (-1: the verb; N+: N or later) of one of the verbs that follow.
function __${name}_at
    __${name}_parse
    set -l position (math (count $__${name}_words) - 1)
    test "$argv[1]" = -1; and test $position -eq -1; and return 0
    test $position -ge 0; or return 1
    contains -- $__${name}_words[1] $argv[2..-1]; or return 1
    set -l wanted (string replace + '' -- $argv[1])
    if string match -q '*+' -- $argv[1]
        test $position -ge $wanted
    else
        test $position -eq $wanted
    end
end

function __${name}_ask
    __${name}_parse
    command ${name} $__${name}_scope complete $argv 2>/dev/null </dev/null
end

function __${name}_logins
    set -l typed (commandline -ct)
    if string match -q '*@*' -- $typed
        printf '%s\\n' (string replace -r '@.*' '@' -- $typed)(__${name}_ask machine-or-host)
    else
        __${name}_ask machine-or-host
        test -n "$typed"; and __fish_complete_users | string replace -r '\\t.*|$' '@'
    end
end

function __${name}_paths
    __${name}_parse
    __${name}_ask machine-path $__${name}_words[2] (commandline -ct)
end

# Columns of the list that the verb prints; candidates are whole values of the option.
function __${name}_columns
    __${name}_parse
    command ${name} $__${name}_scope complete $argv[1] "$__${name}_words[1]" (commandline -ct | string replace -r '^--[a-z-]+=' '' | string collect -a) 2>/dev/null </dev/null
end

# Candidates are whole values of the option: what is typed already, and one of the words.
function __${name}_commas
    set -l typed (commandline -ct | string replace -r '^--[a-z-]+=' '')
    set -l before (string match -r '.*,' -- "$typed")
    printf '%s\\n' "$before"$argv
end

function __${name}_signals
    set -l before (string match -r '(?:^|=)(SIG)' -- (commandline -ct))[2]
    printf "$before%s\\n" (command ${name} --signal=help 2>/dev/null)
end

function __${name}_verbs
    printf '%s\\n' ${offered.flatMap(({ names }) => names).join(" ")}
end

complete -c ${name} -f
${options.map((option) => optionLine(name, option)).join("\n")}
${rows.join("\n")}
${wordPlaces(program)
  .map((place) => placeLine(name, place))
  .join("\n")}
`;
}
