// Completion of `machined` itself for bash, zsh and fish: its programs, and the options of those that are its own
// verbs.
import { firstWords, type OwnOption, type OwnVerb, ownVerbs } from "./machined-model.ts";
import { NOTICE } from "./model.ts";

const ASK = "command machinectl complete machine 2>/dev/null </dev/null";

function spelled(options: readonly OwnOption[]): string[] {
  return options.flatMap(({ names, takesValue }) =>
    names.map((name) => (takesValue && name.startsWith("--") ? `${name}=` : name)),
  );
}

/** Returns the command that sets COMPREPLY to the candidates for `$word`. */
function bashValues(values: OwnVerb["words"]): string {
  if (values === null) return ":";
  if (values === "file") return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word")';
  if (values === "directory")
    return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word")';
  const words = values === "machine" ? `$(${ASK})` : values.join(" ");
  return `mapfile -t COMPREPLY < <(compgen -W "${words}" -- "$word")`;
}

/** Returns the script for bash. It splits the command line itself, because bash breaks words at `=`. */
export function machinedBash(): string {
  const verbs = ownVerbs();
  const valueArms = verbs.flatMap(({ name, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(
        ({ names, values }) =>
          `        ${names.map((one) => `${name}:${one}`).join(" | ")}) ${bashValues(values)}; return ;;`,
      ),
  );
  const optionArms = verbs.map(({ name, options }) => `        ${name}:-*) words='${spelled(options).join(" ")}' ;;`);
  const wordArms = verbs.map(({ name, words }) => `        ${name}:*) ${bashValues(words)} ;;`);
  return `# bash completion of machined(1).
# ${NOTICE}

_machined() {
    local line=\${COMP_LINE:0:COMP_POINT} args=() verb= before= word words=
    COMPREPLY=()
    read -ra args <<<"$line"
    [[ $line == *[[:space:]] ]] && args+=("")
    word=\${args[\${#args[@]} - 1]}
    ((\${#args[@]} > 2)) && verb=\${args[1]} before=\${args[\${#args[@]} - 2]}
    [[ $word == --*=* ]] && before=\${word%%=*} word=\${word#*=}
    case $verb:$before in
${valueArms.join("\n")}
    esac
    case $verb:$word in
        :*) words='${firstWords()
          .map(([name]) => name)
          .join(" ")} --help --version' ;;
${optionArms.join("\n")}
${wordArms.join("\n")}
    esac
    [[ -n $words ]] || return
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

complete -F _machined machined
`;
}

/** Escapes text for a specification of _arguments or _describe. */
function zshQuoted(text: string): string {
  return text.replace(/[\\:[\]]/g, "\\$&").replaceAll("'", "'\\''");
}

function zshAction(values: OwnVerb["words"]): string {
  if (values === null) return " ";
  if (values === "file") return "_files";
  if (values === "directory") return "_files -/";
  return values === "machine" ? " _machined_machines" : `(${values.join(" ")})`;
}

function zshArm({ name, options, words }: OwnVerb): string {
  const lines = options.flatMap(({ names, takesValue, values, description }) =>
    names.map((one) => {
      const value = takesValue ? (one.startsWith("--") ? "=" : "+") : "";
      return `'${one}${value}[${zshQuoted(description)}]${takesValue ? `:value:${zshAction(values)}` : ""}'`;
    }),
  );
  if (words !== null) lines.push(`'1:word:${zshAction(words)}'`);
  return `        ${name}) _arguments -S ${lines.join(" \\\n            ")} ;;`;
}

/** Returns the script for zsh. */
export function machinedZsh(): string {
  const rows = firstWords().map(([name, description]) => `        '${name}:${zshQuoted(description)}'`);
  return `#compdef machined
# zsh completion of machined(1).
# ${NOTICE}

_machined_machines() { local -a found; found=(\${(f)"$(${ASK})"}); compadd -a found }

_machined_programs() {
    local -a programs
    programs=(
${rows.join("\n")}
    )
    _describe 'program' programs
}

_machined_words() {
    # words[1] is the program here.
    case $words[1] in
${ownVerbs().map(zshArm).join("\n")}
    esac
}

_arguments -S \\
    '(- *)'{-h,--help}'[Print an overview]' \\
    '(- *)--version[Print the version]' \\
    ':program:_machined_programs' \\
    '*::word:_machined_words'
`;
}

function fishQuoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

function fishSource(values: OwnVerb["words"]): string {
  if (values === null) return "";
  if (values === "file") return "-F";
  if (values === "directory") return "-a '(__fish_complete_directories)'";
  return `-a ${fishQuoted(values === "machine" ? `(${ASK})` : values.join(" "))}`;
}

function fishLines({ name, options, words }: OwnVerb): string[] {
  const condition = `-n '__machined_in ${name}'`;
  const lines = options.map(({ names, takesValue, values, description }) => {
    const flags = names.map((one) => (one.startsWith("--") ? `-l ${one.slice(2)}` : `-s ${one.slice(1)}`)).join(" ");
    const value = takesValue ? ` ${values === "file" ? "-r" : "-x"} ${fishSource(values)}`.trimEnd() : "";
    return `complete -c machined ${condition} ${flags}${value} -d ${fishQuoted(description)}`;
  });
  return words === null ? lines : [...lines, `complete -c machined ${condition} ${fishSource(words)}`];
}

/** Returns the script for fish. */
export function machinedFish(): string {
  const programs = firstWords().map(
    ([name, description]) => `complete -c machined -n '__machined_in ""' -a ${name} -d ${fishQuoted(description)}`,
  );
  return `# fish completion of machined(1).
# ${NOTICE}

# Whether the program before the cursor is $argv[1]; '' where there is none yet.
function __machined_in
    test "$(commandline -opc)[2]" = "$argv[1]"
end

complete -c machined -f
complete -c machined -n '__machined_in ""' -s h -l help -d 'Print an overview'
complete -c machined -n '__machined_in ""' -l version -d 'Print the version'
${programs.join("\n")}
${ownVerbs().flatMap(fishLines).join("\n")}
`;
}
