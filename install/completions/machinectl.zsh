#compdef machinectl
# zsh completion of machinectl(1).
# Generated from the tables of verbs and options by `npm run docs`; do not edit.

# Sets reply to the options before the verb that select host, daemon and class.
_machinectl_scope() {
    local option
    reply=()
    for option in -H --host -M --machine --system --user --class; do
        (( ${+opt_args[$option]} )) && reply+=($option ${opt_args[$option]:+${(Q)opt_args[$option]}})
    done
}

# Adds candidates from the client's verb "complete": $1 is the kind, the rest are words before the cursor.
_machinectl_ask() {
    local -a reply found
    _machinectl_scope
    found=(${(f)"$(command machinectl $reply complete "$@" 2>/dev/null </dev/null)"})
    compadd -a found
}

# Columns of the list that the verb prints; candidates are whole values of the option.
_machinectl_columns() {
    local -a reply found
    _machinectl_scope
    found=(${(f)"$(command machinectl $reply complete $1 "${line[1]}" "$PREFIX" 2>/dev/null </dev/null)"})
    compadd -S '' -a found
}

# Candidates are whole values of the option: what is typed already, and one of the words.
_machinectl_commas() { compadd -S '' -- "${PREFIX%"${PREFIX##*,}"}"$^@ }

_machinectl_signals() {
    local -a found
    found=(${(f)"$(command machinectl --signal=help 2>/dev/null)"})
    [[ $PREFIX == SIG* ]] && found=(SIG${^found})
    compadd -a found
}

_machinectl_paths() {
    local -a reply found
    _machinectl_scope
    found=(${(f)"$(command machinectl $reply complete machine-path "${line[2]}" "$PREFIX" 2>/dev/null </dev/null)"})
    compadd -f -S '' -a found
}

_machinectl_word() {
    case $1 in
        login)
            if compset -P '*@' || [[ -z $PREFIX ]]; then
                _machinectl_ask machine-or-host
            else
                _machinectl_ask machine-or-host || compadd -S '' -- ${^${(k)userdirs}}@
            fi
            ;;
        image) _machinectl_ask image machinectl ;;
        settings) _machinectl_ask image machinectl; _files ;;
        machine-path) _machinectl_paths ;;
        boolean) compadd yes no ;;
        inventory) compadd ansible prometheus-sd ;;
        verb) _machinectl_verbs ;;
        directory) _files -/ ;;
        file) _files ;;
        command) _command_names -e || _files ;;
        *) _machinectl_ask $1 ;;
    esac
}

_machinectl_verbs() {
    local -a verbs
    verbs=(
        'list:List the machines that are running'
        'status:Print the state of machines for people'
        'show:Print properties of machines or of the manager'
        'stats:Print what machines use\: processors, memory, input and output, network'
        'top:Show what machines use on the whole terminal, updated every second'
        'events:Print what happens to machines and images, as it happens or from the log'
        'logs:Print what a machine logged, also when it has ended'
        'metrics:Print metrics of machines for Prometheus, or write them to a file'
        'inventory:Print machines as an inventory of Ansible, or as targets of Prometheus'
        'start:Start images as services'
        'login:Get a login prompt of a machine'
        'shell:Run a shell or another program in a machine'
        'exec:Run a command in machines, with clean streams and its exit status'
        'wait:Wait until machines have booted, have an address or have ended'
        'run:Run an image, which is pulled where it is missing'
        'doctor:Check this host or a machine, and print what repairs a problem'
        'register:Register a process as a machine, or run a command as one'
        'unregister:Remove machines from the registry; their processes continue'
        'enable:Start images at boot'
        'disable:Do not start images at boot'
        'poweroff:Ask machines to power off'
        'stop:Ask machines to power off'
        'reboot:Ask machines to reboot'
        'restart:Ask machines to reboot'
        'terminate:End machines at once'
        'pause:Pause virtual machines that have a control socket'
        'resume:Resume paused machines'
        'kill:Send a signal to the processes of machines'
        'copy-to:Copy files from this host into a machine'
        'copy-from:Copy files from a machine to this host'
        'bind:Bind mount a file or directory of this host into a machine'
        'bind-volume:Attach a volume to a running virtual machine'
        'unbind-volume:Detach a volume from a virtual machine'
        'list-images:List the images that machines can be started from'
        'image-status:Print the state of images or of the pool for people'
        'show-image:Print properties of images or of the manager'
        'edit:Change the settings of machines with an editor'
        'cat:Print the settings of machines'
        'clone:Clone an image'
        'rename:Rename an image'
        'read-only:Make an image read-only, or writable again'
        'remove:Remove images'
        'set-limit:Limit the space of an image, or of all together'
        'clean:Remove hidden images, or with --all all of them'
        'pull-tar:Download a tar file as an image'
        'pull-raw:Download a disk image'
        'import-tar:Make an image of a tar file'
        'import-raw:Make an image of a disk image file'
        'import-fs:Make an image of a directory'
        'export-tar:Write an image to a tar file'
        'export-raw:Write a disk image to a file'
        'list-transfers:List the transfers that are running'
        'cancel-transfer:End transfers before they are done'
    )
    _describe 'command' verbs
}

_machinectl_words() {
    # line has the verb, the words after it and the one to complete; options are not in it.
    case $line[1]:$#line in
        (status):<2->) _machinectl_word machine ;;
        (show):<2->) _machinectl_word machine ;;
        (stats):<2->) _machinectl_word machine ;;
        (top):<2->) _machinectl_word machine ;;
        (events):<2->) _machinectl_word machine ;;
        (logs):2) _machinectl_word machine-or-host ;;
        (metrics):2) _machinectl_word file ;;
        (inventory):2) _machinectl_word inventory ;;
        (start):<2->) _machinectl_word image ;;
        (login):2) _machinectl_word machine-or-host ;;
        (shell):2) _machinectl_word login ;;
        (shell):<3->) _machinectl_word command ;;
        (exec):2) _machinectl_word login ;;
        (exec):<3->) _machinectl_word command ;;
        (wait):<2->) _machinectl_word machine ;;
        (run):2) _machinectl_word image ;;
        (run):<3->) _machinectl_word command ;;
        (doctor):2) _machinectl_word machine ;;
        (register):<3->) _machinectl_word command ;;
        (unregister):<2->) _machinectl_word machine ;;
        (enable):<2->) _machinectl_word image ;;
        (disable):<2->) _machinectl_word image ;;
        (poweroff|stop):<2->) _machinectl_word machine ;;
        (reboot|restart):<2->) _machinectl_word machine ;;
        (terminate):<2->) _machinectl_word machine ;;
        (pause):<2->) _machinectl_word machine ;;
        (resume):<2->) _machinectl_word machine ;;
        (kill):<2->) _machinectl_word machine ;;
        (copy-to):2) _machinectl_word machine ;;
        (copy-to):3) _machinectl_word file ;;
        (copy-to):4) _machinectl_word machine-path ;;
        (copy-from):2) _machinectl_word machine ;;
        (copy-from):3) _machinectl_word machine-path ;;
        (copy-from):4) _machinectl_word file ;;
        (bind):2) _machinectl_word machine ;;
        (bind):3) _machinectl_word file ;;
        (bind):4) _machinectl_word machine-path ;;
        (bind-volume):2) _machinectl_word machine ;;
        (unbind-volume):2) _machinectl_word machine ;;
        (image-status):<2->) _machinectl_word image ;;
        (show-image):<2->) _machinectl_word image ;;
        (edit):<2->) _machinectl_word settings ;;
        (cat):<2->) _machinectl_word settings ;;
        (clone):2) _machinectl_word image ;;
        (rename):2) _machinectl_word image ;;
        (read-only):2) _machinectl_word image ;;
        (read-only):3) _machinectl_word boolean ;;
        (remove):<2->) _machinectl_word image ;;
        (set-limit):2) _machinectl_word image ;;
        (import-tar):2) _machinectl_word file ;;
        (import-raw):2) _machinectl_word file ;;
        (import-fs):2) _machinectl_word directory ;;
        (export-tar):2) _machinectl_word image ;;
        (export-tar):3) _machinectl_word file ;;
        (export-raw):2) _machinectl_word image ;;
        (export-raw):3) _machinectl_word file ;;
        (cancel-transfer):<2->) _machinectl_word transfer ;;
        (help):2) _machinectl_word verb ;;
    esac
}

_arguments -S \
    '(-h --help)-h[Print this overview; after a command, the page of that command]' \
    '(-h --help)--help[Print this overview; after a command, the page of that command]' \
    '--version[Print the version]' \
    '*-H+[Work on another host, over ssh; on several\: HOST,HOST or @FILE]:\[user@\]host:_hosts' \
    '*--host=[Work on another host, over ssh; on several\: HOST,HOST or @FILE]:\[user@\]host:_hosts' \
    '*-M+[Work on the manager inside a container]:container: _machinectl_ask machine' \
    '*--machine=[Work on the manager inside a container]:container: _machinectl_ask machine' \
    '--fleet[Work on the hosts behind a NATS server; on some of them with -H HOST,HOST]' \
    '--system[Talk to the machine manager of the system]' \
    '--user[Talk to the machine manager of the calling user]' \
    '--value[With show\: print values without their names]' \
    '*-p+[With show\: print only properties of this name]:name: ' \
    '*--property=[With show\: print only properties of this name]:name: ' \
    '*-P+[Short for --value --property=NAME]:name: ' \
    '(-a --all)-a[Include hidden machines and empty properties]' \
    '(-a --all)--all[Include hidden machines and empty properties]' \
    '(-l --full)-l[Do not shorten anything to fit the terminal]' \
    '(-l --full)--full[Do not shorten anything to fit the terminal]' \
    '--kill-whom=[Who gets the signal\: leader, supervisor or all]:whom:(leader supervisor all)' \
    '*-s+[The signal to send, or '\''list'\'']:signal:_machinectl_signals' \
    '*--signal=[The signal to send, or '\''list'\'']:signal:_machinectl_signals' \
    '*--uid=[The user to run a shell or command as]:user:_users' \
    '*-E+[Set an environment variable for a shell or command]:var\[=value\]:_parameters -g '\''*export*'\''' \
    '*--setenv=[Set an environment variable for a shell or command]:var\[=value\]:_parameters -g '\''*export*'\''' \
    '--wait-status[With shell\: exit with the program'\''s own exit status]' \
    '--read-only[Make the bind mount or the clone read-only]' \
    '--mkdir[Create the target of a bind mount where it is missing]' \
    '*-n+[How many journal entries to print, or with events how many of the last events]:integer: ' \
    '*--lines=[How many journal entries to print, or with events how many of the last events]:integer: ' \
    '--max-addresses=[How many addresses to list at most, or '\''all'\'']:integer:(all)' \
    '(-o --output)-o+[Form of journal entries (short, short-full, short-iso, short-iso-precise, short-precise, short-monotonic, short-delta, short-unix, verbose, export, json, json-pretty, json-sse, json-seq, cat, with-unit); the json ones turn tables into JSON]:string:(short short-full short-iso short-iso-precise short-precise short-monotonic short-delta short-unix verbose export json json-pretty json-sse json-seq cat with-unit)' \
    '(-o --output)--output=[Form of journal entries (short, short-full, short-iso, short-iso-precise, short-precise, short-monotonic, short-delta, short-unix, verbose, export, json, json-pretty, json-sse, json-seq, cat, with-unit); the json ones turn tables into JSON]:string:(short short-full short-iso short-iso-precise short-precise short-monotonic short-delta short-unix verbose export json json-pretty json-sse json-seq cat with-unit)' \
    '--json=[Print the output as JSON (pretty, short, off)]:mode:(pretty short off)' \
    '--force[Replace existing files when copying]' \
    '--now[With enable and disable\: start or power off as well]' \
    '--runner=[Run images as containers (nspawn) or as virtual machines (vmspawn)]:runner:(nspawn vmspawn)' \
    '-V[Short for --runner=vmspawn]' \
    '(-t --tty)-t[With exec and run\: give the command a terminal]' \
    '(-t --tty)--tty[With exec and run\: give the command a terminal]' \
    '--stdin=[With exec and run\: whether the command reads standard input]:bool:(yes no)' \
    '*--chdir=[With exec and run\: the directory in which the command runs]:dir: ' \
    '*--timeout=[With exec, run and wait\: end the command, or the waiting, after this time]:span: ' \
    '--detach[With exec\: leave the command running, and print its process and cgroup]' \
    '*--parallel=[With exec\: in how many machines to run at once; with -H\: on how many hosts]:n: ' \
    '*--columns=[With lists\: the columns to show; '\''+KEY'\'' adds one, '\''help'\'' explains them]:key,…: _machinectl_columns column' \
    '*--sort=[With lists\: sort by these columns; '\''-KEY'\'' or '\''KEY\:desc'\'' in descending order]:key,…: _machinectl_columns column-sort' \
    '*--filter=[With lists\: show only rows whose column matches]:key=glob: _machinectl_columns column-filter' \
    '*--template=[With lists\: a line for each row, with values for {{KEY}} and {{KEY.N}}]:text: ' \
    '--json-version=[With lists\: 2 makes several values an array, and no rows an empty one]:version:(1 2)' \
    '*--delay=[With stats\: the time between two measurements]:span: ' \
    '*--iterations=[With stats\: how often to measure]:n: ' \
    '--type=[With events\: only of these types, separated by commas]:type,…: _machinectl_commas machine address resource image transfer' \
    '*--since=[With events and logs\: begin at this time]:time: ' \
    '*--until=[With events and logs\: end at this time]:time: ' \
    '*--after-cursor=[With events\: begin after the event with this cursor]:cursor: ' \
    '--no-follow[With events\: do not wait for new events]' \
    '*--leader=[With register\: the first process of the machine]:pid: ' \
    '--class=[With register\: what the machine is]:class:(container vm)' \
    '*--service=[With register\: the program that runs the machine]:service: ' \
    '*--root-directory=[With register\: the machine'\''s root directory on this host]:dir: ' \
    '*--vsock-cid=[With register\: the machine'\''s VSOCK address]:cid: ' \
    '*--ssh-address=[With register\: where the machine is reached over ssh]:address: ' \
    '*--ssh-private-key=[With register\: the private key for ssh to it]:file: ' \
    '*--name=[With run\: the name of the machine; one is made unless given]:name: ' \
    '--rm[With run\: run a clone of the image, which is removed when the machine ends]' \
    '--network=[With run\: the network of the machine\: host, none, veth, or bridge\:NAME, zone\:NAME, interface\:NAME, macvlan\:NAME, ipvlan\:NAME; with -V none, veth or user]:kind:(host none veth user)' \
    '*--bind=[With run\: show a file or directory of this host in the machine]:source\[\:target\]: ' \
    '*--port=[With run\: forward a port of this host to the machine]:\[proto\:\]host\[\:port\]: ' \
    '*--nspawn-option=[With run\: a further option of systemd-nspawn]:option: ' \
    '*--vmspawn-option=[With run -V\: a further option of systemd-vmspawn]:option: ' \
    '--pull=[With run\: pull the image when it is missing, always, or never]:when:(missing always never)' \
    '--for=[With wait\: what to wait for; booted unless given]:condition:(running booted address ssh ended)' \
    '(-f --follow)-f[With logs\: print new entries as they come, also after the machine is started again]' \
    '(-f --follow)--follow[With logs\: print new entries as they come, also after the machine is started again]' \
    '*-u+[With logs\: only entries of a unit of the machine]:unit: ' \
    '*--unit=[With logs\: only entries of a unit of the machine]:unit: ' \
    '*-g+[With logs\: only entries whose message matches]:pattern: ' \
    '*--grep=[With logs\: only entries whose message matches]:pattern: ' \
    '--any[With wait\: wait until it is true for one of the machines, not for all]' \
    '(-v --verbose)-v[Print more details]' \
    '(-v --verbose)--verbose[Print more details]' \
    '--no-pager[Print without a pager]' \
    '--no-legend[Leave out headings and summary lines]' \
    '--no-ask-password[Never ask for a password]' \
    '(-q --quiet)-q[Print less]' \
    '(-q --quiet)--quiet[Print less]' \
    ':command:_machinectl_verbs' \
    '*:word:_machinectl_words'
