#compdef machined
# zsh completion of machined(1).
# Generated from the tables of verbs and options by `npm run docs`; do not edit.

_machined_machines() { local -a found; found=(${(f)"$(command machinectl complete machine 2>/dev/null </dev/null)"}); compadd -a found }

_machined_programs() {
    local -a programs
    programs=(
        'install:Install machined on this host'
        'uninstall:Remove it from this host'
        'doctor:Check this host for problems'
        'bridge:Serve machinectl -H over ssh'
        'fleet:Connect this host to NATS'
        'machinectl:Manage machines and images'
        'importctl:Transfer images'
        'nss-mymachines:Look up names of machines'
        'systemd-machined:Keeps the registry'
        'systemd-importd:Runs transfers of images'
        'machined-exec:Runs commands for users'
        'help:Print the help of a program'
    )
    _describe 'program' programs
}

_machined_words() {
    # words[1] is the program here.
    case $words[1] in
        install) _arguments -S '--now[replace the running daemon now]' \
            '--nss[resolve machine names in all programs]' \
            '--keep-changes[keep files that were changed or removed since the last installation, and files of others at the paths to install]' \
            '--divert[also replace /usr/bin/machinectl and importctl by links, for cron jobs and scripts whose PATH has only /usr/bin]' \
            '--root=[install into this directory instead of the running host]:value:_files -/' \
            '--dry-run[only show what would be done]' \
            '-h[show this help]' \
            '--help[show this help]' ;;
        uninstall) _arguments -S '--now[start the distribution'\''s daemon instead now]' \
            '--dry-run[only show what would be done]' \
            '--root=[uninstall from this directory instead of the running host]:value:_files -/' \
            '-h[show this help]' \
            '--help[show this help]' ;;
        doctor) _arguments -S '-h[Print the help]' \
            '--help[Print the help]' \
            '--json=[Print the output as JSON (pretty, short, off)]:value:(pretty short off)' \
            '-q[Print less]' \
            '--quiet[Print less]' \
            '1:word: _machined_machines' ;;
        bridge) _arguments -S '-h[Print the help]' \
            '--help[Print the help]' ;;
        fleet) _arguments -S '-h[Print this help]' \
            '--help[Print this help]' \
            '--config=[The file of settings; /etc/machined/fleet.conf unless given]:value:_files' \
            '--url=[The server, or several of one cluster\: nats\://HOST\:PORT or tls\://HOST\:PORT]:value: ' \
            '--host=[The name of this host in the fleet; its host name unless given]:value: ' \
            '--credentials-file=[A .creds file of NATS\: the identity and the key of this user]:value:_files' \
            '--user=[A user of NATS that has a password]:value: ' \
            '--password-file=[The file with the password of that user]:value:_files' \
            '--tls-ca-file=[Certificates of the authorities that the server'\''s certificate is checked with; those of the system unless given]:value:_files' \
            '--tls-certificate-file=[The certificate of this client, where the server asks for one]:value:_files' \
            '--tls-key-file=[The private key of that certificate]:value:_files' \
            '--ttl=[How long the server keeps the record of this host after its agent has stopped; 30s unless given]:value: ' \
            '--allow=[Which requests are answered\: read, lifecycle, exec; read unless given]:value:(read lifecycle exec)' \
            '--inbox-prefix=[The first word of the subjects on which this user gets replies; _INBOX unless given]:value: ' \
            '--replicas=[With setup\: on how many servers of a cluster each record is kept; 1 unless given]:value: ' \
            '--max-bytes=[With setup\: the largest size of each bucket and of the stream of events; no limit unless given]:value: ' \
            '1:word:(setup)' ;;
        help) _arguments -S '1:word:(install uninstall doctor bridge fleet machinectl importctl nss-mymachines systemd-machined systemd-importd machined-exec)' ;;
    esac
}

_arguments -S \
    '(- *)'{-h,--help}'[Print an overview]' \
    '(- *)--version[Print the version]' \
    ':program:_machined_programs' \
    '*::word:_machined_words'
