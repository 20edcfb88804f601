/* The process of the command, from its creation until it executes its program. */
#include "enter.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Resets all signal handlers and the signal mask. */
static void reset_signals(void) {
        sigset_t none;
        for (int signal = 1; signal < NSIG; signal++) {
                struct sigaction action = { .sa_handler = SIG_DFL };
                sigaction(signal, &action, NULL);
        }
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Prints why the program could not be executed (`error`: errno of execve(2)); returns the exit status for it. */
int not_run(int error) {
        say("Cannot run '%s' in machine '%s': %s", request.command[0], request.machine, strerror(error));
        return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/*
 * Executes the command; runs in the machine. Removes the leading "=" of each assignment of the environment. `life` is
 * the pipe of run_helper(). A command that is left running writes the errno of a failed execve(2) to `exec_error`.
 */
void __attribute__((noreturn)) run_command(int life, int exec_error) {
        /* A process group of its own, so that signals reach all its processes. */
        setsid();
        if (request.tty && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0) fail("Cannot take the terminal: %s", strerror(errno));
        if (!request.detach) {
                prctl(PR_SET_PDEATHSIG, SIGHUP);
                /* The supervisor may have ended before prctl(2). */
                struct pollfd gone = { .fd = life, .events = POLLIN };
                if (poll(&gone, 1, 0) != 0) _exit(EXIT_OURS);
        }
        reset_signals();
        install_filters();
        if (request.uid != 0 && leader.n_filters > 0) set_capabilities(0);
        for (char **assignment = environ; *assignment != NULL; assignment++) if (**assignment == '=') ++*assignment;
        execvp(request.command[0], request.command);
        int error = errno;
        if (request.detach) {
                ssize_t written = write(exec_error, &error, sizeof error);
                (void) written;
        }
        _exit(not_run(error));
}
