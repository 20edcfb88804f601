# bash completion of importctl(1). Needs nothing but bash.

# Names of images: $1 are the options that choose the daemon and the class.
_importctl_images() { importctl $1 list-images --no-legend --no-pager 2>/dev/null | awk '$2 !~ /^\./ {print $2}'; }
_importctl_transfers() { importctl $1 list-transfers --no-legend --no-pager 2>/dev/null | awk '{print $1}'; }

_importctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local flags='-h --help --version --no-pager --no-legend --no-ask-password --system --user --read-only -q --quiet -j
        --force -m -P -S -C -N'
    local valued=' -H --host -M --machine --json --verify --format --class --keep-download '
    local verbs='pull-tar pull-raw pull-oci import-tar import-raw import-fs export-tar export-raw list-transfers
        cancel-transfer list-images help'
    local options= verb= position=0 words= i word
    COMPREPLY=()

    # The word behind an option that takes a value; "--option=value" reaches us as three words.
    [[ $current == = ]] && current=
    [[ $previous == = && COMP_CWORD -ge 2 ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ -n $previous && $valued == *[[:space:]]"$previous"[[:space:]]* ]]; then
        case $previous in
            -H | --host) words=$(compgen -A hostname) ;;
            -M | --machine) words=$(machinectl list --no-legend --no-pager --max-addresses=0 2>/dev/null | awk '{print $1}') ;;
            --json) words='pretty short off' ;;
            --verify) words='no checksum signature' ;;
            --format) words='uncompressed xz gzip bzip2 zstd' ;;
            --class) words='machine portable sysext confext' ;;
            --keep-download) words='yes no' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        return
    fi

    # The verb, and how many words stand between it and the cursor.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            --user | --system | -[mPSC]) options+=" $word" ;;
            --class) options+=" --class=${COMP_WORDS[i + 2]}" && i=$((i + 2)) ;;
            =) i=$((i + 1)) ;;
            -*) [[ $valued == *[[:space:]]"$word"[[:space:]]* && ${COMP_WORDS[i + 1]} != = ]] && i=$((i + 1)) ;;
            *) if [[ -z $verb ]]; then verb=$word; else position=$((position + 1)); fi ;;
        esac
    done

    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags $valued" -- "$current")
        return
    fi
    case $verb:$position in
        :*) words=$verbs ;;
        cancel-transfer:*) words=$(_importctl_transfers "$options") ;;
        export-tar:0 | export-raw:0) words=$(_importctl_images "$options") ;;
        import-tar:0 | import-raw:0 | export-tar:1 | export-raw:1)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        import-fs:0)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
            return
            ;;
        help:0) words=$verbs ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _importctl importctl
