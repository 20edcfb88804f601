/* Process 1 of a machine that runs a single program. */
#include "enter.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Becomes the user and executes the command. `words`: UID, GID, "GROUP,GROUP,…", COMMAND… */
static void execute_as(char **words) {
        gid_t groups[NGROUPS_MAX];
        size_t n = 0;
        for (char *group = strtok(words[2], ","); group != NULL && n < NGROUPS_MAX; group = strtok(NULL, ",")) {
                groups[n++] = (gid_t) strtoul(group, NULL, 10);
        }
        if (setgroups(n, groups) < 0 || setgid((gid_t) strtoul(words[1], NULL, 10)) < 0 ||
            setuid((uid_t) strtoul(words[0], NULL, 10)) < 0) {
                dprintf(STDERR_FILENO, "Cannot become user %s: %s\n", words[0], strerror(errno));
                _exit(EXIT_OURS);
        }
        execvp(words[3], words + 3);
        int error = errno;
        dprintf(STDERR_FILENO, "Cannot run '%s': %s\n", words[3], strerror(error));
        _exit(error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/*
 * `as UID GID GROUP,GROUP,… COMMAND…`: runs the command as the user, forwards signals to it, reaps orphans, and returns
 * the command's exit status. systemd-nspawn cannot do this: its --user= needs getent(1) in the image, which small
 * images lack, and its own process 1 does not forward the stop signal that a container image declares.
 */
int run_as(char **words) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        pid_t command = fork();
        if (command < 0) return EXIT_OURS;
        if (command == 0) {
                sigprocmask(SIG_UNBLOCK, &all, NULL);
                setsid();
                execute_as(words);
        }
        for (;;) {
                int signal = sigwaitinfo(&all, NULL), how;
                if (signal > 0 && signal != SIGCHLD) kill(command, signal);
                for (pid_t ended; (ended = waitpid(-1, &how, WNOHANG)) > 0;) {
                        if (ended == command) return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
                }
        }
}
