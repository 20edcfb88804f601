/* Reads the leader's properties that the command takes over. */
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct leader leader = { .root_fd = -1, .may_setgroups = true };

/* Whether the leader runs; a pidfd is readable when its process has ended. */
bool leader_is_alive(void) {
        struct pollfd ready = { .fd = request.pidfd, .events = POLLIN };
        return poll(&ready, 1, 0) == 0;
}

/* Ends the program after a failed access to the leader: the reason is errno, or that the leader has ended. */
void __attribute__((noreturn)) fail_at_leader(const char *attempt) {
        int error = errno;
        if (!leader_is_alive()) fail("Machine '%s' has ended", request.machine);
        fail("Cannot %s of machine '%s': %s", attempt, request.machine, strerror(error));
}

/* Whether an error says that the kernel has no security labels. */
static bool lacks_labels(int error) {
        return error == ENOENT || error == EINVAL || error == EOPNOTSUPP;
}

/* Reads the properties into `leader`, except namespaces and filters. */
void read_leader(int proc) {
        static char status[65536];
        if (read_file(proc, "status", status, sizeof status) < 0) {
                fail_at_leader("read the status of the leader");
        }
        const char *bounding = status_field(status, "CapBnd"), *privs = status_field(status, "NoNewPrivs");
        leader.bounding = bounding == NULL ? 0 : strtoull(bounding, NULL, 16);
        leader.no_new_privs = privs != NULL && strtol(privs, NULL, 10) != 0;
        char text[32];
        leader.oom_score_adj = read_file(proc, "oom_score_adj", text, sizeof text) > 0 ? atoi(text) : 0;
        ssize_t length = read_file(proc, "attr/current", leader.label, sizeof leader.label);
        if (length < 0 && !lacks_labels(errno)) fail_at_leader("read the security label");
        if (length <= 0) leader.label[0] = 0;
        leader.label[strcspn(leader.label, "\n")] = 0;
        leader.root_fd = openat(proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (leader.root_fd < 0) fail_at_leader("open the root directory");
        for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
                leader.limits[resource].known = prlimit(request.leader, resource, NULL, &leader.limits[resource].value) == 0;
        }
}
