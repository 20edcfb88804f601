# fish completion of importctl(1).
# Generated from the tables of verbs and options by `npm run docs`; do not edit.

# Sets __importctl_words to the verb and the words after it, and __importctl_scope to the options that select host, daemon and class.
function __importctl_parse
    set -g __importctl_words
    set -g __importctl_scope
    set -l tokens (commandline -opc)
    set -l i 2
    while test $i -le (count $tokens)
        set -l token $tokens[$i]
        if contains -- $token -H --host -M --machine --parallel --json --columns --sort --filter --template --json-version --verify --format --base --class --keep-download
            contains -- $token -H --host -M --machine --class; and set -a __importctl_scope $tokens[$i..(math $i + 1)]
            set i (math $i + 1)
        else if string match -q -- '-*' $token
            contains -- (string replace -r '=.*' '' -- $token) -H --host -M --machine --class --system --user -m -P -S -C
            and set -a __importctl_scope $token
        else
            set -a __importctl_words $token
        end
        set i (math $i + 1)
    end
end

# Whether the cursor is at word $argv[1] (-1: the verb; N+: N or later) of one of the verbs that follow.
function __importctl_at
    __importctl_parse
    set -l position (math (count $__importctl_words) - 1)
    test "$argv[1]" = -1; and test $position -eq -1; and return 0
    test $position -ge 0; or return 1
    contains -- $__importctl_words[1] $argv[2..-1]; or return 1
    set -l wanted (string replace + '' -- $argv[1])
    if string match -q '*+' -- $argv[1]
        test $position -ge $wanted
    else
        test $position -eq $wanted
    end
end

function __importctl_ask
    __importctl_parse
    command importctl $__importctl_scope complete $argv 2>/dev/null </dev/null
end

function __importctl_logins
    set -l typed (commandline -ct)
    if string match -q '*@*' -- $typed
        printf '%s\n' (string replace -r '@.*' '@' -- $typed)(__importctl_ask machine-or-host)
    else
        __importctl_ask machine-or-host
        test -n "$typed"; and __fish_complete_users | string replace -r '\t.*|$' '@'
    end
end

function __importctl_paths
    __importctl_parse
    __importctl_ask machine-path $__importctl_words[2] (commandline -ct)
end

# Columns of the list that the verb prints; candidates are whole values of the option.
function __importctl_columns
    __importctl_parse
    command importctl $__importctl_scope complete $argv[1] "$__importctl_words[1]" (commandline -ct | string replace -r '^--[a-z-]+=' '' | string collect -a) 2>/dev/null </dev/null
end

# Candidates are whole values of the option: what is typed already, and one of the words.
function __importctl_commas
    set -l typed (commandline -ct | string replace -r '^--[a-z-]+=' '')
    set -l before (string match -r '.*,' -- "$typed")
    printf '%s\n' "$before"$argv
end

function __importctl_signals
    set -l before (string match -r '(?:^|=)(SIG)' -- (commandline -ct))[2]
    printf "$before%s\n" (command importctl --signal=help 2>/dev/null)
end

function __importctl_verbs
    printf '%s\n' pull-tar pull-raw pull-oci import-tar import-raw import-fs export-tar export-raw push-oci list-transfers cancel-transfer list-images
end

complete -c importctl -f
complete -c importctl -s h -l help -d 'Print this overview; after a command, the page of that command'
complete -c importctl -l version -d 'Print the version'
complete -c importctl -l no-pager -d 'Print without a pager'
complete -c importctl -l no-legend -d 'Leave out headings and summary lines'
complete -c importctl -l no-ask-password -d 'Never ask for a password'
complete -c importctl -s H -l host -x -a '(__fish_print_hostnames)' -d 'Work on another host, over ssh; on several: HOST,HOST or @FILE'
complete -c importctl -s M -l machine -x -a '(__importctl_ask machine)' -d 'Work on the manager inside a container'
complete -c importctl -l parallel -x -d 'With -H: on how many hosts to work at once'
complete -c importctl -l system -d 'Talk to the transfer daemon of the system'
complete -c importctl -l user -d 'Talk to the transfer daemon of the calling user'
complete -c importctl -l read-only -d 'Make the image read-only'
complete -c importctl -s q -l quiet -d 'Print less'
complete -c importctl -l json -x -a 'pretty short off' -d 'Print lists as JSON (pretty, short, off)'
complete -c importctl -s j -d 'Short for --json=pretty on a terminal, for --json=short elsewhere'
complete -c importctl -l columns -x -a '(__importctl_columns column)' -d 'With lists: the columns to show; \'+KEY\' adds one, \'help\' explains them'
complete -c importctl -l sort -x -a '(__importctl_columns column-sort)' -d 'With lists: sort by these columns; \'-KEY\' or \'KEY:desc\' in descending order'
complete -c importctl -l filter -x -a '(__importctl_columns column-filter)' -d 'With lists: show only rows whose column matches'
complete -c importctl -l template -x -d 'With lists: a line for each row, with values for {{KEY}} and {{KEY.N}}'
complete -c importctl -l json-version -x -a '1 2' -d 'With lists: 2 makes several values an array, and no rows an empty one'
complete -c importctl -l verify -x -a 'no checksum signature' -d 'How a download is verified (no, checksum, signature)'
complete -c importctl -l format -x -a 'uncompressed xz gzip bzip2 zstd lz4' -d 'Compression of an export (uncompressed, xz, gzip, bzip2, zstd, lz4); of layers with push-oci: gzip (the default) or zstd'
complete -c importctl -l base -x -d 'With push-oci: push two layers, the content of this image and the difference to it'
complete -c importctl -l force -d 'Replace an image of the same name'
complete -c importctl -l class -x -a 'machine portable sysext confext' -d 'What the images are for (machine, portable, sysext, confext)'
complete -c importctl -s m -d 'Short for --class=machine'
complete -c importctl -s P -d 'Short for --class=portable'
complete -c importctl -s S -d 'Short for --class=sysext'
complete -c importctl -s C -d 'Short for --class=confext'
complete -c importctl -l keep-download -x -a 'yes no' -d 'Whether an unchanged copy of a download is kept'
complete -c importctl -s N -d 'Short for --keep-download=no'
complete -c importctl -n '__importctl_at -1' -a pull-tar -d 'Download a tar file as an image'
complete -c importctl -n '__importctl_at -1' -a pull-raw -d 'Download a disk image'
complete -c importctl -n '__importctl_at -1' -a pull-oci -d 'Download a container image of an OCI registry'
complete -c importctl -n '__importctl_at -1' -a import-tar -d 'Make an image of a tar file'
complete -c importctl -n '__importctl_at -1' -a import-raw -d 'Make an image of a disk image file'
complete -c importctl -n '__importctl_at -1' -a import-fs -d 'Make an image of a directory'
complete -c importctl -n '__importctl_at -1' -a export-tar -d 'Write an image to a tar file'
complete -c importctl -n '__importctl_at -1' -a export-raw -d 'Write a disk image to a file'
complete -c importctl -n '__importctl_at -1' -a push-oci -d 'Send an image to an OCI registry'
complete -c importctl -n '__importctl_at -1' -a list-transfers -d 'List the transfers that are running'
complete -c importctl -n '__importctl_at -1' -a cancel-transfer -d 'End transfers before they are done'
complete -c importctl -n '__importctl_at -1' -a list-images -d 'List the images that are here'
complete -c importctl -n '__importctl_at 0 import-tar' -F
complete -c importctl -n '__importctl_at 0 import-raw' -F
complete -c importctl -n '__importctl_at 0 import-fs' -a '(__fish_complete_directories)'
complete -c importctl -n '__importctl_at 0 export-tar' -a '(__importctl_ask image importctl)'
complete -c importctl -n '__importctl_at 1 export-tar' -F
complete -c importctl -n '__importctl_at 0 export-raw' -a '(__importctl_ask image importctl)'
complete -c importctl -n '__importctl_at 1 export-raw' -F
complete -c importctl -n '__importctl_at 0 push-oci' -a '(__importctl_ask image importctl)'
complete -c importctl -n '__importctl_at 0+ cancel-transfer' -a '(__importctl_ask transfer)'
complete -c importctl -n '__importctl_at 0 help' -a '(__importctl_verbs)'
