# bash completion of machinectl(1). Needs nothing but bash.

# Names of machines and images: $1 are the options that choose the manager.
_machinectl_machines() { machinectl $1 list --full --no-legend --no-pager --max-addresses=0 2>/dev/null | awk '{print $1}'; }
_machinectl_images() { machinectl $1 list-images --full --no-legend --no-pager 2>/dev/null | awk '{print $1}'; }

_machinectl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local flags='-h --help --version --no-pager --no-legend --no-ask-password --system --user --value -a --all -l --full
        --wait-status --read-only --mkdir -q --quiet --force --now -V'
    local valued=' -H --host -M --machine -p --property -P --kill-whom --kill-who -s --signal --uid -E --setenv -n --lines
        --max-addresses -o --output --verify --format --runner '
    local verbs='list status show start login shell enable disable poweroff stop reboot restart pause resume terminate kill
        copy-to copy-from bind list-images image-status show-image edit cat clone rename read-only remove set-limit clean
        bind-volume unbind-volume pull-tar pull-raw import-tar import-raw import-fs export-tar export-raw list-transfers
        cancel-transfer'
    local scope= verb= position=0 words= i word
    COMPREPLY=()

    # The word behind an option that takes a value; "--option=value" reaches us as three words.
    [[ $current == = ]] && current=
    [[ $previous == = && COMP_CWORD -ge 2 ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ -n $previous && $valued == *[[:space:]]"$previous"[[:space:]]* ]]; then
        case $previous in
            -s | --signal) words=$(machinectl --signal=help 2>/dev/null | grep -v '^0$') ;;
            --kill-whom | --kill-who) words='all leader supervisor' ;;
            -H | --host) words=$(compgen -A hostname) ;;
            -M | --machine) words=$(_machinectl_machines) ;;
            -o | --output) words=$(machinectl --output=help 2>/dev/null) ;;
            --verify) words='no checksum signature' ;;
            --format) words='uncompressed xz gzip bzip2 zstd' ;;
            --runner) words='nspawn vmspawn' ;;
            --uid) words=$(compgen -u) ;;
            --max-addresses) words='all' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        return
    fi

    # The verb, and how many words stand between it and the cursor.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            --user | --system) scope=$word ;;
            =) i=$((i + 1)) ;;
            -*) [[ $valued == *[[:space:]]"$word"[[:space:]]* && ${COMP_WORDS[i + 1]} != = ]] && i=$((i + 1)) ;;
            *) if [[ -z $verb ]]; then verb=$word; else position=$((position + 1)); fi ;;
        esac
    done

    if [[ $current == -* && $verb != shell ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags $valued" -- "$current")
        return
    fi
    case $verb:$position in
        :*) words=$verbs ;;
        status:* | show:* | poweroff:* | stop:* | reboot:* | restart:* | pause:* | resume:* | terminate:* | kill:* | \
            bind-volume:0 | unbind-volume:0) words=$(_machinectl_machines "$scope") ;;
        login:0 | shell:0) words="$(_machinectl_machines "$scope") .host" ;;
        start:* | enable:* | disable:* | image-status:* | show-image:* | remove:* | clone:0 | rename:0 | read-only:0 | \
            set-limit:0 | export-tar:0 | export-raw:0) words=$(_machinectl_images "$scope") ;;
        read-only:1) words='yes no' ;;
        copy-to:0 | copy-from:0 | bind:0) words=$(_machinectl_machines "$scope") ;;
        copy-to:[12] | copy-from:[12] | bind:[12] | import-*:0 | export-*:1 | shell:*)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        edit:* | cat:*)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current"; compgen -W "$(_machinectl_images "$scope")" -- "$current")
            return
            ;;
        cancel-transfer:*) words=$(machinectl list-transfers --no-legend --no-pager 2>/dev/null | awk '{print $1}') ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _machinectl machinectl
