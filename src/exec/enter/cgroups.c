/* The cgroups of the command: one in each hierarchy, new or the leader's. */
#include "enter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_LEAF_NAMES = 16 };

/*
 * The command's cgroup in each hierarchy. `path`: the new one, if `is_made`; `leader`: the leader's, used otherwise;
 * `names_machine`: the hierarchy is the service manager's; `is_unified`: it is that of version 2; `has_helper`: the
 * helper was created in it.
 */
static struct { char path[PATH_MAX], leader[PATH_MAX]; bool is_made, names_machine, is_unified, has_helper; } leaves[MAX_MOUNTS];
static size_t n_leaves;

/* Removes empty cgroups in `directory` that are left of commands whose supervisors were killed. */
static void sweep_cgroups(const char *directory) {
        DIR *entries = opendir(directory);
        if (entries == NULL) return;
        for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
                long pid, number;
                if (sscanf(entry->d_name, ".machined-exec-%ld-%ld", &pid, &number) != 2) continue;
                if (kill((pid_t) pid, 0) < 0 && errno == ESRCH) unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
        }
        closedir(entries);
}

/* Makes a new cgroup in `directory`. The machine may have taken names, so several are tried. */
static bool make_leaf(size_t i, const char *directory) {
        for (int number = 0; number < MAX_LEAF_NAMES; number++) {
                int n = snprintf(leaves[i].path, PATH_MAX, "%s/.machined-exec-%d-%d", directory, (int) getpid(), number);
                if (n < 0 || n >= PATH_MAX) return false;
                if (mkdir(leaves[i].path, 0755) == 0) return true;
                if (errno != EEXIST) return false;
        }
        return false;
}

/* Whether a hierarchy is the service manager's: that of version 2, or name=systemd of version 1. */
static bool is_named_by(const char *controllers) {
        return controllers[0] == 0 || strcmp(controllers, "name=systemd") == 0;
}

/* Stores the path of a cgroup below a mount, in PATH_MAX bytes; "" where it is longer, which no call takes. */
static void store_path(char *path, const char *mount, const char *cgroup) {
        if (snprintf(path, PATH_MAX, "%s%s", mount, cgroup) >= PATH_MAX) path[0] = 0;
}

/*
 * Makes a cgroup for the command in one hierarchy: directly below the root of the leader's cgroup namespace, where the
 * machine's limits apply and its service manager does not interfere; below the leader's cgroup where the leader shares
 * our namespace. Where none can be made (the machine may prevent it), the command runs in the leader's. Each hierarchy
 * of the machine has its place in `leaves`, also where the machine has made paths too long: join_cgroups() fails then.
 */
static void make_cgroup(const struct cgroup_texts *texts, const char *controllers, const char *mount) {
        char own[PATH_MAX], root[PATH_MAX], directory[PATH_MAX];
        if (!machine_cgroup(texts, controllers, own, root)) return;
        size_t i = n_leaves++;
        store_path(leaves[i].leader, mount, own);
        store_path(directory, mount, root);
        leaves[i].names_machine = is_named_by(controllers);
        leaves[i].is_unified = controllers[0] == 0;
        /* The machine has no cgroup of its own in this hierarchy, as in most hierarchies of version 1. */
        if (strcmp(root, "/") == 0 || root[0] == 0 || directory[0] == 0) return;
        sweep_cgroups(directory);
        leaves[i].is_made = make_leaf(i, directory);
        if (!leaves[i].is_made && request.verbose) {
                say("The command runs in the leader's cgroup: none can be made in '%s': %s", directory, strerror(errno));
        }
}

/* Makes the cgroups of the command. `proc` is the leader's directory in /proc, as a descriptor. */
void make_cgroups(int proc) {
        static struct cgroup_texts texts;
        if (request.n_mounts == 0) return;
        read_cgroup_texts(&texts, proc);
        for (size_t i = 0; i < request.n_mounts; i++) {
                make_cgroup(&texts, request.mounts[i].controllers, request.mounts[i].path);
        }
}

/* Writes an attribute of a cgroup; -1 with errno on failure. */
static int write_leaf(const char *directory, const char *name, const char *text) {
        if (directory[0] == 0) {
                errno = ENAMETOOLONG;
                return -1;
        }
        int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return -1;
        int result = write_file(fd, name, text), error = errno;
        close(fd);
        errno = error;
        return result;
}

/* Removes the cgroups that were made; those that are in use remain. */
void remove_cgroups(void) {
        for (size_t i = 0; i < n_leaves; i++) if (leaves[i].is_made) rmdir(leaves[i].path);
}

/*
 * Whether processes are left in a cgroup that was made. `events` is its open cgroup.events, -1 in a hierarchy of
 * version 1.
 */
static bool is_occupied(size_t i, int events) {
        char text[256];
        ssize_t n;
        if (events >= 0) return (n = pread(events, text, sizeof text - 1, 0)) > 0 && (text[n] = 0, strstr(text, "populated 1") != NULL);
        int directory = open(leaves[i].path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0) return false;
        n = read_file(directory, "cgroup.procs", text, sizeof text);
        bool occupied = n > 0 || (n < 0 && errno == EFBIG);
        close(directory);
        return occupied;
}

/* Removes the cgroups that were made as soon as no process is left in them; does not return. */
static void remove_empty_cgroups(void) {
        enum { RETRIES = 50, RETRY_MS = 100, LOOK_MS = 1000 };
        int events = -1;
        size_t unified = 0;
        while (unified < n_leaves && !(leaves[unified].is_made && leaves[unified].is_unified)) unified++;
        if (unified < n_leaves) {
                int directory = open(leaves[unified].path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                events = openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
                close(directory);
        }
        /* One that is empty and still cannot be removed contains others, which the machine has made; it is left. */
        for (int retries = 0; retries < RETRIES;) {
                bool remains = false, occupied = false;
                for (size_t i = 0; i < n_leaves; i++) {
                        if (!leaves[i].is_made || rmdir(leaves[i].path) == 0 || errno != EBUSY) continue;
                        remains = true;
                        occupied |= is_occupied(i, i == unified ? events : -1);
                }
                if (!remains) break;
                if (!occupied) retries++;
                /* The kernel announces a change of cgroup.events as POLLPRI. */
                struct pollfd changed = { .fd = occupied ? events : -1, .events = POLLPRI };
                poll(&changed, 1, !occupied ? RETRY_MS : events < 0 ? LOOK_MS : -1);
        }
        _exit(0);
}

/*
 * Leaves a process that removes the cgroups of a command that is left running when that has ended. The process has
 * nothing of the caller but its control group: it may be killed with that, and then the next command in the machine
 * removes them (sweep_cgroups), or the machine's end does. Other callers than root have none: it would be a process of
 * root, in the control group of machined-exec, and a user could leave as many as the machine may have processes.
 */
void remove_cgroups_later(void) {
        size_t made = 0;
        if (strcmp(request.caller, "0") != 0) return;
        for (size_t i = 0; i < n_leaves; i++) made += leaves[i].is_made;
        if (made == 0 || fork() != 0) return;
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setsid();
        if (chdir("/") < 0) _exit(1);
        if (syscall(SYS_close_range, 0U, ~0U, 0U) < 0) for (int fd = 0; fd < 65536; fd++) close(fd);
        remove_empty_cgroups();
}

/*
 * As fork(2), with the child in the new cgroup of version 2 where the kernel can create it there (Linux 5.7). To move a
 * process, the kernel first waits until all processors have passed a quiescent state, which takes up to 20 ms.
 */
pid_t fork_into_cgroup(void) {
        for (size_t i = 0; i < n_leaves; i++) {
                if (!leaves[i].is_made || !leaves[i].is_unified) continue;
                int group = open(leaves[i].path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (group < 0) break;
                struct clone_args how = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned) group };
                pid_t child = (pid_t) syscall(SYS_clone3, &how, sizeof how);
                close(group);
                if (child < 0) break;
                leaves[i].has_helper = true;
                return child;
        }
        return fork();
}

/*
 * Moves the helper into the cgroups in which it was not created. Ends the program on failure: no command runs without
 * the machine's limits.
 */
void join_cgroups(pid_t helper) {
        char text[16];
        snprintf(text, sizeof text, "%d", (int) helper);
        for (size_t i = 0; i < n_leaves; i++) {
                if (leaves[i].has_helper) continue;
                if (leaves[i].is_made) {
                        if (write_leaf(leaves[i].path, "cgroup.procs", text) == 0) continue;
                        /*
                         * A new cgroup can refuse processes: in a threaded subtree, or a cpuset of version 1 without
                         * CPUs.
                         */
                        rmdir(leaves[i].path);
                        leaves[i].is_made = false;
                }
                if (write_leaf(leaves[i].leader, "cgroup.procs", text) == 0) continue;
                int error = errno;
                kill(helper, SIGKILL);
                waitpid(helper, NULL, 0);
                remove_cgroups();
                fail("Cannot put the command into the cgroup of machine '%s': %s", request.machine, strerror(error));
        }
}

/* Kills all processes in the cgroups that were made; where none can be killed so, the command's process group. */
void kill_cgroups(pid_t child) {
        bool killed = false;
        for (size_t i = 0; i < n_leaves; i++) killed |= leaves[i].is_made && write_leaf(leaves[i].path, "cgroup.kill", "1") == 0;
        if (!killed) kill(-child, SIGKILL);
}

/*
 * Returns the cgroup to print for a command that is left running: that in the service manager's hierarchy; "-" for
 * none.
 */
const char *shown_cgroup(void) {
        size_t shown = 0;
        while (shown < n_leaves && !leaves[shown].names_machine) shown++;
        if (shown == n_leaves) shown = 0;
        if (n_leaves == 0) return "-";
        return leaves[shown].is_made ? leaves[shown].path : leaves[shown].leader;
}
