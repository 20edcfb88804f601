# fish completion of machinectl(1).
# Generated from the tables of verbs and options by `npm run docs`; do not edit.

# Sets __machinectl_words to the verb and the words after it, and __machinectl_scope to the options that select host, daemon and class.
function __machinectl_parse
    set -g __machinectl_words
    set -g __machinectl_scope
    set -l tokens (commandline -opc)
    set -l i 2
    while test $i -le (count $tokens)
        set -l token $tokens[$i]
        if contains -- $token -H --host -M --machine -p --property -P --kill-whom -s --signal --uid -E --setenv -n --lines --max-addresses -o --output --json --runner --stdin --chdir --timeout --parallel --columns --sort --filter --template --json-version --delay --iterations --type --since --until --after-cursor --leader --class --service --root-directory --vsock-cid --ssh-address --ssh-private-key --name --network --bind --port --nspawn-option --vmspawn-option --pull --for -u --unit -g --grep
            contains -- $token -H --host -M --machine --class; and set -a __machinectl_scope $tokens[$i..(math $i + 1)]
            set i (math $i + 1)
        else if string match -q -- '-*' $token
            contains -- (string replace -r '=.*' '' -- $token) -H --host -M --machine --class --system --user
            and set -a __machinectl_scope $token
        else
            set -a __machinectl_words $token
        end
        set i (math $i + 1)
    end
end

# Whether the cursor is at word $argv[1] (-1: the verb; N+: N or later) of one of the verbs that follow.
function __machinectl_at
    __machinectl_parse
    set -l position (math (count $__machinectl_words) - 1)
    test "$argv[1]" = -1; and test $position -eq -1; and return 0
    test $position -ge 0; or return 1
    contains -- $__machinectl_words[1] $argv[2..-1]; or return 1
    set -l wanted (string replace + '' -- $argv[1])
    if string match -q '*+' -- $argv[1]
        test $position -ge $wanted
    else
        test $position -eq $wanted
    end
end

function __machinectl_ask
    __machinectl_parse
    command machinectl $__machinectl_scope complete $argv 2>/dev/null </dev/null
end

function __machinectl_logins
    set -l typed (commandline -ct)
    if string match -q '*@*' -- $typed
        printf '%s\n' (string replace -r '@.*' '@' -- $typed)(__machinectl_ask machine-or-host)
    else
        __machinectl_ask machine-or-host
        test -n "$typed"; and __fish_complete_users | string replace -r '\t.*|$' '@'
    end
end

function __machinectl_paths
    __machinectl_parse
    __machinectl_ask machine-path $__machinectl_words[2] (commandline -ct)
end

# Columns of the list that the verb prints; candidates are whole values of the option.
function __machinectl_columns
    __machinectl_parse
    command machinectl $__machinectl_scope complete $argv[1] "$__machinectl_words[1]" (commandline -ct | string replace -r '^--[a-z-]+=' '' | string collect -a) 2>/dev/null </dev/null
end

# Candidates are whole values of the option: what is typed already, and one of the words.
function __machinectl_commas
    set -l typed (commandline -ct | string replace -r '^--[a-z-]+=' '')
    set -l before (string match -r '.*,' -- "$typed")
    printf '%s\n' "$before"$argv
end

function __machinectl_signals
    set -l before (string match -r '(?:^|=)(SIG)' -- (commandline -ct))[2]
    printf "$before%s\n" (command machinectl --signal=help 2>/dev/null)
end

function __machinectl_verbs
    printf '%s\n' list status show stats top events logs metrics inventory start login shell exec wait run doctor register unregister enable disable poweroff stop reboot restart terminate pause resume kill copy-to copy-from bind bind-volume unbind-volume list-images image-status show-image edit cat clone rename read-only remove set-limit clean pull-tar pull-raw import-tar import-raw import-fs export-tar export-raw list-transfers cancel-transfer
end

complete -c machinectl -f
complete -c machinectl -s h -l help -d 'Print this overview; after a command, the page of that command'
complete -c machinectl -l version -d 'Print the version'
complete -c machinectl -s H -l host -x -a '(__fish_print_hostnames)' -d 'Work on another host, over ssh; on several: HOST,HOST or @FILE'
complete -c machinectl -s M -l machine -x -a '(__machinectl_ask machine)' -d 'Work on the manager inside a container'
complete -c machinectl -l fleet -d 'Work on the hosts behind a NATS server; on some of them with -H HOST,HOST'
complete -c machinectl -l system -d 'Talk to the machine manager of the system'
complete -c machinectl -l user -d 'Talk to the machine manager of the calling user'
complete -c machinectl -l value -d 'With show: print values without their names'
complete -c machinectl -s p -l property -x -d 'With show: print only properties of this name'
complete -c machinectl -s P -x -d 'Short for --value --property=NAME'
complete -c machinectl -s a -l all -d 'Include hidden machines and empty properties'
complete -c machinectl -s l -l full -d 'Do not shorten anything to fit the terminal'
complete -c machinectl -l kill-whom -x -a 'leader supervisor all' -d 'Who gets the signal: leader, supervisor or all'
complete -c machinectl -s s -l signal -x -a '(__machinectl_signals)' -d 'The signal to send, or \'list\''
complete -c machinectl -l uid -x -a '(__fish_complete_users)' -d 'The user to run a shell or command as'
complete -c machinectl -s E -l setenv -x -a '(set -xn)=' -d 'Set an environment variable for a shell or command'
complete -c machinectl -l wait-status -d 'With shell: exit with the program\'s own exit status'
complete -c machinectl -l read-only -d 'Make the bind mount or the clone read-only'
complete -c machinectl -l mkdir -d 'Create the target of a bind mount where it is missing'
complete -c machinectl -s n -l lines -x -d 'How many journal entries to print, or with events how many of the last events'
complete -c machinectl -l max-addresses -x -a 'all' -d 'How many addresses to list at most, or \'all\''
complete -c machinectl -s o -l output -x -a 'short short-full short-iso short-iso-precise short-precise short-monotonic short-delta short-unix verbose export json json-pretty json-sse json-seq cat with-unit' -d 'Form of journal entries (short, short-full, short-iso, short-iso-precise, short-precise, short-monotonic, short-delta, short-unix, verbose, export, json, json-pretty, json-sse, json-seq, cat, with-unit); the json ones turn tables into JSON'
complete -c machinectl -l json -x -a 'pretty short off' -d 'Print the output as JSON (pretty, short, off)'
complete -c machinectl -l force -d 'Replace existing files when copying'
complete -c machinectl -l now -d 'With enable and disable: start or power off as well'
complete -c machinectl -l runner -x -a 'nspawn vmspawn' -d 'Run images as containers (nspawn) or as virtual machines (vmspawn)'
complete -c machinectl -s V -d 'Short for --runner=vmspawn'
complete -c machinectl -s t -l tty -d 'With exec and run: give the command a terminal'
complete -c machinectl -l stdin -x -a 'yes no' -d 'With exec and run: whether the command reads standard input'
complete -c machinectl -l chdir -x -d 'With exec and run: the directory in which the command runs'
complete -c machinectl -l timeout -x -d 'With exec, run and wait: end the command, or the waiting, after this time'
complete -c machinectl -l detach -d 'With exec: leave the command running, and print its process and cgroup'
complete -c machinectl -l parallel -x -d 'With exec: in how many machines to run at once; with -H: on how many hosts'
complete -c machinectl -l columns -x -a '(__machinectl_columns column)' -d 'With lists: the columns to show; \'+KEY\' adds one, \'help\' explains them'
complete -c machinectl -l sort -x -a '(__machinectl_columns column-sort)' -d 'With lists: sort by these columns; \'-KEY\' or \'KEY:desc\' in descending order'
complete -c machinectl -l filter -x -a '(__machinectl_columns column-filter)' -d 'With lists: show only rows whose column matches'
complete -c machinectl -l template -x -d 'With lists: a line for each row, with values for {{KEY}} and {{KEY.N}}'
complete -c machinectl -l json-version -x -a '1 2' -d 'With lists: 2 makes several values an array, and no rows an empty one'
complete -c machinectl -l delay -x -d 'With stats: the time between two measurements'
complete -c machinectl -l iterations -x -d 'With stats: how often to measure'
complete -c machinectl -l type -x -a '(__machinectl_commas machine address resource image transfer)' -d 'With events: only of these types, separated by commas'
complete -c machinectl -l since -x -d 'With events and logs: begin at this time'
complete -c machinectl -l until -x -d 'With events and logs: end at this time'
complete -c machinectl -l after-cursor -x -d 'With events: begin after the event with this cursor'
complete -c machinectl -l no-follow -d 'With events: do not wait for new events'
complete -c machinectl -l leader -x -d 'With register: the first process of the machine'
complete -c machinectl -l class -x -a 'container vm' -d 'With register: what the machine is'
complete -c machinectl -l service -x -d 'With register: the program that runs the machine'
complete -c machinectl -l root-directory -x -d 'With register: the machine\'s root directory on this host'
complete -c machinectl -l vsock-cid -x -d 'With register: the machine\'s VSOCK address'
complete -c machinectl -l ssh-address -x -d 'With register: where the machine is reached over ssh'
complete -c machinectl -l ssh-private-key -x -d 'With register: the private key for ssh to it'
complete -c machinectl -l name -x -d 'With run: the name of the machine; one is made unless given'
complete -c machinectl -l rm -d 'With run: run a clone of the image, which is removed when the machine ends'
complete -c machinectl -l network -x -a 'host none veth user' -d 'With run: the network of the machine: host, none, veth, or bridge:NAME, zone:NAME, interface:NAME, macvlan:NAME, ipvlan:NAME; with -V none, veth or user'
complete -c machinectl -l bind -x -d 'With run: show a file or directory of this host in the machine'
complete -c machinectl -l port -x -d 'With run: forward a port of this host to the machine'
complete -c machinectl -l nspawn-option -x -d 'With run: a further option of systemd-nspawn'
complete -c machinectl -l vmspawn-option -x -d 'With run -V: a further option of systemd-vmspawn'
complete -c machinectl -l pull -x -a 'missing always never' -d 'With run: pull the image when it is missing, always, or never'
complete -c machinectl -l for -x -a 'running booted address ssh ended' -d 'With wait: what to wait for; booted unless given'
complete -c machinectl -s f -l follow -d 'With logs: print new entries as they come, also after the machine is started again'
complete -c machinectl -s u -l unit -x -d 'With logs: only entries of a unit of the machine'
complete -c machinectl -s g -l grep -x -d 'With logs: only entries whose message matches'
complete -c machinectl -l any -d 'With wait: wait until it is true for one of the machines, not for all'
complete -c machinectl -s v -l verbose -d 'Print more details'
complete -c machinectl -l no-pager -d 'Print without a pager'
complete -c machinectl -l no-legend -d 'Leave out headings and summary lines'
complete -c machinectl -l no-ask-password -d 'Never ask for a password'
complete -c machinectl -s q -l quiet -d 'Print less'
complete -c machinectl -n '__machinectl_at -1' -a list -d 'List the machines that are running'
complete -c machinectl -n '__machinectl_at -1' -a status -d 'Print the state of machines for people'
complete -c machinectl -n '__machinectl_at -1' -a show -d 'Print properties of machines or of the manager'
complete -c machinectl -n '__machinectl_at -1' -a stats -d 'Print what machines use: processors, memory, input and output, network'
complete -c machinectl -n '__machinectl_at -1' -a top -d 'Show what machines use on the whole terminal, updated every second'
complete -c machinectl -n '__machinectl_at -1' -a events -d 'Print what happens to machines and images, as it happens or from the log'
complete -c machinectl -n '__machinectl_at -1' -a logs -d 'Print what a machine logged, also when it has ended'
complete -c machinectl -n '__machinectl_at -1' -a metrics -d 'Print metrics of machines for Prometheus, or write them to a file'
complete -c machinectl -n '__machinectl_at -1' -a inventory -d 'Print machines as an inventory of Ansible, or as targets of Prometheus'
complete -c machinectl -n '__machinectl_at -1' -a start -d 'Start images as services'
complete -c machinectl -n '__machinectl_at -1' -a login -d 'Get a login prompt of a machine'
complete -c machinectl -n '__machinectl_at -1' -a shell -d 'Run a shell or another program in a machine'
complete -c machinectl -n '__machinectl_at -1' -a exec -d 'Run a command in machines, with clean streams and its exit status'
complete -c machinectl -n '__machinectl_at -1' -a wait -d 'Wait until machines have booted, have an address or have ended'
complete -c machinectl -n '__machinectl_at -1' -a run -d 'Run an image, which is pulled where it is missing'
complete -c machinectl -n '__machinectl_at -1' -a doctor -d 'Check this host or a machine, and print what repairs a problem'
complete -c machinectl -n '__machinectl_at -1' -a register -d 'Register a process as a machine, or run a command as one'
complete -c machinectl -n '__machinectl_at -1' -a unregister -d 'Remove machines from the registry; their processes continue'
complete -c machinectl -n '__machinectl_at -1' -a enable -d 'Start images at boot'
complete -c machinectl -n '__machinectl_at -1' -a disable -d 'Do not start images at boot'
complete -c machinectl -n '__machinectl_at -1' -a poweroff -d 'Ask machines to power off'
complete -c machinectl -n '__machinectl_at -1' -a stop -d 'Ask machines to power off'
complete -c machinectl -n '__machinectl_at -1' -a reboot -d 'Ask machines to reboot'
complete -c machinectl -n '__machinectl_at -1' -a restart -d 'Ask machines to reboot'
complete -c machinectl -n '__machinectl_at -1' -a terminate -d 'End machines at once'
complete -c machinectl -n '__machinectl_at -1' -a pause -d 'Pause virtual machines that have a control socket'
complete -c machinectl -n '__machinectl_at -1' -a resume -d 'Resume paused machines'
complete -c machinectl -n '__machinectl_at -1' -a kill -d 'Send a signal to the processes of machines'
complete -c machinectl -n '__machinectl_at -1' -a copy-to -d 'Copy files from this host into a machine'
complete -c machinectl -n '__machinectl_at -1' -a copy-from -d 'Copy files from a machine to this host'
complete -c machinectl -n '__machinectl_at -1' -a bind -d 'Bind mount a file or directory of this host into a machine'
complete -c machinectl -n '__machinectl_at -1' -a bind-volume -d 'Attach a volume to a running virtual machine'
complete -c machinectl -n '__machinectl_at -1' -a unbind-volume -d 'Detach a volume from a virtual machine'
complete -c machinectl -n '__machinectl_at -1' -a list-images -d 'List the images that machines can be started from'
complete -c machinectl -n '__machinectl_at -1' -a image-status -d 'Print the state of images or of the pool for people'
complete -c machinectl -n '__machinectl_at -1' -a show-image -d 'Print properties of images or of the manager'
complete -c machinectl -n '__machinectl_at -1' -a edit -d 'Change the settings of machines with an editor'
complete -c machinectl -n '__machinectl_at -1' -a cat -d 'Print the settings of machines'
complete -c machinectl -n '__machinectl_at -1' -a clone -d 'Clone an image'
complete -c machinectl -n '__machinectl_at -1' -a rename -d 'Rename an image'
complete -c machinectl -n '__machinectl_at -1' -a read-only -d 'Make an image read-only, or writable again'
complete -c machinectl -n '__machinectl_at -1' -a remove -d 'Remove images'
complete -c machinectl -n '__machinectl_at -1' -a set-limit -d 'Limit the space of an image, or of all together'
complete -c machinectl -n '__machinectl_at -1' -a clean -d 'Remove hidden images, or with --all all of them'
complete -c machinectl -n '__machinectl_at -1' -a pull-tar -d 'Download a tar file as an image'
complete -c machinectl -n '__machinectl_at -1' -a pull-raw -d 'Download a disk image'
complete -c machinectl -n '__machinectl_at -1' -a import-tar -d 'Make an image of a tar file'
complete -c machinectl -n '__machinectl_at -1' -a import-raw -d 'Make an image of a disk image file'
complete -c machinectl -n '__machinectl_at -1' -a import-fs -d 'Make an image of a directory'
complete -c machinectl -n '__machinectl_at -1' -a export-tar -d 'Write an image to a tar file'
complete -c machinectl -n '__machinectl_at -1' -a export-raw -d 'Write a disk image to a file'
complete -c machinectl -n '__machinectl_at -1' -a list-transfers -d 'List the transfers that are running'
complete -c machinectl -n '__machinectl_at -1' -a cancel-transfer -d 'End transfers before they are done'
complete -c machinectl -n '__machinectl_at 0+ status' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ show' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ stats' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ top' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ events' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0 logs' -a '(__machinectl_ask machine-or-host)'
complete -c machinectl -n '__machinectl_at 0 metrics' -F
complete -c machinectl -n '__machinectl_at 0 inventory' -a 'ansible prometheus-sd'
complete -c machinectl -n '__machinectl_at 0+ start' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0 login' -a '(__machinectl_ask machine-or-host)'
complete -c machinectl -n '__machinectl_at 0 shell' -a '(__machinectl_logins)'
complete -c machinectl -n '__machinectl_at 1+ shell' -F
complete -c machinectl -n '__machinectl_at 0 exec' -a '(__machinectl_logins)'
complete -c machinectl -n '__machinectl_at 1+ exec' -F
complete -c machinectl -n '__machinectl_at 0+ wait' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0 run' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 1+ run' -F
complete -c machinectl -n '__machinectl_at 0 doctor' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 1+ register' -F
complete -c machinectl -n '__machinectl_at 0+ unregister' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ enable' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0+ disable' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0+ poweroff stop' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ reboot restart' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ terminate' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ pause' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ resume' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ kill' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0 copy-to' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 1 copy-to' -F
complete -c machinectl -n '__machinectl_at 2 copy-to' -a '(__machinectl_paths)'
complete -c machinectl -n '__machinectl_at 0 copy-from' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 1 copy-from' -a '(__machinectl_paths)'
complete -c machinectl -n '__machinectl_at 2 copy-from' -F
complete -c machinectl -n '__machinectl_at 0 bind' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 1 bind' -F
complete -c machinectl -n '__machinectl_at 2 bind' -a '(__machinectl_paths)'
complete -c machinectl -n '__machinectl_at 0 bind-volume' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0 unbind-volume' -a '(__machinectl_ask machine)'
complete -c machinectl -n '__machinectl_at 0+ image-status' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0+ show-image' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0+ edit' -F -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0+ cat' -F -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0 clone' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0 rename' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0 read-only' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 1 read-only' -a 'yes no'
complete -c machinectl -n '__machinectl_at 0+ remove' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0 set-limit' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 0 import-tar' -F
complete -c machinectl -n '__machinectl_at 0 import-raw' -F
complete -c machinectl -n '__machinectl_at 0 import-fs' -a '(__fish_complete_directories)'
complete -c machinectl -n '__machinectl_at 0 export-tar' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 1 export-tar' -F
complete -c machinectl -n '__machinectl_at 0 export-raw' -a '(__machinectl_ask image machinectl)'
complete -c machinectl -n '__machinectl_at 1 export-raw' -F
complete -c machinectl -n '__machinectl_at 0+ cancel-transfer' -a '(__machinectl_ask transfer)'
complete -c machinectl -n '__machinectl_at 0 help' -a '(__machinectl_verbs)'
