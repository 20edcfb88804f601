# bash completion of machined(1).
# Generated from the tables of verbs and options by `npm run docs`; do not edit.

_machined() {
    local line=${COMP_LINE:0:COMP_POINT} args=() verb= before= word words=
    COMPREPLY=()
    read -ra args <<<"$line"
    [[ $line == *[[:space:]] ]] && args+=("")
    word=${args[${#args[@]} - 1]}
    ((${#args[@]} > 2)) && verb=${args[1]} before=${args[${#args[@]} - 2]}
    [[ $word == --*=* ]] && before=${word%%=*} word=${word#*=}
    case $verb:$before in
        install:--root) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        uninstall:--root) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        doctor:--json) mapfile -t COMPREPLY < <(compgen -W "pretty short off" -- "$word"); return ;;
        fleet:--config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        fleet:--url) :; return ;;
        fleet:--host) :; return ;;
        fleet:--credentials-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        fleet:--user) :; return ;;
        fleet:--password-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        fleet:--tls-ca-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        fleet:--tls-certificate-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        fleet:--tls-key-file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        fleet:--ttl) :; return ;;
        fleet:--allow) mapfile -t COMPREPLY < <(compgen -W "read lifecycle exec" -- "$word"); return ;;
        fleet:--inbox-prefix) :; return ;;
        fleet:--replicas) :; return ;;
        fleet:--max-bytes) :; return ;;
    esac
    case $verb:$word in
        :*) words='install uninstall doctor bridge fleet machinectl importctl nss-mymachines systemd-machined systemd-importd machined-exec help --help --version' ;;
        install:-*) words='--now --nss --keep-changes --divert --root= --dry-run -h --help' ;;
        uninstall:-*) words='--now --dry-run --root= -h --help' ;;
        doctor:-*) words='-h --help --json= -q --quiet' ;;
        bridge:-*) words='-h --help' ;;
        fleet:-*) words='-h --help --config= --url= --host= --credentials-file= --user= --password-file= --tls-ca-file= --tls-certificate-file= --tls-key-file= --ttl= --allow= --inbox-prefix= --replicas= --max-bytes=' ;;
        help:-*) words='' ;;
        install:*) : ;;
        uninstall:*) : ;;
        doctor:*) mapfile -t COMPREPLY < <(compgen -W "$(command machinectl complete machine 2>/dev/null </dev/null)" -- "$word") ;;
        bridge:*) : ;;
        fleet:*) mapfile -t COMPREPLY < <(compgen -W "setup" -- "$word") ;;
        help:*) mapfile -t COMPREPLY < <(compgen -W "install uninstall doctor bridge fleet machinectl importctl nss-mymachines systemd-machined systemd-importd machined-exec" -- "$word") ;;
    esac
    [[ -n $words ]] || return
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

complete -F _machined machined
