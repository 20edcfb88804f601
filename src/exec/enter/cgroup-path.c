/* Finds the cgroups of a machine in the hierarchies of the host. */
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Copies the path of one hierarchy from the text of /proc/PID/cgroup ("NUMBER:CONTROLLERS:PATH\n"); false where it has
 * none.
 */
static bool cgroup_path(const char *text, const char *controllers, char *path, size_t size) {
        for (const char *line = text; line != NULL && *line != 0; line = strchr(line, '\n')) {
                if (*line == '\n') line++;
                const char *first = strchr(line, ':');
                const char *second = first == NULL ? NULL : strchr(first + 1, ':');
                if (second == NULL) return false;
                size_t length = (size_t) (second - first - 1);
                if (length != strlen(controllers) || strncmp(first + 1, controllers, length) != 0) continue;
                size_t end = strcspn(second + 1, "\n");
                if (end >= size) return false;
                memcpy(path, second + 1, end);
                path[end] = 0;
                return true;
        }
        return false;
}

static size_t components(const char *path) {
        size_t n = 0;
        for (; *path != 0; path++) n += *path == '/' && path[1] != '/' && path[1] != 0;
        return n;
}

/* Whether a path begins with the component "..": a cgroup may be named "..x". */
static bool leads_up(const char *path) {
        return strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == 0);
}

/*
 * Returns the depth of the root of another cgroup namespace below the root of ours. `ours` and `theirs` are our own
 * cgroup path as /proc/self/cgroup shows it in each of the two namespaces; "/.." stands for each level above the
 * namespace's root. -1 where our cgroup is outside of our own namespace.
 */
static long root_depth(const char *ours, const char *theirs) {
        long ups = 0;
        for (; leads_up(theirs); theirs += 3) ups++;
        if (leads_up(ours)) return -1;
        return ups + (long) components(ours) - (long) components(theirs);
}

/* Cuts a path off after its first `depth` components; false where it has fewer. */
static bool cut_path(char *path, long depth) {
        char *end = path;
        for (; depth > 0; depth--) {
                if (*end != '/' || end[1] == 0) return false;
                end += 1 + strcspn(end + 1, "/");
        }
        *end = 0;
        return true;
}

/*
 * Reads /proc/self/cgroup from inside the leader's cgroup namespace, and returns to ours, because with "nsdelegate" a
 * process can be moved into the machine only from there (cgroups(7)). The leader's own path could not be used instead:
 * the leader may move between the two reads.
 */
static void read_own_cgroup_there(char *text, size_t size) {
        int ours = open("/proc/self/ns/cgroup", O_RDONLY | O_CLOEXEC);
        if (ours < 0) fail("Cannot open our cgroup namespace: %s", strerror(errno));
        if (syscall(SYS_setns, request.pidfd, CLONE_NEWCGROUP) < 0) fail_at_leader("join the cgroup namespace");
        ssize_t length = read_file(AT_FDCWD, "/proc/self/cgroup", text, size);
        int error = errno;
        if (syscall(SYS_setns, ours, CLONE_NEWCGROUP) < 0) fail("Cannot return to our cgroup namespace: %s", strerror(errno));
        close(ours);
        if (length < 0) fail("Cannot read our cgroup: %s", strerror(error));
}

/*
 * Reads the leader's cgroups; where it has a cgroup namespace of its own, also our cgroups as both namespaces show
 * them.
 */
void read_cgroup_texts(struct cgroup_texts *texts, int proc) {
        if (read_file(proc, "cgroup", texts->absolute, sizeof texts->absolute) < 0) fail_at_leader("read the leader's cgroup");
        texts->is_own = (leader.namespaces & CLONE_NEWCGROUP) != 0;
        if (!texts->is_own) return;
        if (read_file(AT_FDCWD, "/proc/self/cgroup", texts->here, sizeof texts->here) < 0) {
                fail("Cannot read our cgroup: %s", strerror(errno));
        }
        read_own_cgroup_there(texts->there, sizeof texts->there);
}

/*
 * Stores in `own` the path of the leader's cgroup in one hierarchy, and in `root` the root of its cgroup namespace (the
 * same path where it shares ours); both have PATH_MAX bytes. False where the leader's cgroup is not visible on this
 * host.
 */
bool machine_cgroup(const struct cgroup_texts *texts, const char *controllers, char *own, char *root) {
        char ours[PATH_MAX], theirs[PATH_MAX], cut[PATH_MAX];
        if (!cgroup_path(texts->absolute, controllers, own, PATH_MAX)) return false;
        /* This host is a container itself and does not see that cgroup. */
        if (leads_up(own)) return false;
        strcpy(root, own);
        if (!texts->is_own || !cgroup_path(texts->here, controllers, ours, sizeof ours) ||
            !cgroup_path(texts->there, controllers, theirs, sizeof theirs)) {
                return true;
        }
        long depth = root_depth(ours, theirs);
        strcpy(cut, own);
        if (depth >= 0 && cut_path(cut, depth)) strcpy(root, cut);
        return true;
}
