/*
 * A leader of a machine for the tests of src/exec/enter.
 *
 *   leader filtered FILE   has a system call filter, counts the signals SIGRTMIN that it gets, and writes the count to
 *                          FILE
 *   leader scan FILE       has root's rights over all processes, and writes to FILE what processes of its pid namespace
 *                          show of the host, however short: another root directory, more than four open files
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int filtered(const char *file) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapoff, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, SIGRTMIN);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        /* Unblocked only while it waits: a tracer sees each signal that is delivered. */
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) return 1;
        static volatile sig_atomic_t count;
        void on_signal(int signal) { (void) signal; count++; }
        signal(SIGRTMIN, on_signal);
        sigset_t none;
        sigemptyset(&none);
        for (;;) {
                int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
                dprintf(fd, "%d\n", (int) count);
                close(fd);
                sigsuspend(&none);
        }
}

static void look_at(const char *pid, const struct stat *own, int out) {
        char path[300], text[300];
        struct stat root;
        int number = atoi(pid);
        if (number <= 1) return;
        snprintf(path, sizeof path, "/proc/%s/root", pid);
        if (stat(path, &root) == 0 && (root.st_dev != own->st_dev || root.st_ino != own->st_ino)) dprintf(out, "root of %s\n", pid);
        snprintf(path, sizeof path, "/proc/%s/fd", pid);
        DIR *files = opendir(path);
        if (files == NULL) return;
        for (struct dirent *file; (file = readdir(files)) != NULL;) {
                if (atoi(file->d_name) <= 3) continue;
                snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, file->d_name);
                ssize_t n = readlink(path, text, sizeof text - 1);
                if (n > 0) dprintf(out, "file %s: %.*s\n", file->d_name, (int) n, text);
        }
        closedir(files);
}

static int scan(const char *file) {
        struct stat own;
        if (mount("proc", "/proc", "proc", 0, NULL) < 0 || stat("/", &own) < 0) return 1;
        int out = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        for (;;) {
                DIR *processes = opendir("/proc");
                for (struct dirent *entry; (entry = readdir(processes)) != NULL;) look_at(entry->d_name, &own, out);
                closedir(processes);
        }
}

int main(int argc, char **argv) {
        if (argc != 3) return 2;
        /* Ends with its parent process. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return strcmp(argv[1], "scan") == 0 ? scan(argv[2]) : filtered(argv[2]);
}
