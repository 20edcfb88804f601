/* The helper: takes over from the leader what the command is to have, and starts the command. */
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

/* Moves the descriptors that are still needed to 3 and on, and closes all others. */
static void keep_only(int *life, int *exec_error) {
        /* Without `request.held` there is one more of `life` in its place. */
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

/* Waits until the supervisor has put this process into its cgroups; ends with the supervisor. */
static void wait_for_cgroups(int life) {
        char byte;
        ssize_t n;
        while ((n = read(life, &byte, 1)) < 0 && errno == EINTR);
        if (n != 1) _exit(EXIT_OURS);
}

/* Joins the machine and becomes the user. */
static void enter_machine(void) {
        join_namespaces();
        if (fchdir(leader.root_fd) < 0 || chroot(".") < 0) fail("Cannot enter the root of machine '%s': %s", request.machine, strerror(errno));
        close(leader.root_fd);
        close(request.pidfd);
        become_user();
        /* Changing ids may have reset this. No process of the machine may trace this one or its child yet. */
        prctl(PR_SET_DUMPABLE, 0);
        enter_directory();
        close(request.held);
}

/*
 * Replaces the caller's standard streams by `nothing`, which is closed: the caller waits until nobody has them open.
 * Returns a copy of standard error, for messages of this process alone.
 */
static int release_streams(int nothing) {
        int message = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3 + N_KEPT);
        for (int fd = 0; fd < 3; fd++) dup2(nothing, fd);
        close(nothing);
        return message;
}

/*
 * Runs the helper. The supervisor writes a byte to `life` when the helper is in its cgroups; the other end is closed when the
 * supervisor ends. The kernel writes the command's number to `command` before the command runs. The command does not have
 * that memory, so that the supervisor can trust it.
 */
void run_helper(int life, int exec_error, pid_t *command) {
        wait_for_cgroups(life);
        reset_process();
        take_label();
        keep_only(&life, &exec_error);
        /* A command that is waited for has no descriptors but its own and `life`: the machine would see others until it runs. */
        int nothing = -1, message = -1;
        if (!request.detach) close(exec_error);
        else if ((nothing = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0) fail("Cannot open /dev/null: %s", strerror(errno));
        enter_machine();
        if (madvise(command, sizeof *command, MADV_DONTFORK) < 0) fail("Cannot keep memory to ourselves: %s", strerror(errno));
        if (request.detach) message = release_streams(nothing);
        /* A child of the supervisor. */
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
