# bash completion of importctl(1).
# Generated from the tables of verbs and options by `npm run docs`; do not edit.

# Adds the lines of standard input that begin with $1 to COMPREPLY, quoted, without their part $2, which bash keeps.
_importctl_match() {
    local typed=$1 kept=$2 line
    while IFS= read -r line; do
        [[ $line == "$typed"* ]] || continue
        printf -v line %q "$line"
        # A comma needs no quoting, and what is typed after it would not match a quoted one.
        line=${line//\\,/,}
        COMPREPLY+=("${line#"$kept"}")
    done
}

_importctl_ask() { command importctl "${scope[@]}" complete "$@" 2>/dev/null </dev/null; }

# Adds candidates of kind $1 for the word $2, of which bash replaces only the part after $3.
_importctl_offer() {
    case $1 in
        list) _importctl_match "$2" "$3" < <(printf '%s\n' $words) ;;
        commas)
            compopt -o nospace 2>/dev/null
            _importctl_match "$2" "$3" < <(for word in $words; do printf '%s\n' "${2%"${2##*,}"}$word"; done)
            ;;
        verb) _importctl_match "$2" "$3" < <(printf '%s\n' $verbs) ;;
        boolean) _importctl_match "$2" "$3" < <(printf '%s\n' yes no) ;;
        inventory) _importctl_match "$2" "$3" < <(printf '%s\n' ansible prometheus-sd) ;;
        machine | machine-or-host | transfer) _importctl_match "$2" "$3" < <(_importctl_ask "$1") ;;
        image) _importctl_match "$2" "$3" < <(_importctl_ask image importctl) ;;
        column | column-sort | column-filter)
            compopt -o nospace 2>/dev/null
            _importctl_match "$2" "$3" < <(_importctl_ask "$1" "$verb" "$2")
            ;;
        machine-path)
            compopt -o nospace 2>/dev/null
            _importctl_match "$2" "$3" < <(_importctl_ask machine-path "$first" "$2")
            ;;
        login)
            if [[ $2 == *@* ]]; then
                _importctl_match "$2" "$3" < <(_importctl_ask machine-or-host | while IFS= read -r line; do printf '%s\n' "${2%%@*}@$line"; done)
            else
                _importctl_match "$2" "$3" < <(_importctl_ask machine-or-host)
                [[ -n $2 && ${#COMPREPLY[@]} == 0 ]] && compopt -o nospace 2>/dev/null &&
                    mapfile -t COMPREPLY < <(compgen -S @ -u -- "$2")
            fi
            ;;
        host) _importctl_match "${2#*@}" "" < <(compgen -A hostname -- "${2#*@}") ;;
        user) _importctl_match "$2" "$3" < <(compgen -u -- "$2") ;;
        variable) compopt -o nospace 2>/dev/null; _importctl_match "$2" "$3" < <(compgen -A export -S = -- "$2") ;;
        signal)
            [[ $2 == SIG* ]] && word=SIG || word=
            _importctl_match "$2" "$3" < <(command importctl --signal=help 2>/dev/null | grep -v '^0$' | sed "s/^/$word/")
            ;;
        settings | file | command)
            compopt -o filenames 2>/dev/null
            [[ $1 == settings ]] && _importctl_match "$2" "$3" < <(_importctl_ask image importctl)
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$2")
            ;;
        directory)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$2")
            ;;
    esac
}

_importctl() {
    local flags='-h --help --version --no-pager --no-legend --no-ask-password --system --user --read-only -q --quiet -j --force -m -P -S -C -N'
    local valued='-H --host= -M --machine= --parallel= --json= --columns= --sort= --filter= --template= --json-version= --verify= --format= --base= --class= --keep-download='
    local verbs='pull-tar pull-raw pull-oci import-tar import-raw import-fs export-tar export-raw push-oci list-transfers cancel-transfer list-images'
    local line=${COMP_LINE:0:COMP_POINT} args=() scope=() words= option= verb= first= position=0 kind= i word current kept
    COMPREPLY=()
    read -ra args <<<"$line"
    [[ $line == *[[:space:]] ]] && args+=("")
    current=${args[${#args[@]} - 1]}

    for ((i = 1; i < ${#args[@]} - 1; i++)); do
        word=${args[i]}
        case $word in
            --system | --user | -m | -P | -S | -C) scope+=("$word") ;;
            --host=* | --machine=* | --class=*) scope+=("$word") ;;
            -H | --host | -M | --machine | --class)
                if ((i + 2 == ${#args[@]})); then option=$word; else scope+=("$word" "${args[i + 1]}"); fi
                i=$((i + 1))
                ;;
            --parallel | --json | --columns | --sort | --filter | --template | --json-version | --verify | --format | --base | --keep-download)
                ((i + 2 == ${#args[@]})) && option=$word
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
    for ((i = ${#current} - 1; i >= 0; i--)); do
        if [[ ${COMP_WORDBREAKS} == *"${current:i:1}"* ]]; then kept=${current:0:i + 1}; break; fi
    done

    if [[ -z $option && $current == --*=* ]]; then
        option=${current%%=*} word=${current#*=} kept=${kept#"$option="}
    else
        word=$current
    fi
    if [[ -n $option ]]; then
        case $option in
            -H | --host) kind=host ;;
            -M | --machine) kind=machine ;;
            --parallel) kind=free ;;
            --json) kind=list words='pretty short off' ;;
            --columns) kind=column ;;
            --sort) kind=column-sort ;;
            --filter) kind=column-filter ;;
            --template) kind=free ;;
            --json-version) kind=list words='1 2' ;;
            --verify) kind=list words='no checksum signature' ;;
            --format) kind=list words='uncompressed xz gzip bzip2 zstd lz4' ;;
            --base) kind=free ;;
            --class) kind=list words='machine portable sysext confext' ;;
            --keep-download) kind=list words='yes no' ;;
        esac
        _importctl_offer "$kind" "$word" "$kept"
        return
    fi
    if [[ $current == -* ]]; then
        words="$flags $valued"
        _importctl_match "$current" "" < <(printf '%s\n' $words)
        [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        return
    fi
    if [[ -z $verb ]]; then
        kind=verb
    else
        case $verb:$position in
            import-tar:0) kind=file ;;
            import-raw:0) kind=file ;;
            import-fs:0) kind=directory ;;
            export-tar:0) kind=image ;;
            export-tar:1) kind=file ;;
            export-raw:0) kind=image ;;
            export-raw:1) kind=file ;;
            push-oci:0) kind=image ;;
            cancel-transfer:*) kind=transfer ;;
            help:0) kind=verb ;;
        esac
    fi
    _importctl_offer "$kind" "$word" "$kept"
}

complete -F _importctl importctl
