/* The helper process: takes over the leader's properties, enters the machine and starts the command. */
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { N_KEPT = 5 };

/* Moves the needed descriptors to 3 and following numbers, and closes all others above 2. */
static void keep_only(int *life, int *exec_error) {
        /* Without `request.held`, another duplicate of `life` takes its place. */
        int kept[] = { *life, leader.root_fd, request.pidfd, *exec_error, request.held >= 0 ? request.held : *life };
        for (int i = 0; i < N_KEPT; i++) {
                kept[i] = fcntl(kept[i], F_DUPFD_CLOEXEC, 64);
                if (kept[i] < 0) fail("Cannot prepare descriptors: %s", strerror(errno));
        }
        for (int i = 0; i < N_KEPT; i++) if (dup3(kept[i], 3 + i, O_CLOEXEC) < 0) fail("Cannot prepare descriptors: %s", strerror(errno));
        if (syscall(SYS_close_range, 3U + N_KEPT, ~0U, 0U) < 0) for (int fd = 3 + N_KEPT; fd < 65536; fd++) close(fd);
        *life = 3;
        leader.root_fd = 4;
        request.pidfd = 5;
        *exec_error = 6;
        request.held = 7;
}

/* Enters the directory of the request; without one, the home directory or the root directory. */
static void enter_directory(void) {
        if (request.dir != NULL) {
                if (chdir(request.dir) < 0) fail("Cannot enter directory '%s' of machine '%s': %s", request.dir, request.machine, strerror(errno));
        } else if (request.home == NULL || chdir(request.home) < 0) {
                if (chdir("/") < 0) fail("Cannot enter the root directory of machine '%s': %s", request.machine, strerror(errno));
        }
}

/* Waits until the supervisor has moved this process into its cgroups; exits where the supervisor ends first. */
static void wait_for_cgroups(int life) {
        char byte;
        ssize_t n;
        while ((n = read(life, &byte, 1)) < 0 && errno == EINTR);
        if (n != 1) _exit(EXIT_OURS);
}

/* Joins the machine's namespaces and root directory, becomes the user and enters the working directory. */
static void enter_machine(void) {
        join_namespaces();
        if (fchdir(leader.root_fd) < 0 || chroot(".") < 0) fail("Cannot enter the root of machine '%s': %s", request.machine, strerror(errno));
        close(leader.root_fd);
        close(request.pidfd);
        become_user();
        /* Changing ids may have reset this. Processes of the machine must not trace this process or its child yet. */
        prctl(PR_SET_DUMPABLE, 0);
        enter_directory();
        close(request.held);
}

/*
 * Replaces standard streams by `nothing` and closes that; the caller waits until no process has its streams open.
 * Returns a copy of standard error for messages of this process, which the command must not inherit.
 */
static int release_streams(int nothing) {
        int message = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3 + N_KEPT);
        for (int fd = 0; fd < 3; fd++) dup2(nothing, fd);
        close(nothing);
        return message;
}

/*
 * Runs the helper. `life` is a pipe from the supervisor, which writes a byte when the helper is in its cgroups and
 * closes its end by ending. `command` is memory shared with the supervisor: the kernel stores the command's process id
 * in it before the command runs. The command does not inherit that memory, so that the supervisor can trust it.
 */
void run_helper(int life, int exec_error, pid_t *command) {
        wait_for_cgroups(life);
        /* Before the leader's limit of open files, which may be lower than the numbers that are used for a moment. */
        keep_only(&life, &exec_error);
        reset_process();
        take_label();
        /*
         * Until it executes its program, processes of the machine can see the command's descriptors: it has only its
         * streams and `life`.
         */
        int nothing = -1, message = -1;
        if (!request.detach) close(exec_error);
        else if ((nothing = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0) fail("Cannot open /dev/null: %s", strerror(errno));
        enter_machine();
        if (madvise(command, sizeof *command, MADV_DONTFORK) < 0) fail("Cannot exclude memory from fork(2): %s", strerror(errno));
        if (request.detach) message = release_streams(nothing);
        /* CLONE_PARENT: the command becomes a child of the supervisor. */
        long child = syscall(SYS_clone, CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD, 0, command, 0, 0);
        if (child == 0) {
                if (message >= 0) close(message);
                run_command(life, exec_error);
        }
        if (child < 0) {
                if (message >= 0) dup2(message, STDERR_FILENO);
                fail("Cannot start a process in machine '%s': %s", request.machine, strerror(errno));
        }
        _exit(0);
}
