/* The children of the supervisor: their signals, their ends, and the time that they have. */
#include "enter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

long now_ms(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for one of the signals, until `until` at the latest (0 for no limit); returns it, or 0. */
int wait_signal(const sigset_t *signals, long until) {
        if (until == 0) {
                int signal = sigwaitinfo(signals, NULL);
                return signal > 0 ? signal : 0;
        }
        long left = until - now_ms();
        if (left <= 0) return 0;
        int signal = sigtimedwait(signals, NULL, &(struct timespec) { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 });
        return signal > 0 ? signal : 0;
}

bool is_over(long until) {
        return until != 0 && until <= now_ms();
}

/* Sends a signal to the command's process group. The group is made by the command itself, perhaps not yet. */
void send_to_command(pid_t child, int signal) {
        if (kill(-child, signal) < 0) kill(child, signal);
}

/* The children that have ended, with their wait statuses, as far as look_at_children() was called. */
static struct { pid_t pid; int how; } ended[4];
static size_t n_ended;
static pid_t helper_pid;
static const pid_t *command_pid;

/* Names the two children whose ends are of interest. The command may clone others with CLONE_PARENT: those are reaped and forgotten. */
void watch_children(pid_t helper, const pid_t *command) {
        helper_pid = helper;
        command_pid = command;
}

/* Whether a child is neither of the two. Until the command's number is known, nobody else is there but what it has cloned. */
static bool is_other(pid_t pid) {
        return command_pid != NULL && *command_pid > 0 && pid != *command_pid && pid != helper_pid;
}

static void note_end(pid_t pid, int how) {
        size_t n = 0;
        for (size_t i = 0; i < n_ended; i++) {
                if (!is_other(ended[i].pid)) ended[n++] = ended[i];
        }
        n_ended = n;
        if (is_other(pid) || n_ended == sizeof ended / sizeof *ended) return;
        ended[n_ended].pid = pid;
        ended[n_ended++].how = how;
}

/*
 * Collects the state changes of all children. One that is traced (guard_start) is detached when it executes its program: it
 * has the machine's system call filters then.
 */
void look_at_children(void) {
        pid_t pid;
        for (int how; (pid = waitpid(-1, &how, WNOHANG | __WALL)) > 0;) {
                if (!WIFSTOPPED(how)) {
                        note_end(pid, how);
                } else if (how >> 16 == PTRACE_EVENT_EXEC) {
                        ptrace(PTRACE_DETACH, pid, NULL, NULL);
                } else {
                        ptrace(PTRACE_CONT, pid, NULL, (void *) (long) (how >> 16 != 0 ? 0 : WSTOPSIG(how)));
                }
        }
}

/* Whether a child has ended; stores its wait status in `how` then. */
bool has_ended(pid_t pid, int *how) {
        look_at_children();
        for (size_t i = 0; i < n_ended; i++) {
                if (ended[i].pid != pid) continue;
                *how = ended[i].how;
                return true;
        }
        return false;
}

/*
 * Traces the helper and, from its first moment on, the command; false where the kernel refuses. Until the command has its
 * system call filters, root of a machine without a user namespace could trace it and make calls by it that the filters
 * forbid. A process has one tracer at a time: the supervisor is it until the command executes its program.
 */
bool guard_start(pid_t helper) {
        if (leader.n_filters == 0) return true;
        long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
        if (ptrace(PTRACE_SEIZE, helper, NULL, (void *) options) == 0) return true;
        say("Cannot keep the start of a process in machine '%s' to ourselves: %s", request.machine, strerror(errno));
        return false;
}
