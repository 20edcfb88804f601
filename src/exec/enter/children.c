/* The children of the supervisor: sending signals to them, waiting for their ends, and time limits. */
#include "enter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

/* Returns the time of the monotonic clock in milliseconds. */
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

/* Whether the time `until` is over; 0 is no limit. */
bool is_over(long until) {
        return until != 0 && until <= now_ms();
}

/* Sends a signal to the command's process group; to the command alone while it has not made its group yet. */
void send_to_command(pid_t child, int signal) {
        if (kill(-child, signal) < 0) kill(child, signal);
}

/* The children that have ended, with their wait statuses, as of the last reap_children(). */
static struct { pid_t pid; int how; } ended[4];
static size_t n_ended;
static pid_t helper_pid;
static const pid_t *command_pid;

/*
 * Sets the two children whose ends are recorded. The command may make further children of ours with CLONE_PARENT: those
 * are reaped and not recorded. `command` is 0 until the command exists.
 */
void watch_children(pid_t helper, const pid_t *command) {
        helper_pid = helper;
        command_pid = command;
}

/* Whether a child is neither helper nor command; unknown, and false, until the command's number is known. */
static bool is_other(pid_t pid) {
        return command_pid != NULL && *command_pid > 0 && pid != *command_pid && pid != helper_pid;
}

/* Records the end of a child, and drops recorded ends of other children. */
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
 * Collects the state changes of all children. A traced child (guard_start) is detached when it executes its program,
 * because it has the machine's system call filters from then on; other stops are continued.
 */
void reap_children(void) {
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

/* Whether a child has ended; if so, stores its wait status in `how`. */
bool has_ended(pid_t pid, int *how) {
        reap_children();
        for (size_t i = 0; i < n_ended; i++) {
                if (ended[i].pid != pid) continue;
                *how = ended[i].how;
                return true;
        }
        return false;
}

/*
 * Traces the helper and, from its creation on, the command, where the machine has system call filters; false where the
 * kernel refuses. Before the filters are installed, root of a machine without a user namespace could trace the command
 * and make it call what the filters forbid. A process has one tracer at a time: until it executes its program, that is
 * the supervisor.
 */
bool guard_start(pid_t helper) {
        if (leader.n_filters == 0) return true;
        long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
        if (ptrace(PTRACE_SEIZE, helper, NULL, (void *) options) == 0) return true;
        say("Cannot protect the start of a process in machine '%s' from tracing: %s", request.machine, strerror(errno));
        return false;
}
