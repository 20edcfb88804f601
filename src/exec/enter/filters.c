/* Copies the leader's system call filters (seccomp) through ptrace(2), and installs them in the command. */
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

enum { LEADER_STOP_MS = 2000, LEADER_TRACED_MS = 5000 };

/*
 * Waits until the interrupted leader has stopped; returns false after LEADER_STOP_MS, because it may hang in the
 * kernel. Stores in `signal` the signal whose delivery stopped it and which it must get when it continues, or 0. The
 * kernel announces the stop by SIGCHLD, which `announced` contains and the caller has blocked.
 */
static bool wait_stopped(const sigset_t *announced, int *signal) {
        long until = now_ms() + LEADER_STOP_MS;
        for (;;) {
                int status;
                pid_t pid = waitpid(request.leader, &status, WNOHANG | __WALL);
                if (pid == request.leader) {
                        if (!WIFSTOPPED(status)) return false;
                        *signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;
                        return true;
                }
                if (pid < 0 || is_over(until)) return false;
                wait_signal(announced, until);
        }
}

/*
 * Interrupts the seized leader and waits until it has stopped. SIGCHLD stays blocked; supervise() waits for it as well.
 * An inherited SIG_IGN would suppress it.
 */
static bool stop_leader(int *signal_of_stop) {
        sigset_t announced;
        sigemptyset(&announced);
        sigaddset(&announced, SIGCHLD);
        signal(SIGCHLD, SIG_DFL);
        sigprocmask(SIG_BLOCK, &announced, NULL);
        return ptrace(PTRACE_INTERRUPT, request.leader, NULL, NULL) == 0 && wait_stopped(&announced, signal_of_stop);
}

/* Copies the filters of the stopped leader. Returns 0, or errno; E2BIG where there are more than MAX_FILTERS. */
static int copy_filters(void) {
        for (;;) {
                long length = ptrace(PTRACE_SECCOMP_GET_FILTER, request.leader, (void *) leader.n_filters, NULL);
                if (length < 0) return errno == ENOENT ? 0 : errno;
                if (leader.n_filters == MAX_FILTERS) return E2BIG;
                struct sock_filter *code = calloc((size_t) length, sizeof *code);
                if (code == NULL) return errno;
                long copied = ptrace(PTRACE_SECCOMP_GET_FILTER, request.leader, (void *) leader.n_filters, code);
                if (copied != length) return copied < 0 ? errno : ESTALE;
                leader.filters[leader.n_filters++] = (struct sock_fprog) { .len = (unsigned short) length, .filter = code };
        }
}

/* Whether the kernel shows no filters, or not to this process: other errors may come from the machine, or end. */
static bool shows_no_filters(int error) {
        return error == EACCES || error == EINVAL || error == EIO || error == ENOSYS;
}

/* Returns the number of the process that traces the leader; 0 for none. */
static long tracer_of(int proc) {
        static char status[65536];
        const char *tracer = read_file(proc, "status", status, sizeof status) < 0 ? NULL : status_field(status, "TracerPid");
        return tracer == NULL ? 0 : strtol(tracer, NULL, 10);
}

/*
 * Becomes the leader's tracer. A process has one tracer at a time, and every command that is started in the machine
 * traces the leader for a few milliseconds: retries for LEADER_TRACED_MS.
 */
static bool seize_leader(void) {
        struct timespec pause = { .tv_nsec = 1000000 };
        for (int waited = 0; waited < LEADER_TRACED_MS; waited++) {
                if (ptrace(PTRACE_SEIZE, request.leader, NULL, NULL) == 0) return true;
                if (errno != EPERM) return false;
                nanosleep(&pause, NULL);
        }
        return false;
}

/*
 * Copies the leader's system call filters. Returns NULL, or the reason why this host does not allow that: the command
 * then runs without filters. The kernel shows filters only to a tracer that has none itself. Where the machine itself
 * may have prevented the copying (its leader is traced by one of its processes, or does not stop), the program ends.
 */
const char *read_filters(int proc) {
        static char status[65536];
        /* The leader can make this longer at any time, by its groups. */
        if (read_file(proc, "status", status, sizeof status) < 0) fail_at_leader("read the status of the leader");
        const char *mode = status_field(status, "Seccomp");
        if (mode == NULL || strtol(mode, NULL, 10) != SECCOMP_MODE_FILTER) return NULL;
        char scope[16] = "";
        /* This host forbids ptrace(2) altogether. */
        if (read_file(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope) > 0 && atoi(scope) == 3) return "kernel.yama.ptrace_scope is 3";
        if (!seize_leader()) {
                if (!leader_is_alive()) fail("Machine '%s' has ended", request.machine);
                long tracer = tracer_of(proc);
                if (tracer == 0) {
                        fail("Cannot take over the system call filters of machine '%s': the kernel does not allow its leader to be "
                             "traced; a security module of the host may forbid it", request.machine);
                }
                fail("Cannot take over the system call filters of machine '%s': its leader is traced by process %ld; "
                     "run the command again when that has ended", request.machine, tracer);
        }
        int signal = 0;
        if (!stop_leader(&signal)) {
                if (!leader_is_alive()) fail("Machine '%s' has ended", request.machine);
                fail("Cannot take over the system call filters of machine '%s': its leader does not stop; it is paused or hangs in the kernel",
                     request.machine);
        }
        int error = copy_filters();
        ptrace(PTRACE_DETACH, request.leader, NULL, (void *) (long) signal);
        if (error == 0) return NULL;
        if (error == E2BIG) fail("Machine '%s' has too many system call filters", request.machine);
        errno = error;
        if (!shows_no_filters(error)) fail_at_leader("take over the system call filters");
        leader.n_filters = 0;
        return strerror(error);
}

/* Installs the copied filters in this process. */
void install_filters(void) {
        for (size_t i = 0; i < leader.n_filters; i++) {
                if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &leader.filters[i]) == 0) continue;
                fail("Cannot take over the system call filter of machine '%s': %s", request.machine, strerror(errno));
        }
}
