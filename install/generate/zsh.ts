// Generates the completion for zsh. _arguments completes options; words are completed by the kind in the verb's row.
import {
  NOTICE,
  type OptionModel,
  type ProgramModel,
  scopeOptions,
  takesList,
  type WordPlace,
  wordPlaces,
} from "./model.ts";

/** Escapes text for a specification of _arguments or _describe in single quotes: their separators, and the quote. */
function quoted(text: string): string {
  return text.replace(/[\\:[\]]/g, "\\$&").replaceAll("'", "'\\''");
}

/** Returns the action of _arguments that completes the values of an option. */
function action(program: string, { values, hint }: OptionModel): string {
  if (values === null) return " ";
  if (typeof values !== "string" && takesList({ values, hint })) return ` _${program}_commas ${values.join(" ")}`;
  if (typeof values !== "string") return `(${values.join(" ")})`;
  const known: Readonly<Record<typeof values, string>> = {
    host: "_hosts",
    // With a leading blank, _arguments does not insert options for compadd after the function's name.
    machine: ` _${program}_ask machine`,
    signal: `_${program}_signals`,
    user: "_users",
    variable: "_parameters -g '*export*'",
    column: ` _${program}_columns column`,
    "column-sort": ` _${program}_columns column-sort`,
    "column-filter": ` _${program}_columns column-filter`,
  };
  return quoted(known[values]);
}

function optionLines(program: string, option: OptionModel): string[] {
  const { names, takesValue, values, description, hint } = option;
  const exclusive = names.length > 1 ? `(${names.join(" ")})` : "";
  return names.map((name) => {
    const value = takesValue ? (name.startsWith("--") ? "=" : "+") : "";
    const what = takesValue ? `:${quoted(hint.toLowerCase())}:${action(program, option)}` : "";
    const repeatable =
      takesValue && values !== null && typeof values !== "string" ? exclusive : takesValue ? "*" : exclusive;
    return `    '${repeatable}${name}${value}[${quoted(description)}]${what}' \\`;
  });
}

function placeArm({ verbs, position, andLater, kind }: WordPlace): string {
  const at = andLater ? `<${position + 2}->` : String(position + 2);
  return `        (${verbs.join("|")}):${at}) _PROGRAM_word ${kind} ;;`;
}

/** Returns the script for one client. */
export function zshCompletion(program: ProgramModel): string {
  const { name, options, verbs } = program;
  const offered = verbs.filter(({ names }) => names[0] !== "help");
  const rows = offered.flatMap(({ names, description }) =>
    names.map((verb) => `        '${verb}:${quoted(description)}'`),
  );
  const scope = scopeOptions(program).flatMap(({ names }) => names);
  return `#compdef ${name}
# zsh completion of ${name}(1).
# ${NOTICE}

# Sets reply to the options before the verb that select host, daemon and class.
_${name}_scope() {
    local option
    reply=()
    for option in ${scope.join(" ")}; do
        (( \${+opt_args[$option]} )) && reply+=($option \${opt_args[$option]:+\${(Q)opt_args[$option]}})
    done
}

# Adds candidates from the client's verb "complete": $1 is the kind, the rest are words before the cursor.
_${name}_ask() {
    local -a reply found
    _${name}_scope
    found=(\${(f)"$(command ${name} $reply complete "$@" 2>/dev/null </dev/null)"})
    compadd -a found
}

# Columns of the list that the verb prints; candidates are whole values of the option.
_${name}_columns() {
    local -a reply found
    _${name}_scope
    found=(\${(f)"$(command ${name} $reply complete $1 "\${line[1]}" "$PREFIX" 2>/dev/null </dev/null)"})
    compadd -S '' -a found
}

# Candidates are whole values of the option: what is typed already, and one of the words.
_${name}_commas() { compadd -S '' -- "\${PREFIX%"\${PREFIX##*,}"}"$^@ }

_${name}_signals() {
    local -a found
    found=(\${(f)"$(command ${name} --signal=help 2>/dev/null)"})
    [[ $PREFIX == SIG* ]] && found=(SIG\${^found})
    compadd -a found
}

_${name}_paths() {
    local -a reply found
    _${name}_scope
    found=(\${(f)"$(command ${name} $reply complete machine-path "\${line[2]}" "$PREFIX" 2>/dev/null </dev/null)"})
    compadd -f -S '' -a found
}

_${name}_word() {
    case $1 in
        login)
            if compset -P '*@' || [[ -z $PREFIX ]]; then
                _${name}_ask machine-or-host
            else
                _${name}_ask machine-or-host || compadd -S '' -- \${^\${(k)userdirs}}@
            fi
            ;;
        image) _${name}_ask image ${name} ;;
        settings) _${name}_ask image ${name}; _files ;;
        machine-path) _${name}_paths ;;
        boolean) compadd yes no ;;
        inventory) compadd ansible prometheus-sd ;;
        verb) _${name}_verbs ;;
        directory) _files -/ ;;
        file) _files ;;
        command) _command_names -e || _files ;;
        *) _${name}_ask $1 ;;
    esac
}

_${name}_verbs() {
    local -a verbs
    verbs=(
${rows.join("\n")}
    )
    _describe 'command' verbs
}

_${name}_words() {
    # line has the verb, the words after it and the one to complete; options are not in it.
    case $line[1]:$#line in
${wordPlaces(program).map(placeArm).join("\n").replaceAll("_PROGRAM_", `_${name}_`)}
    esac
}

_arguments -S \\
${options.flatMap((option) => optionLines(name, option)).join("\n")}
    ':command:_${name}_verbs' \\
    '*:word:_${name}_words'
`;
}
