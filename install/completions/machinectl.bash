# bash completion of machinectl(1).
# Generated from the tables of verbs and options by `npm run docs`; do not edit.

# Adds the lines of standard input that begin with $1 to COMPREPLY, quoted, without their part $2, which bash keeps.
_machinectl_match() {
    local typed=$1 kept=$2 line
    while IFS= read -r line; do
        [[ $line == "$typed"* ]] || continue
        printf -v line %q "$line"
        # A comma needs no quoting, and what is typed after it would not match a quoted one.
        line=${line//\\,/,}
        COMPREPLY+=("${line#"$kept"}")
    done
}

_machinectl_ask() { command machinectl "${scope[@]}" complete "$@" 2>/dev/null </dev/null; }

# Adds candidates of kind $1 for the word $2, of which bash replaces only the part after $3.
_machinectl_offer() {
    case $1 in
        list) _machinectl_match "$2" "$3" < <(printf '%s\n' $words) ;;
        commas)
            compopt -o nospace 2>/dev/null
            _machinectl_match "$2" "$3" < <(for word in $words; do printf '%s\n' "${2%"${2##*,}"}$word"; done)
            ;;
        verb) _machinectl_match "$2" "$3" < <(printf '%s\n' $verbs) ;;
        boolean) _machinectl_match "$2" "$3" < <(printf '%s\n' yes no) ;;
        inventory) _machinectl_match "$2" "$3" < <(printf '%s\n' ansible prometheus-sd) ;;
        machine | machine-or-host | transfer) _machinectl_match "$2" "$3" < <(_machinectl_ask "$1") ;;
        image) _machinectl_match "$2" "$3" < <(_machinectl_ask image machinectl) ;;
        column | column-sort | column-filter)
            compopt -o nospace 2>/dev/null
            _machinectl_match "$2" "$3" < <(_machinectl_ask "$1" "$verb" "$2")
            ;;
        machine-path)
            compopt -o nospace 2>/dev/null
            _machinectl_match "$2" "$3" < <(_machinectl_ask machine-path "$first" "$2")
            ;;
        login)
            if [[ $2 == *@* ]]; then
                _machinectl_match "$2" "$3" < <(_machinectl_ask machine-or-host | while IFS= read -r line; do printf '%s\n' "${2%%@*}@$line"; done)
            else
                _machinectl_match "$2" "$3" < <(_machinectl_ask machine-or-host)
                [[ -n $2 && ${#COMPREPLY[@]} == 0 ]] && compopt -o nospace 2>/dev/null &&
                    mapfile -t COMPREPLY < <(compgen -S @ -u -- "$2")
            fi
            ;;
        host) _machinectl_match "${2#*@}" "" < <(compgen -A hostname -- "${2#*@}") ;;
        user) _machinectl_match "$2" "$3" < <(compgen -u -- "$2") ;;
        variable) compopt -o nospace 2>/dev/null; _machinectl_match "$2" "$3" < <(compgen -A export -S = -- "$2") ;;
        signal)
            [[ $2 == SIG* ]] && word=SIG || word=
            _machinectl_match "$2" "$3" < <(command machinectl --signal=help 2>/dev/null | grep -v '^0$' | sed "s/^/$word/")
            ;;
        settings | file | command)
            compopt -o filenames 2>/dev/null
            [[ $1 == settings ]] && _machinectl_match "$2" "$3" < <(_machinectl_ask image machinectl)
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$2")
            ;;
        directory)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$2")
            ;;
    esac
}

_machinectl() {
    local flags='-h --help --version --fleet --system --user --value -a --all -l --full --wait-status --read-only --mkdir --force --now -V -t --tty --detach --no-follow --rm -f --follow --any -v --verbose --no-pager --no-legend --no-ask-password -q --quiet'
    local valued='-H --host= -M --machine= -p --property= -P --kill-whom= -s --signal= --uid= -E --setenv= -n --lines= --max-addresses= -o --output= --json= --runner= --stdin= --chdir= --timeout= --parallel= --columns= --sort= --filter= --template= --json-version= --delay= --iterations= --type= --since= --until= --after-cursor= --leader= --class= --service= --root-directory= --vsock-cid= --ssh-address= --ssh-private-key= --name= --network= --bind= --port= --nspawn-option= --vmspawn-option= --pull= --for= -u --unit= -g --grep='
    local verbs='list status show stats top events logs metrics inventory start login shell exec wait run doctor register unregister enable disable poweroff stop reboot restart terminate pause resume kill copy-to copy-from bind bind-volume unbind-volume list-images image-status show-image edit cat clone rename read-only remove set-limit clean pull-tar pull-raw import-tar import-raw import-fs export-tar export-raw list-transfers cancel-transfer'
    local line=${COMP_LINE:0:COMP_POINT} args=() scope=() words= option= verb= first= position=0 kind= i word current kept
    COMPREPLY=()
    read -ra args <<<"$line"
    [[ $line == *[[:space:]] ]] && args+=("")
    current=${args[${#args[@]} - 1]}

    for ((i = 1; i < ${#args[@]} - 1; i++)); do
        word=${args[i]}
        case $word in
            --system | --user) scope+=("$word") ;;
            --host=* | --machine=* | --class=*) scope+=("$word") ;;
            -H | --host | -M | --machine | --class)
                if ((i + 2 == ${#args[@]})); then option=$word; else scope+=("$word" "${args[i + 1]}"); fi
                i=$((i + 1))
                ;;
            -p | --property | -P | --kill-whom | -s | --signal | --uid | -E | --setenv | -n | --lines | --max-addresses | -o | --output | --json | --runner | --stdin | --chdir | --timeout | --parallel | --columns | --sort | --filter | --template | --json-version | --delay | --iterations | --type | --since | --until | --after-cursor | --leader | --service | --root-directory | --vsock-cid | --ssh-address | --ssh-private-key | --name | --network | --bind | --port | --nspawn-option | --vmspawn-option | --pull | --for | -u | --unit | -g | --grep)
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
            -p | --property) kind=free ;;
            -P) kind=free ;;
            --kill-whom) kind=list words='leader supervisor all' ;;
            -s | --signal) kind=signal ;;
            --uid) kind=user ;;
            -E | --setenv) kind=variable ;;
            -n | --lines) kind=free ;;
            --max-addresses) kind=list words='all' ;;
            -o | --output) kind=list words='short short-full short-iso short-iso-precise short-precise short-monotonic short-delta short-unix verbose export json json-pretty json-sse json-seq cat with-unit' ;;
            --json) kind=list words='pretty short off' ;;
            --runner) kind=list words='nspawn vmspawn' ;;
            --stdin) kind=list words='yes no' ;;
            --chdir) kind=free ;;
            --timeout) kind=free ;;
            --parallel) kind=free ;;
            --columns) kind=column ;;
            --sort) kind=column-sort ;;
            --filter) kind=column-filter ;;
            --template) kind=free ;;
            --json-version) kind=list words='1 2' ;;
            --delay) kind=free ;;
            --iterations) kind=free ;;
            --type) kind=commas words='machine address resource image transfer' ;;
            --since) kind=free ;;
            --until) kind=free ;;
            --after-cursor) kind=free ;;
            --leader) kind=free ;;
            --class) kind=list words='container vm' ;;
            --service) kind=free ;;
            --root-directory) kind=free ;;
            --vsock-cid) kind=free ;;
            --ssh-address) kind=free ;;
            --ssh-private-key) kind=free ;;
            --name) kind=free ;;
            --network) kind=list words='host none veth user' ;;
            --bind) kind=free ;;
            --port) kind=free ;;
            --nspawn-option) kind=free ;;
            --vmspawn-option) kind=free ;;
            --pull) kind=list words='missing always never' ;;
            --for) kind=list words='running booted address ssh ended' ;;
            -u | --unit) kind=free ;;
            -g | --grep) kind=free ;;
        esac
        _machinectl_offer "$kind" "$word" "$kept"
        return
    fi
    if [[ $current == -* ]] && ! [[ $verb:$position == inventory:* && $position -ge 1 ]] && ! [[ $verb:$position == shell:* && $position -ge 2 ]] && ! [[ $verb:$position == exec:* && $position -ge 1 ]] && ! [[ $verb:$position == run:* && $position -ge 1 ]] && ! [[ $verb:$position == register:* && $position -ge 2 ]]; then
        words="$flags $valued"
        _machinectl_match "$current" "" < <(printf '%s\n' $words)
        [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        return
    fi
    if [[ -z $verb ]]; then
        kind=verb
    else
        case $verb:$position in
            status:*) kind=machine ;;
            show:*) kind=machine ;;
            stats:*) kind=machine ;;
            top:*) kind=machine ;;
            events:*) kind=machine ;;
            logs:0) kind=machine-or-host ;;
            metrics:0) kind=file ;;
            inventory:0) kind=inventory ;;
            start:*) kind=image ;;
            login:0) kind=machine-or-host ;;
            shell:0) kind=login ;;
            shell:[1-9]*) kind=command ;;
            exec:0) kind=login ;;
            exec:[1-9]*) kind=command ;;
            wait:*) kind=machine ;;
            run:0) kind=image ;;
            run:[1-9]*) kind=command ;;
            doctor:0) kind=machine ;;
            register:[1-9]*) kind=command ;;
            unregister:*) kind=machine ;;
            enable:*) kind=image ;;
            disable:*) kind=image ;;
            poweroff:* | stop:*) kind=machine ;;
            reboot:* | restart:*) kind=machine ;;
            terminate:*) kind=machine ;;
            pause:*) kind=machine ;;
            resume:*) kind=machine ;;
            kill:*) kind=machine ;;
            copy-to:0) kind=machine ;;
            copy-to:1) kind=file ;;
            copy-to:2) kind=machine-path ;;
            copy-from:0) kind=machine ;;
            copy-from:1) kind=machine-path ;;
            copy-from:2) kind=file ;;
            bind:0) kind=machine ;;
            bind:1) kind=file ;;
            bind:2) kind=machine-path ;;
            bind-volume:0) kind=machine ;;
            unbind-volume:0) kind=machine ;;
            image-status:*) kind=image ;;
            show-image:*) kind=image ;;
            edit:*) kind=settings ;;
            cat:*) kind=settings ;;
            clone:0) kind=image ;;
            rename:0) kind=image ;;
            read-only:0) kind=image ;;
            read-only:1) kind=boolean ;;
            remove:*) kind=image ;;
            set-limit:0) kind=image ;;
            import-tar:0) kind=file ;;
            import-raw:0) kind=file ;;
            import-fs:0) kind=directory ;;
            export-tar:0) kind=image ;;
            export-tar:1) kind=file ;;
            export-raw:0) kind=image ;;
            export-raw:1) kind=file ;;
            cancel-transfer:*) kind=transfer ;;
            help:0) kind=verb ;;
        esac
    fi
    _machinectl_offer "$kind" "$word" "$kept"
}

complete -F _machinectl machinectl
