/* Finds the namespaces that the leader does not share with this process, and joins them. */
#include "enter.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/*
 * Returns the namespaces that the leader does not share with this process, as flags of setns(2), which refuses to join
 * the user namespace that a process is already in.
 */
static int foreign_namespaces(int proc) {
        static const struct { const char *name; int flag; } kinds[] = {
                { "user", CLONE_NEWUSER }, { "mnt", CLONE_NEWNS },  { "pid", CLONE_NEWPID },   { "net", CLONE_NEWNET },
                { "uts", CLONE_NEWUTS },   { "ipc", CLONE_NEWIPC }, { "cgroup", CLONE_NEWCGROUP }, { "time", CLONE_NEWTIME },
        };
        int flags = 0;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                char theirs[64], ours[64];
                struct stat a, b;
                snprintf(theirs, sizeof theirs, "ns/%s", kinds[i].name);
                snprintf(ours, sizeof ours, "/proc/self/ns/%s", kinds[i].name);
                if (fstatat(proc, theirs, &a, 0) < 0) {
                        if (errno == ENOENT && stat(ours, &b) < 0) continue; /* the kernel lacks this kind of namespace */
                        fail_at_leader("read the namespaces");
                }
                if (stat(ours, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) flags |= kinds[i].flag;
        }
        return flags;
}

/* Whether the text of a uid_map or gid_map maps the id `inside` of the namespace. */
static bool is_mapped(const char *map, unsigned long inside) {
        unsigned long first, from, count;
        int used;
        for (; sscanf(map, "%lu %lu %lu%n", &first, &from, &count, &used) == 3; map += used) {
                if (inside >= first && inside - first < count) return true;
        }
        return false;
}

/*
 * Checks the ids of the request against the leader's user namespace, which may map few ids and forbid supplementary
 * groups. Ends the program where an id is not mapped.
 */
static void check_ids(int proc) {
        static char uids[65536], gids[65536];
        if (read_file(proc, "uid_map", uids, sizeof uids) < 0 || read_file(proc, "gid_map", gids, sizeof gids) < 0) return;
        if (!is_mapped(uids, request.uid) || !is_mapped(gids, request.gid)) {
                fail("Machine '%s' has no user %u or no group %u: its user namespace maps other ids", request.machine,
                     request.uid, request.gid);
        }
        char word[16] = "";
        if (read_file(proc, "setgroups", word, sizeof word) > 0 && strncmp(word, "deny", 4) == 0) leader.may_setgroups = false;
}

/* Finds the namespaces to join, and checks the ids of the request. */
void read_namespaces(int proc) {
        leader.namespaces = foreign_namespaces(proc);
        if (leader.namespaces & CLONE_NEWUSER) check_ids(proc);
}

/*
 * Joins all namespaces in one call, with the capabilities in the user namespace. Where that does not own the other
 * namespaces (EPERM), joins the others first, with the capabilities on the host.
 */
void join_namespaces(void) {
        int flags = leader.namespaces;
        if (flags == 0 || syscall(SYS_setns, request.pidfd, flags) == 0) return;
        int others = flags & ~CLONE_NEWUSER;
        if (errno == EPERM && others != flags && others != 0 && syscall(SYS_setns, request.pidfd, others) == 0 &&
            syscall(SYS_setns, request.pidfd, CLONE_NEWUSER) == 0) {
                return;
        }
        fail("Cannot join the namespaces of machine '%s': %s", request.machine, strerror(errno));
}
