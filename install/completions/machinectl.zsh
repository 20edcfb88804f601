#compdef machinectl
# zsh completion of machinectl(1).

_machinectl_names() {
    local kind=$1 what=$2
    local -a names
    names=(${(f)"$(_call_program $kind machinectl ${opt_args[(i)--user]:+--user} $what --full --no-legend --no-pager 2>/dev/null | awk '{print $1}')"})
    [[ $kind == machines ]] && names+=(.host)
    compadd -a names
}
_machinectl_machines() { _machinectl_names machines list }
_machinectl_images() { _machinectl_names images list-images }
_machinectl_output() { local -a modes; modes=(${(f)"$(machinectl --output=help 2>/dev/null)"}); compadd -a modes }
_machinectl_signal() { local -a signals; signals=(${(f)"$(machinectl --signal=help 2>/dev/null)"}); compadd -a signals }

_machinectl_verbs() {
    local -a verbs
    verbs=(
        'list:list running machines'
        'status:show details of machines'
        'show:show properties of machines'
        'start:start containers as services'
        'login:get a login prompt'
        'shell:run a shell or another command'
        'enable:start containers at boot'
        'disable:do not start containers at boot'
        'poweroff:power off machines'
        'reboot:reboot machines'
        'pause:pause machines'
        'resume:resume paused machines'
        'terminate:end machines at once'
        'kill:send a signal to processes of machines'
        'copy-to:copy files into a container'
        'copy-from:copy files out of a container'
        'bind:bind mount a path of the host into a container'
        'list-images:list images'
        'image-status:show details of images'
        'show-image:show properties of images'
        'edit:edit settings'
        'cat:show settings'
        'clone:clone an image'
        'rename:rename an image'
        'read-only:mark an image read-only'
        'remove:remove images'
        'set-limit:set a size limit'
        'clean:remove hidden images, or all'
        'bind-volume:attach a volume to a machine'
        'unbind-volume:detach a volume from a machine'
        'pull-tar:download a tar image'
        'pull-raw:download a raw image'
        'import-tar:import a tar image'
        'import-raw:import a raw image'
        'import-fs:import a directory'
        'export-tar:export an image as tar'
        'export-raw:export a raw image'
        'list-transfers:list transfers in progress'
        'cancel-transfer:cancel a transfer'
    )
    _describe 'verb' verbs
}

_machinectl_words() {
    # words[1] is the verb here, CURRENT the place of the word to complete.
    case $words[1]:$CURRENT in
        (status|show|poweroff|stop|reboot|restart|pause|resume|terminate|kill):*) _machinectl_machines ;;
        (login|shell|copy-to|copy-from|bind|bind-volume|unbind-volume):2) _machinectl_machines ;;
        (copy-to|copy-from|bind):(3|4)|shell:*) _files ;;
        (start|enable|disable|image-status|show-image|remove):*) _machinectl_images ;;
        (clone|rename|read-only|set-limit|export-tar|export-raw):2) _machinectl_images ;;
        read-only:3) compadd yes no ;;
        (import-tar|import-raw):2|(export-tar|export-raw):3) _files ;;
        import-fs:2) _files -/ ;;
        (edit|cat):*) _machinectl_images; _files ;;
    esac
}

_arguments -S \
    '(- *)'{-h,--help}'[show help]' \
    '(- *)--version[show the version]' \
    '--no-pager[do not use a pager]' \
    '--no-legend[no headers and footers]' \
    '--no-ask-password[do not ask for passwords]' \
    '(--user)--system[talk to the system manager]' \
    '(--system)--user[talk to the user manager]' \
    {-H+,--host=}'[operate on another host]:host:_hosts' \
    {-M+,--machine=}'[operate on a container]:machine:_machinectl_machines' \
    '*'{-p+,--property=}'[show only this property]:property:' \
    '*-P+[show only the value of this property]:property:' \
    '--value[show only values]' \
    {-a,--all}'[show everything]' \
    {-l,--full}'[do not shorten]' \
    {-q,--quiet}'[say less]' \
    '--kill-whom=[whom to signal]:whom:(all leader supervisor)' \
    {-s+,--signal=}'[signal to send]:signal:_machinectl_signal' \
    '--uid=[user of the shell]:user:_users' \
    '*'{-E+,--setenv=}'[environment of the shell]:variable:' \
    '--wait-status[exit with the status of the program in shell]' \
    '--read-only[read-only bind mount or clone]' \
    '--mkdir[create the mount point]' \
    {-n+,--lines=}'[journal lines to show]:number:' \
    '--max-addresses=[addresses to show]:number:(all)' \
    {-o+,--output=}'[journal output mode]:mode:_machinectl_output' \
    '--verify=[how to verify a download]:mode:(no checksum signature)' \
    '--format=[compression of an export]:format:(uncompressed xz gzip bzip2 zstd)' \
    '--force[replace what exists]' \
    '--now[start or stop at once]' \
    '(-V)--runner=[what runs the machine]:runner:(nspawn vmspawn)' \
    '(--runner)-V[the same as --runner=vmspawn]' \
    ':verb:_machinectl_verbs' \
    '*::word:_machinectl_words'
