/*
 * machined-enter: runs one command inside a running machine, with the caller's own descriptors.
 *
 * A JavaScript runtime has threads, and a process with threads cannot join a user namespace. So machinectl executes
 * this program in its place. It is part of the executable, linked statically and executed from a sealed memfd: it needs
 * no file of the machine, and the machine cannot write to it (docs/exec.md).
 *
 *   machined-enter KEY=VALUE... -- COMMAND [ARGUMENT...]
 *
 *   leader=PID     the leader's process id in our pid namespace
 *   pidfd=FD       an inherited pidfd of the leader
 *   held=FD        an inherited descriptor that supervisor and helper keep open, and the command does not get
 *   machine=NAME   for messages and the journal
 *   user=NAME      for the journal
 *   uid=N gid=N    ids in the machine
 *   groups=N,N     supplementary groups; none unless given
 *   dir=PATH       the working directory, which must exist
 *   home=PATH      without dir: the working directory, or "/" where that fails
 *   mount=KEY:PATH where a cgroup hierarchy is mounted; KEY is the controllers field of /proc/PID/cgroup, "" for v2
 *   caller=UID     the user who called, for the journal
 *   tty=1          descriptor 0 becomes the controlling terminal
 *   timeout=MS     the command is ended after this time; the exit status is then 124
 *   detach=1       prints the command's process id and cgroup as soon as it runs, and exits
 *   verbose=1      prints which properties of the leader could not be taken over
 *
 * The environment is the command's, with a leading "=" in each assignment, so that this program and its C library
 * ignore it. Exit status: the command's own, 128+N for signal N, 124 timed out, 125 for failures of this program, 126
 * not executable, 127 not found.
 *
 * There are three processes. The supervisor stays in the host's namespaces, waits, forwards signals and writes the
 * journal entry. The helper takes over cgroup, limits, OOM score, LSM label, namespaces, root directory, bounding set,
 * no_new_privs and ids. It starts the command as a child of the supervisor. Only the command is in the machine's pid
 * namespace, where processes of the machine may trace it from its creation on: by then it has no descriptor, directory
 * or capability that the machine does not have.
 */
#include "enter.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Opens the leader's directory in /proc, reads the properties that the command takes over, and returns the directory.
 */
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
                /* An inherited SIG_IGN for SIGCHLD would hide the end of the command. */
                signal(forwarded[i], SIG_DFL);
        }
        sigprocmask(SIG_BLOCK, signals, NULL);
}

/* Waits for the command; returns its exit status. */
static int run_to_end(pid_t command, const sigset_t *signals) {
        /* Only the command keeps the caller's streams open, so that their other ends see when it closes them. */
        int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = 0; nothing >= 0 && fd < 3; fd++) dup2(nothing, fd);
        int status = supervise(command, signals);
        remove_cgroups();
        write_journal(status);
        return status;
}

int main(int argc, char **argv) {
        /* Without arguments: the placeholder program of a machine in which only commands are run. */
        if (argc == 1) for (;;) pause();
        if (argc > 5 && strcmp(argv[1], "as") == 0) return run_as(argv + 2);
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
        remove_cgroups_later();
        printf("%d %s\n", (int) started.command, shown_cgroup());
        return 0;
}
