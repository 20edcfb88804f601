#!/bin/bash
# A simulated transfer worker: the end of the source's or target's name says what it does.
for word; do
    case $word in
        --*) ;;
        *) last=$second second=$word ;;
    esac
done
notify() {
    exec perl -MIO::Socket::UNIX -e 'for my $step (@ARGV) {
        my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die "no socket";
        $s->send("X_IMPORT_PROGRESS=$step"); }
        sleep 1000 if $ARGV[-1] == 77;' "$@"
}
case $1:$last$second in
    *wait*) exec sleep 1000 ;;
    *deaf*) trap 'echo "<30>still here" >&2' TERM; echo '<30>ready' >&2; while :; do sleep 0.05; done ;;
    *polite*)
        trap 'echo "<29>Transfer aborted." >&2; exit 4' TERM INT
        echo '<30>ready' >&2; while :; do sleep 0.05; done ;;
    *fail*) echo '<27>It failed.' >&2; exit 1 ;;
    *killed*) kill -KILL $$ ;;
    *lines*)
        printf 'no priority\n<30>with priority\n\n   \n<27>an error\0after NUL\n' >&2
        printf '<30>%2500s\n<999>odd\nesc\033[1mape\nno end' x >&2 ;;
    *progress*) notify 13% 13% 42 nonsense 101% 77% ;;
    *foreign*) (notify 50%); exec sleep 1000 ;;
    *flood*) printf 'line %d\n' {0..2999} >&2; while :; do sleep 0.05; echo more >&2; done ;;
    *call*) printf '%s\n' "$0" "$@" >&2; env >&2; ls -l /proc/self/fd >&2 ;;
    tar:*source*) wc -c >&2 ;;
    run:*source*) cd /dev/stdin && pwd -P >&2 ;;
    tar:*target* | raw:*target*) printf 'the content'; echo '<30>written' >&2 ;;
esac
exit 0
