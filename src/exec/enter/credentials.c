/* Replaces the caller's limits, security label, capabilities and ids by the leader's and the user's. */
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sets the leader's resource limits and OOM score; resets priorities, keyring, umask, timer slack and login id. */
void reset_process(void) {
        /* Drops the caller's groups now, because the machine's user namespace may forbid setgroups(2). */
        if (setgroups(0, NULL) < 0) fail("Cannot leave our supplementary groups: %s", strerror(errno));
        for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
                if (leader.limits[resource].known) setrlimit(resource, &leader.limits[resource].value);
        }
        umask(022);
        setpriority(PRIO_PROCESS, 0, 0);
        sched_setscheduler(0, SCHED_OTHER, &(struct sched_param) { 0 });
        syscall(SYS_ioprio_set, 1, 0, 0);
        syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
        prctl(PR_SET_TIMERSLACK, 0);
        write_file(AT_FDCWD, "/proc/self/loginuid", "4294967295");
        char text[16];
        snprintf(text, sizeof text, "%d", leader.oom_score_adj);
        write_file(AT_FDCWD, "/proc/self/oom_score_adj", text);
}

/*
 * Sets the leader's security label for the next execve(2). SELinux expects the label itself, AppArmor "exec PROFILE".
 */
void take_label(void) {
        char ours[sizeof leader.label], order[sizeof leader.label + 8];
        if (leader.label[0] == 0) return;
        if (read_file(AT_FDCWD, "/proc/self/attr/current", ours, sizeof ours) < 0) fail("Cannot read our security label: %s", strerror(errno));
        ours[strcspn(ours, "\n")] = 0;
        if (strcmp(ours, leader.label) == 0) return;
        if (write_file(AT_FDCWD, "/proc/self/attr/exec", leader.label) == 0) return;
        char profile[sizeof leader.label];
        snprintf(profile, sizeof profile, "%s", leader.label);
        char *mode = strstr(profile, " (");
        if (mode != NULL) *mode = 0;
        snprintf(order, sizeof order, "exec %s", profile);
        if (write_file(AT_FDCWD, "/proc/self/attr/exec", order) < 0) {
                fail("Cannot take over the security label '%s' of machine '%s': %s", leader.label, request.machine, strerror(errno));
        }
}

/* Sets the effective and permitted capabilities to the bits of `wanted`, and clears the inheritable ones. */
void set_capabilities(uint64_t wanted) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };
        for (int i = 0; i < 2; i++) data[i].effective = data[i].permitted = (uint32_t) (wanted >> (32 * i));
        if (syscall(SYS_capset, &header, data) < 0) fail("Cannot set capabilities: %s", strerror(errno));
}

static uint64_t permitted_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };
        if (syscall(SYS_capget, &header, data) < 0) fail("Cannot read capabilities: %s", strerror(errno));
        return data[0].permitted | (uint64_t) data[1].permitted << 32;
}

/* Reduces the bounding set to the leader's, and clears the ambient set. */
static void drop_bounding_set(void) {
        for (int capability = 0; capability < 64; capability++) {
                if (leader.bounding & (1ULL << capability)) continue;
                if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL) {
                        fail("Cannot drop capability %d: %s", capability, strerror(errno));
                }
        }
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* Takes the leader's bounding set and no_new_privs, and the ids and groups of the request. */
void become_user(void) {
        drop_bounding_set();
        if (leader.no_new_privs) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
        if (leader.may_setgroups && setgroups(request.n_groups, request.groups) < 0) fail("Cannot set groups: %s", strerror(errno));
        if (setresgid(request.gid, request.gid, request.gid) < 0) fail("Cannot become group %u: %s", request.gid, strerror(errno));
        if (setresuid(request.uid, request.uid, request.uid) < 0) fail("Cannot become user %u: %s", request.uid, strerror(errno));
        prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
        /* Installing a filter needs no_new_privs or CAP_SYS_ADMIN, which command.c drops before execve(2). */
        uint64_t needed = leader.n_filters > 0 && !leader.no_new_privs ? 1ULL << CAP_SYS_ADMIN : 0;
        set_capabilities(needed | (request.uid == 0 ? permitted_capabilities() & leader.bounding : 0));
}
