/* The supervisor process: starts the helper, waits for it and for the command, and forwards signals. */
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TERM_GRACE_MS = 5000, KILL_GRACE_MS = 5000 };

long deadline;

/* Whether a signal ends a command that is still being started. */
static bool ends_the_start(int signal) {
        return signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTERM;
}

/*
 * Waits for the end of the helper. It may hang (the machine's cgroup is frozen, a home directory is on a file system
 * that does not answer), so it is killed by a signal that would end the command, and at the deadline. Signals that
 * arrive before the command exists are sent to it afterwards. Returns the exit status where the helper was killed
 * before the command existed, or where SIGKILL did not end it in KILL_GRACE_MS; else 0.
 */
static int wait_helper(pid_t helper, const sigset_t *signals, const pid_t *command, int *how) {
        sigset_t early;
        sigemptyset(&early);
        long until = deadline;
        int killed_for = 0;
        while (!has_ended(helper, how)) {
                if (is_over(until)) {
                        if (killed_for != 0) return killed_for;
                        killed_for = EXIT_TIMED_OUT;
                        kill(helper, SIGKILL);
                        until = now_ms() + KILL_GRACE_MS;
                        continue;
                }
                int signal = wait_signal(signals, until);
                if (signal == 0 || signal == SIGCHLD) continue;
                sigaddset(&early, signal);
                if (!ends_the_start(signal)) continue;
                kill(helper, SIGKILL);
                if (killed_for != 0) continue;
                killed_for = 128 + signal;
                until = now_ms() + KILL_GRACE_MS;
        }
        for (int signal = 1; *command > 0 && signal < NSIG; signal++) {
                if (sigismember(&early, signal) == 1) send_to_command(*command, signal);
        }
        return *command == 0 ? killed_for : 0;
}

/* Waits for the end of a child, until `until` at the latest; returns whether it has ended. */
static bool ends_until(pid_t child, long until, const sigset_t *signals) {
        int how;
        while (!has_ended(child, &how)) {
                if (is_over(until)) return false;
                wait_signal(signals, until);
        }
        return true;
}

/*
 * Leaves a process that has `request.held` open until the command has ended: one that hangs in the kernel ends later
 * than this program, and counts for its caller until then.
 */
static void outlive_killed(pid_t command) {
        struct pollfd ended = { .fd = (int) syscall(SYS_pidfd_open, command, 0), .events = POLLIN };
        if (ended.fd < 0 || fork() != 0) return;
        int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = 0; nothing >= 0 && fd < 3; fd++) dup2(nothing, fd);
        while (poll(&ended, 1, -1) < 0 && errno == EINTR);
        _exit(0);
}

/*
 * Waits until a command that is left running has executed its program or reported why it could not. The program may be
 * on a file system that does not answer, so a signal that would end the command ends the wait too.
 */
static struct started wait_executed(pid_t command, int exec_error, const sigset_t *signals) {
        struct pollfd awaited[] = {
                { .fd = exec_error, .events = POLLIN },
                { .fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN },
        };
        struct signalfd_siginfo came;
        int error = 0;
        ssize_t n;
        /* The command's end of the pipe is closed when it executes its program (close-on-exec) and when it ends. */
        for (;;) {
                reap_children();
                n = read(exec_error, &error, sizeof error);
                if (n >= 0 || (errno != EINTR && errno != EAGAIN)) break;
                /* Without the descriptor of signals, children are checked every 100 ms. */
                poll(awaited, 2, awaited[1].fd < 0 ? 100 : -1);
                if (read(awaited[1].fd, &came, sizeof came) != sizeof came) continue;
                if (!ends_the_start((int) came.ssi_signo)) continue;
                kill(command, SIGKILL);
                if (!ends_until(command, now_ms() + KILL_GRACE_MS, signals)) outlive_killed(command);
                return (struct started) { .status = 128 + (int) came.ssi_signo };
        }
        if (n != (ssize_t) sizeof error) return (struct started) { .command = command };
        return (struct started) { .status = not_run(error) };
}

/* Starts the helper, which starts the command. Prints the reason where the command was not started. */
struct started start_command(const sigset_t *signals) {
        static const struct started not_started = { .status = EXIT_OURS };
        int life[2], executed[2], how = 0;
        pid_t *command = mmap(NULL, sizeof *command, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (command == MAP_FAILED || pipe2(life, O_CLOEXEC) < 0 || pipe2(executed, O_CLOEXEC | O_NONBLOCK) < 0) {
                say("Cannot prepare the start of a process: %s", strerror(errno));
                return not_started;
        }
        pid_t helper = fork_into_cgroup();
        if (helper < 0) {
                say("Cannot start a process: %s", strerror(errno));
                return not_started;
        }
        if (helper == 0) {
                close(life[1]);
                close(executed[0]);
                run_helper(life[0], executed[1], command);
        }
        close(life[0]);
        close(executed[1]);
        join_cgroups(helper);
        /* If the leader still runs, its process id was not reused, and all that was read by process id is its own. */
        if (!leader_is_alive()) {
                kill(helper, SIGKILL);
                waitpid(helper, NULL, 0);
                say("Machine '%s' has ended", request.machine);
                return not_started;
        }
        watch_children(helper, command);
        if (!guard_start(helper) || write(life[1], "", 1) != 1) kill(helper, SIGKILL);
        int status = wait_helper(helper, signals, command, &how);
        if (status != 0) return (struct started) { .status = status };
        if (*command > 0) return request.detach ? wait_executed(*command, executed[0], signals) : (struct started) { .command = *command };
        if (WIFSIGNALED(how)) say("The command was not started in machine '%s'", request.machine);
        return not_started;
}

/*
 * Waits for the command, forwards signals to its process group, and ends it at the deadline by SIGTERM, then SIGKILL.
 * Returns the exit status. Stops waiting for a command that SIGKILL does not end (it hangs in the kernel, or a process
 * of the machine traces it).
 */
int supervise(pid_t child, const sigset_t *signals) {
        enum { RUNS, TERMINATED, KILLED } state = RUNS;
        long until = deadline;
        int how = 0;
        while (!has_ended(child, &how)) {
                if (is_over(until)) {
                        if (state == KILLED) return EXIT_TIMED_OUT;
                        if (state == RUNS) send_to_command(child, SIGTERM);
                        else kill_cgroups(child);
                        until = now_ms() + (state == RUNS ? TERM_GRACE_MS : KILL_GRACE_MS);
                        state++;
                        continue;
                }
                int signal = wait_signal(signals, until);
                if (signal > 0 && signal != SIGCHLD) send_to_command(child, signal);
        }
        if (state != RUNS) return EXIT_TIMED_OUT;
        return WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
}
