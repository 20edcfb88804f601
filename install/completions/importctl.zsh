#compdef importctl
# zsh completion of importctl(1).
# Generated from the tables of verbs and options by `npm run docs`; do not edit.

# Sets reply to the options before the verb that select host, daemon and class.
_importctl_scope() {
    local option
    reply=()
    for option in -H --host -M --machine --system --user --class -m -P -S -C; do
        (( ${+opt_args[$option]} )) && reply+=($option ${opt_args[$option]:+${(Q)opt_args[$option]}})
    done
}

# Adds candidates from the client's verb "complete": $1 is the kind, the rest are words before the cursor.
_importctl_ask() {
    local -a reply found
    _importctl_scope
    found=(${(f)"$(command importctl $reply complete "$@" 2>/dev/null </dev/null)"})
    compadd -a found
}

# Columns of the list that the verb prints; candidates are whole values of the option.
_importctl_columns() {
    local -a reply found
    _importctl_scope
    found=(${(f)"$(command importctl $reply complete $1 "${line[1]}" "$PREFIX" 2>/dev/null </dev/null)"})
    compadd -S '' -a found
}

# Candidates are whole values of the option: what is typed already, and one of the words.
_importctl_commas() { compadd -S '' -- "${PREFIX%"${PREFIX##*,}"}"$^@ }

_importctl_signals() {
    local -a found
    found=(${(f)"$(command importctl --signal=help 2>/dev/null)"})
    [[ $PREFIX == SIG* ]] && found=(SIG${^found})
    compadd -a found
}

_importctl_paths() {
    local -a reply found
    _importctl_scope
    found=(${(f)"$(command importctl $reply complete machine-path "${line[2]}" "$PREFIX" 2>/dev/null </dev/null)"})
    compadd -f -S '' -a found
}

_importctl_word() {
    case $1 in
        login)
            if compset -P '*@' || [[ -z $PREFIX ]]; then
                _importctl_ask machine-or-host
            else
                _importctl_ask machine-or-host || compadd -S '' -- ${^${(k)userdirs}}@
            fi
            ;;
        image) _importctl_ask image importctl ;;
        settings) _importctl_ask image importctl; _files ;;
        machine-path) _importctl_paths ;;
        boolean) compadd yes no ;;
        inventory) compadd ansible prometheus-sd ;;
        verb) _importctl_verbs ;;
        directory) _files -/ ;;
        file) _files ;;
        command) _command_names -e || _files ;;
        *) _importctl_ask $1 ;;
    esac
}

_importctl_verbs() {
    local -a verbs
    verbs=(
        'pull-tar:Download a tar file as an image'
        'pull-raw:Download a disk image'
        'pull-oci:Download a container image of an OCI registry'
        'import-tar:Make an image of a tar file'
        'import-raw:Make an image of a disk image file'
        'import-fs:Make an image of a directory'
        'export-tar:Write an image to a tar file'
        'export-raw:Write a disk image to a file'
        'push-oci:Send an image to an OCI registry'
        'list-transfers:List the transfers that are running'
        'cancel-transfer:End transfers before they are done'
        'list-images:List the images that are here'
    )
    _describe 'command' verbs
}

_importctl_words() {
    # line has the verb, the words after it and the one to complete; options are not in it.
    case $line[1]:$#line in
        (import-tar):2) _importctl_word file ;;
        (import-raw):2) _importctl_word file ;;
        (import-fs):2) _importctl_word directory ;;
        (export-tar):2) _importctl_word image ;;
        (export-tar):3) _importctl_word file ;;
        (export-raw):2) _importctl_word image ;;
        (export-raw):3) _importctl_word file ;;
        (push-oci):2) _importctl_word image ;;
        (cancel-transfer):<2->) _importctl_word transfer ;;
        (help):2) _importctl_word verb ;;
    esac
}

_arguments -S \
    '(-h --help)-h[Print this overview; after a command, the page of that command]' \
    '(-h --help)--help[Print this overview; after a command, the page of that command]' \
    '--version[Print the version]' \
    '--no-pager[Print without a pager]' \
    '--no-legend[Leave out headings and summary lines]' \
    '--no-ask-password[Never ask for a password]' \
    '*-H+[Work on another host, over ssh; on several\: HOST,HOST or @FILE]:\[user@\]host:_hosts' \
    '*--host=[Work on another host, over ssh; on several\: HOST,HOST or @FILE]:\[user@\]host:_hosts' \
    '*-M+[Work on the manager inside a container]:container: _importctl_ask machine' \
    '*--machine=[Work on the manager inside a container]:container: _importctl_ask machine' \
    '*--parallel=[With -H\: on how many hosts to work at once]:n: ' \
    '--system[Talk to the transfer daemon of the system]' \
    '--user[Talk to the transfer daemon of the calling user]' \
    '--read-only[Make the image read-only]' \
    '(-q --quiet)-q[Print less]' \
    '(-q --quiet)--quiet[Print less]' \
    '--json=[Print lists as JSON (pretty, short, off)]:mode:(pretty short off)' \
    '-j[Short for --json=pretty on a terminal, for --json=short elsewhere]' \
    '*--columns=[With lists\: the columns to show; '\''+KEY'\'' adds one, '\''help'\'' explains them]:key,…: _importctl_columns column' \
    '*--sort=[With lists\: sort by these columns; '\''-KEY'\'' or '\''KEY\:desc'\'' in descending order]:key,…: _importctl_columns column-sort' \
    '*--filter=[With lists\: show only rows whose column matches]:key=glob: _importctl_columns column-filter' \
    '*--template=[With lists\: a line for each row, with values for {{KEY}} and {{KEY.N}}]:text: ' \
    '--json-version=[With lists\: 2 makes several values an array, and no rows an empty one]:version:(1 2)' \
    '--verify=[How a download is verified (no, checksum, signature)]:mode:(no checksum signature)' \
    '--format=[Compression of an export (uncompressed, xz, gzip, bzip2, zstd, lz4); of layers with push-oci\: gzip (the default) or zstd]:format:(uncompressed xz gzip bzip2 zstd lz4)' \
    '*--base=[With push-oci\: push two layers, the content of this image and the difference to it]:image: ' \
    '--force[Replace an image of the same name]' \
    '--class=[What the images are for (machine, portable, sysext, confext)]:type:(machine portable sysext confext)' \
    '-m[Short for --class=machine]' \
    '-P[Short for --class=portable]' \
    '-S[Short for --class=sysext]' \
    '-C[Short for --class=confext]' \
    '--keep-download=[Whether an unchanged copy of a download is kept]:bool:(yes no)' \
    '-N[Short for --keep-download=no]' \
    ':command:_importctl_verbs' \
    '*:word:_importctl_words'
