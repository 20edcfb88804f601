/* The cgroups of the command: made for it, or the leader's own. */
#include "enter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_LEAF_NAMES = 16 };

/* The cgroups that the command is put into: one made for it, or the leader's own. */
static struct { char path[PATH_MAX], leader[PATH_MAX]; bool is_made, names_machine; } leaves[MAX_MOUNTS];
static size_t n_leaves;

/* Removes what commands whose supervisors were killed left behind in `directory`; what is in use stays. */
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

/* Makes a new cgroup in `directory`. Names that are taken already may be the machine's doing. */
static bool make_leaf(size_t i, const char *directory) {
        for (int number = 0; number < MAX_LEAF_NAMES; number++) {
                int n = snprintf(leaves[i].path, PATH_MAX, "%s/.machined-exec-%d-%d", directory, (int) getpid(), number);
                if (n < 0 || n >= PATH_MAX) return false;
                if (mkdir(leaves[i].path, 0755) == 0) return true;
                if (errno != EEXIST) return false;
        }
        return false;
}

/* Whether a hierarchy is the one in which service managers name things: that of version 2, or their own of version 1. */
static bool is_named_by(const char *controllers) {
        return controllers[0] == 0 || strcmp(controllers, "name=systemd") == 0;
}

/*
 * Makes a cgroup for the command in one hierarchy: directly below the root of the leader's cgroup namespace, where the
 * limits of the machine count and its service manager does not look; below the leader's own cgroup where it shares ours.
 * Where none can be made (the machine may forbid it), the command goes into the leader's own.
 */
static void make_cgroup(const struct cgroup_texts *texts, const char *controllers, const char *mount) {
        char own[PATH_MAX], root[PATH_MAX], directory[PATH_MAX];
        if (!machine_cgroup(texts, controllers, own, root)) return;
        if (snprintf(leaves[n_leaves].leader, PATH_MAX, "%s%s", mount, own) >= PATH_MAX) return;
        if (snprintf(directory, sizeof directory, "%s%s", mount, root) >= PATH_MAX) return;
        size_t i = n_leaves++;
        leaves[i].names_machine = is_named_by(controllers);
        /* A hierarchy in which the machine has no cgroup of its own, as most are on hosts with version 1. */
        if (strcmp(root, "/") == 0 || root[0] == 0) return;
        sweep_cgroups(directory);
        leaves[i].is_made = make_leaf(i, directory);
        if (!leaves[i].is_made && request.verbose) {
                say("The command runs in the leader's cgroup: none can be made in '%s': %s", directory, strerror(errno));
        }
}

/* Makes the cgroups of the command. `proc` is the leader's directory in /proc. */
void make_cgroups(int proc) {
        static struct cgroup_texts texts;
        if (request.n_mounts == 0) return;
        read_cgroup_texts(&texts, proc);
        for (size_t i = 0; i < request.n_mounts; i++) {
                make_cgroup(&texts, request.mounts[i].controllers, request.mounts[i].path);
        }
}

/* Opens one attribute of a cgroup, and writes it. */
static int write_leaf(const char *directory, const char *name, const char *text) {
        int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return -1;
        int result = write_file(fd, name, text), error = errno;
        close(fd);
        errno = error;
        return result;
}

void remove_cgroups(void) {
        for (size_t i = 0; i < n_leaves; i++) if (leaves[i].is_made) rmdir(leaves[i].path);
}

/* Puts the helper into its cgroups: without limits of the machine nothing is run. */
void join_cgroups(pid_t helper) {
        char text[16];
        snprintf(text, sizeof text, "%d", (int) helper);
        for (size_t i = 0; i < n_leaves; i++) {
                if (leaves[i].is_made) {
                        if (write_leaf(leaves[i].path, "cgroup.procs", text) == 0) continue;
                        /* It is of a kind that takes no processes: a threaded one, one of version 1 without processors. */
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

void kill_cgroups(pid_t child) {
        bool killed = false;
        for (size_t i = 0; i < n_leaves; i++) killed |= leaves[i].is_made && write_leaf(leaves[i].path, "cgroup.kill", "1") == 0;
        if (!killed) kill(-child, SIGKILL);
}

/* The cgroup that is printed for a command that is left running: the one in which service managers name things. */
const char *shown_cgroup(void) {
        size_t shown = 0;
        while (shown < n_leaves && !leaves[shown].names_machine) shown++;
        if (shown == n_leaves) shown = 0;
        if (n_leaves == 0) return "-";
        return leaves[shown].is_made ? leaves[shown].path : leaves[shown].leader;
}
