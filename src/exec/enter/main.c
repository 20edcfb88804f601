/*
 * machined-enter: runs one command inside a running machine, with the caller's own descriptors.
 *
 * A JavaScript runtime has threads, and a process with threads cannot join a user namespace. So machinectl replaces
 * itself by this program, which is part of the executable, linked statically, and run from a sealed memfd: nothing of
 * the machine is needed to start it, and nothing in the machine can write to it (docs/exec.md).
 *
 *   machined-enter KEY=VALUE... -- COMMAND [ARGUMENT...]
 *
 *   leader=PID     the leader's number in our pid namespace, pidfd=FD the leader itself
 *   held=FD        is open while the supervisor runs and while the helper hangs in the machine
 *   machine=NAME   for messages and the journal, user=NAME likewise
 *   uid=N gid=N    ids in the machine
 *   groups=N,N     supplementary groups; without it none
 *   dir=PATH       the working directory, home=PATH is tried when dir is missing, then "/"
 *   mount=KEY:PATH where a cgroup hierarchy is mounted; KEY is the controllers field of /proc/PID/cgroup, "" for v2
 *   caller=UID     who asked, for the journal
 *   tty=1          descriptor 0 becomes the controlling terminal
 *   timeout=MS     the command is ended after this time, and the exit status is 124
 *   detach=1       returns as soon as the command runs, and prints its number and its cgroup
 *   verbose=1      says what could not be taken over from the leader
 *
 * The environment of this program is the command's, each assignment behind "=", so that no variable means anything
 * to this program or its C library. Exit status: the command's own, 128+N for signal N, 124 timed
 * out, 125 for what fails here, 126 not executable, 127 not found.
 *
 * Three processes. The supervisor stays in the host's namespaces, waits, forwards signals and writes a line to the
 * journal. The helper takes over from the leader: cgroup, limits, OOM score, LSM label, namespaces, root directory, bounding
 * set, no_new_privs, ids. The command is started by the helper, as a child of the supervisor. It alone is in the
 * machine's pid namespace, where processes of the machine may trace it from its first moment on: by then it has no
 * descriptor, directory or capability that the machine does not have.
 */
#include "enter.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Opens the leader's directory in /proc and reads all that the command takes over from the leader. */
static int open_leader(void) {
        char path[32];
        snprintf(path, sizeof path, "/proc/%d", (int) request.leader);
        int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (proc < 0 || !leader_is_alive()) fail("Machine '%s' has ended", request.machine);
        fcntl(request.pidfd, F_SETFD, FD_CLOEXEC);
        if (request.held >= 0) fcntl(request.held, F_SETFD, FD_CLOEXEC);
        read_leader(proc);
        read_namespaces(proc);
        const char *reason = read_filters(proc);
        if (reason != NULL && request.verbose) {
                say("The command runs without the system call filters of machine '%s': %s", request.machine, reason);
        }
        return proc;
}

/* Blocks the signals that the supervisor waits for, and stores them in `signals`. */
static void block_signals(sigset_t *signals) {
        static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD };
        sigemptyset(signals);
        for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
                sigaddset(signals, forwarded[i]);
                /* A caller may ignore SIGCHLD, and this process would inherit that and not see the command end. */
                signal(forwarded[i], SIG_DFL);
        }
        sigprocmask(SIG_BLOCK, signals, NULL);
}

/* Waits for the command; returns its exit status. */
static int run_to_end(pid_t command, const sigset_t *signals) {
        /* The command alone holds the caller's input and output, so that their other ends see when it closes them. */
        int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = 0; nothing >= 0 && fd < 3; fd++) dup2(nothing, fd);
        int status = supervise(command, signals);
        remove_cgroups();
        write_journal(status);
        return status;
}

int main(int argc, char **argv) {
        /* Without words it is the program of a machine that has none of its own while commands are run in it. */
        if (argc == 1) for (;;) pause();
        if (argc > 4 && strcmp(argv[1], "as") == 0) return run_as(argv + 2);
        parse(argc, argv);
        if (request.timeout_ms > 0) deadline = now_ms() + request.timeout_ms;
        int proc = open_leader();
        sigset_t signals;
        block_signals(&signals);
        make_cgroups(proc);
        struct started started = start_command(&signals);
        if (started.command == 0) {
                remove_cgroups();
                return started.status;
        }
        if (!request.detach) return run_to_end(started.command, &signals);
        write_journal(-1);
        printf("%d %s\n", (int) started.command, shown_cgroup());
        return 0;
}
