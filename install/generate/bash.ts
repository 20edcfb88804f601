// Generates the completion for bash. The script splits the command line itself, because bash breaks words at `=`, `:`
// and `@`, which occur in arguments of the clients. The script compares and quotes candidates without expanding them,
// because names of images may contain any characters.
import {
  NOTICE,
  type OptionModel,
  type ProgramModel,
  scopeOptions,
  takesList,
  type WordPlace,
  wordPlaces,
} from "./model.ts";

function pattern(words: readonly string[]): string {
  return words.join(" | ");
}

/** Returns the `case` arm that sets the kind of an option's value, or the list of its values. */
function valueArm({ names, values, hint }: OptionModel): string {
  if (values === null) return `            ${pattern(names)}) kind=free ;;`;
  if (typeof values === "string") return `            ${pattern(names)}) kind=${values} ;;`;
  const kind = takesList({ values, hint }) ? "commas" : "list";
  return `            ${pattern(names)}) kind=${kind} words='${values.join(" ")}' ;;`;
}

/** Returns the `case` arm that sets the kind of a verb's word. */
function placeArm({ verbs, position, andLater, kind }: WordPlace): string {
  const at = andLater && position === 0 ? "*" : andLater ? `[${position}-9]*` : String(position);
  return `            ${pattern(verbs.map((verb) => `${verb}:${at}`))}) kind=${kind} ;;`;
}

/** Returns the script for one client. */
export function bashCompletion(program: ProgramModel): string {
  const { name, options, verbs, verbNames } = program;
  const valued = options.filter(({ takesValue }) => takesValue);
  const flags = options.filter(({ takesValue }) => !takesValue).flatMap(({ names }) => names);
  const spelled = valued.flatMap(({ names }) =>
    names.map((option) => (option.startsWith("--") ? `${option}=` : option)),
  );
  const scope = scopeOptions(program);
  const scopeFlags = scope.filter(({ takesValue }) => !takesValue).flatMap(({ names }) => names);
  const scopeValued = scope.filter(({ takesValue }) => takesValue).flatMap(({ names }) => names);
  const rest = verbs.filter(({ wordsUntilRest }) => wordsUntilRest !== null);
  const all = [
    ...new Set([...verbNames, ...verbs.filter(({ hidden }) => hidden).flatMap(({ names }) => names)]),
  ].filter((verb) => verb !== "help");
  return `# bash completion of ${name}(1).
# ${NOTICE}

# Adds the lines of standard input that begin with $1 to COMPREPLY, quoted, without their part $2, which bash keeps.
_${name}_match() {
    local typed=$1 kept=$2 line
    while IFS= read -r line; do
        [[ $line == "$typed"* ]] || continue
        printf -v line %q "$line"
        # A comma needs no quoting, and what is typed after it would not match a quoted one.
        line=\${line//\\\\,/,}
        COMPREPLY+=("\${line#"$kept"}")
    done
}

_${name}_ask() { command ${name} "\${scope[@]}" complete "$@" 2>/dev/null </dev/null; }

# Adds candidates of kind $1 for the word $2, of which bash replaces only the part after $3.
_${name}_offer() {
    case $1 in
        list) _${name}_match "$2" "$3" < <(printf '%s\\n' $words) ;;
        commas)
            compopt -o nospace 2>/dev/null
            _${name}_match "$2" "$3" < <(for word in $words; do printf '%s\\n' "\${2%"\${2##*,}"}$word"; done)
            ;;
        verb) _${name}_match "$2" "$3" < <(printf '%s\\n' $verbs) ;;
        boolean) _${name}_match "$2" "$3" < <(printf '%s\\n' yes no) ;;
        inventory) _${name}_match "$2" "$3" < <(printf '%s\\n' ansible prometheus-sd) ;;
        machine | machine-or-host | transfer) _${name}_match "$2" "$3" < <(_${name}_ask "$1") ;;
        image) _${name}_match "$2" "$3" < <(_${name}_ask image ${name}) ;;
        column | column-sort | column-filter)
            compopt -o nospace 2>/dev/null
            _${name}_match "$2" "$3" < <(_${name}_ask "$1" "$verb" "$2")
            ;;
        machine-path)
            compopt -o nospace 2>/dev/null
            _${name}_match "$2" "$3" < <(_${name}_ask machine-path "$first" "$2")
            ;;
        login)
            if [[ $2 == *@* ]]; then
                _${name}_match "$2" "$3" < <(_${name}_ask machine-or-host | while IFS= read -r line; do printf '%s\\n' "\${2%%@*}@$line"; done)
            else
                _${name}_match "$2" "$3" < <(_${name}_ask machine-or-host)
                [[ -n $2 && \${#COMPREPLY[@]} == 0 ]] && compopt -o nospace 2>/dev/null &&
                    mapfile -t COMPREPLY < <(compgen -S @ -u -- "$2")
            fi
            ;;
        host) _${name}_match "\${2#*@}" "" < <(compgen -A hostname -- "\${2#*@}") ;;
        user) _${name}_match "$2" "$3" < <(compgen -u -- "$2") ;;
        variable) compopt -o nospace 2>/dev/null; _${name}_match "$2" "$3" < <(compgen -A export -S = -- "$2") ;;
        signal)
            [[ $2 == SIG* ]] && word=SIG || word=
            _${name}_match "$2" "$3" < <(command ${name} --signal=help 2>/dev/null | grep -v '^0$' | sed "s/^/$word/")
            ;;
        settings | file | command)
            compopt -o filenames 2>/dev/null
            [[ $1 == settings ]] && _${name}_match "$2" "$3" < <(_${name}_ask image ${name})
            mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$2")
            ;;
        directory)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$2")
            ;;
    esac
}

_${name}() {
    local flags='${flags.join(" ")}'
    local valued='${spelled.join(" ")}'
    local verbs='${all.join(" ")}'
    local line=\${COMP_LINE:0:COMP_POINT} args=() scope=() words= option= verb= first= position=0 kind= i word current kept
    COMPREPLY=()
    read -ra args <<<"$line"
    [[ $line == *[[:space:]] ]] && args+=("")
    current=\${args[\${#args[@]} - 1]}

    for ((i = 1; i < \${#args[@]} - 1; i++)); do
        word=\${args[i]}
        case $word in${scopeFlags.length === 0 ? "" : `\n            ${pattern(scopeFlags)}) scope+=("$word") ;;`}
            ${pattern(scopeValued.filter((option) => option.startsWith("--")).map((option) => `${option}=*`))}) scope+=("$word") ;;
            ${pattern(scopeValued)})
                if ((i + 2 == \${#args[@]})); then option=$word; else scope+=("$word" "\${args[i + 1]}"); fi
                i=$((i + 1))
                ;;
            ${pattern(valued.flatMap(({ names }) => names).filter((option) => !scopeValued.includes(option)))})
                ((i + 2 == \${#args[@]})) && option=$word
                i=$((i + 1))
                ;;
            -*) ;;
            *)
                if [[ -z $verb ]]; then verb=$word; else position=$((position + 1)); fi
                [[ $position == 1 && -z $first ]] && first=$word
                ;;
        esac
    done

    # The part of the word that bash does not replace: up to the last character at which it breaks words.
    kept=
    for ((i = \${#current} - 1; i >= 0; i--)); do
        if [[ \${COMP_WORDBREAKS} == *"\${current:i:1}"* ]]; then kept=\${current:0:i + 1}; break; fi
    done

    if [[ -z $option && $current == --*=* ]]; then
        option=\${current%%=*} word=\${current#*=} kept=\${kept#"$option="}
    else
        word=$current
    fi
    if [[ -n $option ]]; then
        case $option in
${valued.map(valueArm).join("\n")}
        esac
        _${name}_offer "$kind" "$word" "$kept"
        return
    fi
    if [[ $current == -* ]]${rest.map(({ names, wordsUntilRest }) => ` && ! [[ $verb:$position == ${names[0]}:* && $position -ge ${(wordsUntilRest ?? 0) - 1} ]]`).join("")}; then
        words="$flags $valued"
        _${name}_match "$current" "" < <(printf '%s\\n' $words)
        [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        return
    fi
    if [[ -z $verb ]]; then
        kind=verb
    else
        case $verb:$position in
${wordPlaces(program).map(placeArm).join("\n")}
        esac
    fi
    _${name}_offer "$kind" "$word" "$kept"
}

complete -F _${name} ${name}
`;
}
