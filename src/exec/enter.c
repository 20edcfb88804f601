/*
 * machined-enter: runs one command inside a running machine, with the caller's own descriptors.
 *
 * A JavaScript runtime has threads, and a process with threads cannot join a user namespace. So machinectl replaces
 * itself by this program, which is part of the executable, linked statically, and run from a sealed memfd: nothing of
 * the machine is needed to start it, and nothing in the machine can write to it (docs/exec.md).
 *
 *   machined-enter KEY=VALUE... -- COMMAND [ARGUMENT...]
 *
 *   leader=PID     the leader's number in our pid namespace, pidfd=FD the leader itself
 *   machine=NAME   for messages and the journal, user=NAME likewise
 *   uid=N gid=N    ids in the machine
 *   groups=N,N     supplementary groups; without it none
 *   dir=PATH       the working directory, home=PATH is tried when dir is missing, then "/"
 *   mount=KEY:PATH where a cgroup hierarchy is mounted; KEY is the controllers field of /proc/PID/cgroup, "" for v2
 *   caller=UID     who asked, for the journal
 *   tty=1          descriptor 0 becomes the controlling terminal
 *   timeout=MS     the command is ended after this time, and the exit status is 124
 *   detach=1       returns as soon as the command runs, and prints its number and its cgroup
 *   verbose=1      says what could not be taken over from the leader
 *
 * The environment that this program gets is the command's, each assignment behind "=", so that no variable means
 * anything to this program or its C library. Exit status: the command's own, 128+N for signal N, 124 timed
 * out, 125 for what fails here, 126 not executable, 127 not found.
 *
 * Three processes. The supervisor stays in the host's namespaces, waits, forwards signals and writes a line to the
 * journal. The helper takes over from the leader: cgroup, limits, OOM score, LSM label, namespaces, root directory, bounding
 * set, no_new_privs, ids. The command is started by the helper, as a child of the supervisor. It alone is in the
 * machine's pid namespace, where processes of the machine may trace it from its first moment on: by then it has no
 * descriptor, directory or capability that the machine does not have.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

enum { EXIT_TIMED_OUT = 124, EXIT_OURS = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };
enum { MAX_GROUPS = 1024, MAX_MOUNTS = 16, MAX_FILTERS = 64, MAX_LEAF_NAMES = 16, TERM_GRACE_MS = 5000, KILL_GRACE_MS = 5000, LEADER_STOP_MS = 2000, LEADER_TRACED_MS = 5000 };

extern char **environ;

static struct {
        pid_t leader;
        int pidfd;
        const char *machine, *user, *caller, *dir, *home;
        bool tty, detach, verbose;
        uid_t uid;
        gid_t gid;
        gid_t groups[MAX_GROUPS];
        size_t n_groups;
        long timeout_ms;
        struct { const char *controllers, *path; } mounts[MAX_MOUNTS];
        size_t n_mounts;
        char **command;
} request = { .leader = -1, .pidfd = -1, .machine = "", .user = "", .caller = "0" };

/* What the leader has, read before anything is changed. */
static struct {
        uint64_t bounding;
        bool no_new_privs;
        int oom_score_adj;
        char label[4096];
        int root_fd;
        int namespaces;
        struct { bool known; struct rlimit value; } limits[RLIM_NLIMITS];
        struct sock_fprog filters[MAX_FILTERS];
        size_t n_filters;
        bool may_setgroups;
} leader = { .root_fd = -1, .may_setgroups = true };

/* The cgroups that the command is put into: one made for it, or the leader's own. */
static struct { char path[PATH_MAX], leader[PATH_MAX]; bool is_made, names_machine; } leaves[MAX_MOUNTS];
static size_t n_leaves;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
        char text[1024];
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(text, sizeof text - 1, format, arguments);
        va_end(arguments);
        if (length < 0) return;
        if ((size_t) length > sizeof text - 2) length = sizeof text - 2;
        for (int i = 0; i < length; i++) if ((unsigned char) text[i] < ' ' || text[i] == 0x7f) text[i] = '?';
        text[length] = '\n';
        ssize_t written = write(STDERR_FILENO, text, (size_t) length + 1);
        (void) written;
}

#define fail(...) do { say(__VA_ARGS__); _exit(EXIT_OURS); } while (0)

/* Reads a whole small file into `text`; -1 with errno when that fails or it does not fit. */
static ssize_t read_file(int at, const char *path, char *text, size_t size) {
        int fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) return -1;
        size_t have = 0;
        for (;;) {
                ssize_t n = read(fd, text + have, size - 1 - have);
                if (n < 0 && errno == EINTR) continue;
                if (n <= 0 || have + (size_t) n >= size - 1) {
                        int error = n < 0 ? errno : n > 0 ? EFBIG : 0;
                        close(fd);
                        if (error != 0) { errno = error; return -1; }
                        text[have] = 0;
                        return (ssize_t) have;
                }
                have += (size_t) n;
        }
}

static int write_file(int at, const char *path, const char *text) {
        int fd = openat(at, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) return -1;
        ssize_t n = write(fd, text, strlen(text));
        int error = errno;
        close(fd);
        errno = error;
        return n < 0 ? -1 : 0;
}

/* The value behind "NAME:\t" in /proc/PID/status. */
static const char *status_field(const char *status, const char *name) {
        size_t length = strlen(name);
        for (const char *line = status; line != NULL; line = strchr(line, '\n')) {
                if (*line == '\n') line++;
                if (strncmp(line, name, length) == 0 && line[length] == ':') return line + length + 1;
        }
        return NULL;
}

static long number_of(const char *text, const char *key, long limit) {
        char *end;
        errno = 0;
        long value = strtol(text, &end, 10);
        if (errno != 0 || end == text || *end != 0 || value < 0 || value > limit) fail("machined-enter: bad value for %s", key);
        return value;
}

/* 4294967295 means "no user" to the kernel, which would leave this process what it is. */
static uint32_t id_of(const char *text, const char *key) {
        return (uint32_t) number_of(text, key, 0xfffffffeL);
}

static void parse_groups(char *text) {
        for (char *next; text != NULL && *text != 0; text = next) {
                next = strchr(text, ',');
                if (next != NULL) *next++ = 0;
                if (request.n_groups == MAX_GROUPS) fail("machined-enter: too many groups");
                request.groups[request.n_groups++] = id_of(text, "groups");
        }
}

static void parse_mount(char *text) {
        char *colon = strchr(text, ':');
        if (colon == NULL || request.n_mounts == MAX_MOUNTS) fail("machined-enter: bad value for mount");
        *colon = 0;
        request.mounts[request.n_mounts].controllers = text;
        request.mounts[request.n_mounts++].path = colon + 1;
}

static void parse_word(char *word) {
        char *value = strchr(word, '=');
        if (value == NULL) fail("machined-enter: '%s' has no value", word);
        *value++ = 0;
        if (strcmp(word, "leader") == 0) request.leader = (pid_t) number_of(value, word, INT_MAX);
        else if (strcmp(word, "pidfd") == 0) request.pidfd = (int) number_of(value, word, INT_MAX);
        else if (strcmp(word, "machine") == 0) request.machine = value;
        else if (strcmp(word, "user") == 0) request.user = value;
        else if (strcmp(word, "caller") == 0) request.caller = value;
        else if (strcmp(word, "uid") == 0) request.uid = id_of(value, word);
        else if (strcmp(word, "gid") == 0) request.gid = id_of(value, word);
        else if (strcmp(word, "groups") == 0) parse_groups(value);
        else if (strcmp(word, "dir") == 0) request.dir = value;
        else if (strcmp(word, "home") == 0) request.home = value;
        else if (strcmp(word, "mount") == 0) parse_mount(value);
        else if (strcmp(word, "tty") == 0) request.tty = *value == '1';
        else if (strcmp(word, "timeout") == 0) request.timeout_ms = number_of(value, word, LONG_MAX / 2);
        else if (strcmp(word, "detach") == 0) request.detach = *value == '1';
        else if (strcmp(word, "verbose") == 0) request.verbose = *value == '1';
        else fail("machined-enter: unknown word '%s'", word);
}

static void parse(int argc, char **argv) {
        int i = 1;
        for (; i < argc && strcmp(argv[i], "--") != 0; i++) parse_word(argv[i]);
        if (i + 1 >= argc || request.leader <= 0 || request.pidfd < 0) fail("machined-enter: incomplete request");
        request.command = argv + i + 1;
}

static bool leader_is_alive(void) {
        struct pollfd ready = { .fd = request.pidfd, .events = POLLIN };
        return poll(&ready, 1, 0) == 0;
}

/* A failure while the leader is looked at, whose reason may be that it has ended. */
static void __attribute__((noreturn)) fail_at_leader(const char *attempt) {
        int error = errno;
        if (!leader_is_alive()) fail("Machine '%s' has ended", request.machine);
        fail("Cannot %s of machine '%s': %s", attempt, request.machine, strerror(error));
}

/* Which namespaces the leader does not share with us. Joining the own user namespace is an error of setns(2). */
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
                        if (errno == ENOENT && stat(ours, &b) < 0) continue; /* the kernel has no such kind */
                        fail_at_leader("look at the namespaces");
                }
                if (stat(ours, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) flags |= kinds[i].flag;
        }
        return flags;
}

static bool is_mapped(const char *map, unsigned long inside) {
        unsigned long first, from, count;
        int used;
        for (; sscanf(map, "%lu %lu %lu%n", &first, &from, &count, &used) == 3; map += used) {
                if (inside >= first && inside - first < count) return true;
        }
        return false;
}

/* A user namespace may map few ids, and may forbid supplementary groups. */
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

static void read_leader(int proc) {
        static char status[65536];
        if (read_file(proc, "status", status, sizeof status) < 0) {
                fail_at_leader("look at the leader");
        }
        const char *bounding = status_field(status, "CapBnd"), *privs = status_field(status, "NoNewPrivs");
        leader.bounding = bounding == NULL ? 0 : strtoull(bounding, NULL, 16);
        leader.no_new_privs = privs != NULL && strtol(privs, NULL, 10) != 0;
        char text[32];
        leader.oom_score_adj = read_file(proc, "oom_score_adj", text, sizeof text) > 0 ? atoi(text) : 0;
        ssize_t length = read_file(proc, "attr/current", leader.label, sizeof leader.label);
        if (length <= 0) leader.label[0] = 0;
        leader.label[strcspn(leader.label, "\n")] = 0;
        leader.root_fd = openat(proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (leader.root_fd < 0) fail_at_leader("open the root directory");
        for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
                leader.limits[resource].known = prlimit(request.leader, resource, NULL, &leader.limits[resource].value) == 0;
        }
        leader.namespaces = foreign_namespaces(proc);
        if (leader.namespaces & CLONE_NEWUSER) check_ids(proc);
}

/*
 * Waits until the leader, which was told to, has stopped; not for ever, since it may hang in the kernel. Where a signal
 * stopped it, `signal` is to be given back to it, else 0.
 */
static bool wait_stopped(int *signal) {
        struct timespec pause = { .tv_nsec = 1000000 };
        for (int waited = 0; waited < LEADER_STOP_MS; waited++) {
                int status;
                pid_t pid = waitpid(request.leader, &status, WNOHANG | __WALL);
                if (pid == request.leader) {
                        if (!WIFSTOPPED(status)) return false;
                        *signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;
                        return true;
                }
                if (pid < 0) return false;
                nanosleep(&pause, NULL);
        }
        return false;
}

/* Copies the filters of the leader, which is stopped. */
static const char *copy_filters(void) {
        for (;;) {
                long length = ptrace(PTRACE_SECCOMP_GET_FILTER, request.leader, (void *) leader.n_filters, NULL);
                if (length < 0) return errno == ENOENT ? NULL : strerror(errno);
                if (leader.n_filters == MAX_FILTERS) fail("Machine '%s' has too many system call filters", request.machine);
                struct sock_filter *code = calloc((size_t) length, sizeof *code);
                if (code == NULL) return strerror(errno);
                if (ptrace(PTRACE_SECCOMP_GET_FILTER, request.leader, (void *) leader.n_filters, code) != length) return "they changed";
                leader.filters[leader.n_filters++] = (struct sock_fprog) { .len = (unsigned short) length, .filter = code };
        }
}

/* Who traces the leader; 0 for nobody. */
static long tracer_of(int proc) {
        static char status[65536];
        const char *tracer = read_file(proc, "status", status, sizeof status) < 0 ? NULL : status_field(status, "TracerPid");
        return tracer == NULL ? 0 : strtol(tracer, NULL, 10);
}

/*
 * Becomes the leader's tracer. A process has one at a time, and each command that is started in the machine is one for a
 * few milliseconds: those are waited for.
 */
static bool seize_leader(void) {
        struct timespec pause = { .tv_nsec = 1000000 };
        for (int waited = 0; waited < LEADER_TRACED_MS; waited++) {
                if (ptrace(PTRACE_SEIZE, request.leader, NULL, NULL) == 0) return true;
                if (errno != EPERM) return false;
                nanosleep(&pause, NULL);
        }
        return false;
}

/*
 * Copies the leader's system call filters; returns why that is not possible. The kernel shows them to a tracer that has
 * none itself. What the machine can bring about (its leader is traced by one of its own, or hangs) must not give it a
 * process without filters: then the command is not run.
 */
static const char *read_filters(int proc) {
        static char status[65536];
        if (read_file(proc, "status", status, sizeof status) < 0) return strerror(errno);
        const char *mode = status_field(status, "Seccomp");
        if (mode == NULL || strtol(mode, NULL, 10) != SECCOMP_MODE_FILTER) return NULL;
        char scope[16] = "";
        /* Nobody may trace anybody on this host. */
        if (read_file(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope) > 0 && atoi(scope) == 3) return "kernel.yama.ptrace_scope is 3";
        if (!seize_leader()) {
                if (!leader_is_alive()) fail("Machine '%s' has ended", request.machine);
                long tracer = tracer_of(proc);
                if (tracer == 0) {
                        fail("Cannot take over the system call filters of machine '%s': the kernel does not allow its leader to be "
                             "traced; a security module of the host may forbid it", request.machine);
                }
                fail("Cannot take over the system call filters of machine '%s': its leader is traced by process %ld; "
                     "run the command again when that has ended", request.machine, tracer);
        }
        int signal = 0;
        if (ptrace(PTRACE_INTERRUPT, request.leader, NULL, NULL) < 0 || !wait_stopped(&signal)) {
                if (!leader_is_alive()) fail("Machine '%s' has ended", request.machine);
                fail("Cannot take over the system call filters of machine '%s': its leader does not stop; it is paused or hangs in the kernel",
                     request.machine);
        }
        const char *reason = copy_filters();
        ptrace(PTRACE_DETACH, request.leader, NULL, (void *) (long) signal);
        if (reason != NULL) leader.n_filters = 0;
        return reason;
}

/* The path of one hierarchy in a /proc/PID/cgroup: "NUMBER:CONTROLLERS:PATH\n". */
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

static size_t components(const char *path) {
        size_t n = 0;
        for (; *path != 0; path++) n += *path == '/' && path[1] != '/' && path[1] != 0;
        return n;
}

/*
 * How many components the root of a cgroup namespace is below that of ours, by what /proc/self/cgroup says in both:
 * `ours` here, `theirs` there, where "/.." stands for each step up from their root. -1 where we are outside of our own.
 */
static long root_depth(const char *ours, const char *theirs) {
        long ups = 0;
        for (; strncmp(theirs, "/..", 3) == 0 && (theirs[3] == '/' || theirs[3] == 0); theirs += 3) ups++;
        if (strncmp(ours, "/..", 3) == 0) return -1;
        return ups + (long) components(ours) - (long) components(theirs);
}

/* Cuts a path behind its first `depth` components; false where it has fewer. */
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
 * Reads /proc/self/cgroup as it is seen in the leader's cgroup namespace. We come back: only from our own may a process be
 * moved into the machine (cgroups(7), "nsdelegate"). The leader's own path is no help: it may move between two looks.
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

/* Whether a hierarchy is the one in which service managers name things: that of version 2, or their own of version 1. */
static bool is_named_by(const char *controllers) {
        return controllers[0] == 0 || strcmp(controllers, "name=systemd") == 0;
}

/*
 * Makes a cgroup for the command in each hierarchy: directly below the root of the leader's cgroup namespace, where the
 * limits of the machine count and its service manager does not look; below the leader's own cgroup where it shares ours.
 * Where none can be made (the machine may forbid it), the command goes into the leader's own.
 */
static void make_cgroups(int proc) {
        static char absolute[65536], here[65536], there[65536];
        if (request.n_mounts == 0) return;
        if (read_file(proc, "cgroup", absolute, sizeof absolute) < 0) fail_at_leader("read the leader's cgroup");
        bool own = (leader.namespaces & CLONE_NEWCGROUP) != 0;
        if (own) {
                if (read_file(AT_FDCWD, "/proc/self/cgroup", here, sizeof here) < 0) fail("Cannot read our cgroup: %s", strerror(errno));
                read_own_cgroup_there(there, sizeof there);
        }
        for (size_t i = 0; i < request.n_mounts; i++) {
                char whole[PATH_MAX], ours[PATH_MAX], theirs[PATH_MAX], directory[PATH_MAX];
                if (!cgroup_path(absolute, request.mounts[i].controllers, whole, sizeof whole)) continue;
                /* Outside of what this host, a container itself, can see. */
                if (strncmp(whole, "/..", 3) == 0) continue;
                const char *mount = request.mounts[i].path;
                if (snprintf(leaves[n_leaves].leader, PATH_MAX, "%s%s", mount, whole) >= PATH_MAX) continue;
                if (own && cgroup_path(here, request.mounts[i].controllers, ours, sizeof ours) &&
                    cgroup_path(there, request.mounts[i].controllers, theirs, sizeof theirs)) {
                        char root[PATH_MAX];
                        long depth = root_depth(ours, theirs);
                        memcpy(root, whole, sizeof root);
                        if (depth >= 0 && cut_path(root, depth)) memcpy(whole, root, sizeof whole);
                }
                if (snprintf(directory, sizeof directory, "%s%s", mount, whole) >= PATH_MAX) continue;
                size_t i_leaf = n_leaves++;
                leaves[i_leaf].names_machine = is_named_by(request.mounts[i].controllers);
                /* A hierarchy in which the machine has no cgroup of its own, as most are on hosts with version 1. */
                if (strcmp(whole, "/") == 0 || whole[0] == 0) continue;
                sweep_cgroups(directory);
                leaves[i_leaf].is_made = make_leaf(i_leaf, directory);
                if (!leaves[i_leaf].is_made && request.verbose) {
                        say("The command runs in the leader's cgroup: none can be made in '%s': %s", directory, strerror(errno));
                }
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

static void remove_cgroups(void) {
        for (size_t i = 0; i < n_leaves; i++) if (leaves[i].is_made) rmdir(leaves[i].path);
}

/* Puts the helper into its cgroups: without limits of the machine nothing is run. */
static void join_cgroups(pid_t helper) {
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

/* Limits, priorities and the rest of what a login resets; the leader's limits, not the caller's. */
static void reset_process(void) {
        /* Those of the caller: the machine's user namespace may forbid to drop them later. */
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

/* The label is the leader's from the next execve(2) on: SELinux takes the label, AppArmor "exec PROFILE". */
static void take_label(void) {
        char ours[sizeof leader.label], order[sizeof leader.label + 8];
        ssize_t length = read_file(AT_FDCWD, "/proc/self/attr/current", ours, sizeof ours);
        if (leader.label[0] == 0 || length <= 0) return;
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

static void set_capabilities(uint64_t wanted) {
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

static void drop_bounding_set(void) {
        for (int capability = 0; capability < 64; capability++) {
                if (leader.bounding & (1ULL << capability)) continue;
                if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL) {
                        fail("Cannot drop capability %d: %s", capability, strerror(errno));
                }
        }
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static void install_filters(void) {
        for (size_t i = 0; i < leader.n_filters; i++) {
                if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &leader.filters[i]) == 0) continue;
                fail("Cannot take over the system call filter of machine '%s': %s", request.machine, strerror(errno));
        }
}

static void become_user(void) {
        drop_bounding_set();
        if (leader.no_new_privs) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
        if (leader.may_setgroups && setgroups(request.n_groups, request.groups) < 0) fail("Cannot set groups: %s", strerror(errno));
        if (setresgid(request.gid, request.gid, request.gid) < 0) fail("Cannot become group %u: %s", request.gid, strerror(errno));
        if (setresuid(request.uid, request.uid, request.uid) < 0) fail("Cannot become user %u: %s", request.uid, strerror(errno));
        prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
        /* A filter needs either no_new_privs or this capability, which goes with execve(2). */
        uint64_t needed = leader.n_filters > 0 && !leader.no_new_privs ? 1ULL << CAP_SYS_ADMIN : 0;
        set_capabilities(needed | (request.uid == 0 ? permitted_capabilities() & leader.bounding : 0));
}

static void enter_directory(void) {
        if (request.dir != NULL) {
                if (chdir(request.dir) < 0) fail("Cannot enter directory '%s' of machine '%s': %s", request.dir, request.machine, strerror(errno));
        } else if (request.home == NULL || chdir(request.home) < 0) {
                if (chdir("/") < 0) fail("Cannot enter the root directory of machine '%s': %s", request.machine, strerror(errno));
        }
}

static void reset_signals(void) {
        sigset_t none;
        for (int signal = 1; signal < NSIG; signal++) {
                struct sigaction action = { .sa_handler = SIG_DFL };
                sigaction(signal, &action, NULL);
        }
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Says why the program could not be executed; returns the exit status for it. */
static int not_run(int error) {
        say("Cannot run '%s' in machine '%s': %s", request.command[0], request.machine, strerror(error));
        return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* The command, in the machine. Its environment is given without the mark in front of each assignment. */
static void __attribute__((noreturn)) run_command(int life, int exec_error) {
        /* A group of its own, so that signals reach all of it. */
        setsid();
        if (request.tty && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0) fail("Cannot take the terminal: %s", strerror(errno));
        if (!request.detach) {
                prctl(PR_SET_PDEATHSIG, SIGHUP);
                /* The supervisor may have gone before. */
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

/* Moves the descriptors that are still needed to 3 and on, and closes all others. */
static void keep_only(int *life, int *exec_error) {
        int kept[] = { *life, leader.root_fd, request.pidfd, *exec_error };
        enum { N = sizeof kept / sizeof *kept };
        for (int i = 0; i < N; i++) {
                kept[i] = fcntl(kept[i], F_DUPFD_CLOEXEC, 64);
                if (kept[i] < 0) fail("Cannot prepare descriptors: %s", strerror(errno));
        }
        for (int i = 0; i < N; i++) if (dup3(kept[i], 3 + i, O_CLOEXEC) < 0) fail("Cannot prepare descriptors: %s", strerror(errno));
        if (syscall(SYS_close_range, 3U + N, ~0U, 0U) < 0) for (int fd = 3 + N; fd < 65536; fd++) close(fd);
        *life = 3;
        leader.root_fd = 4;
        request.pidfd = 5;
        *exec_error = 6;
}

/*
 * Joins all namespaces at once, with the rights of the user namespace; where that user namespace does not own the others,
 * those come first, with the rights of the host.
 */
static void join_namespaces(void) {
        int flags = leader.namespaces;
        if (flags == 0 || syscall(SYS_setns, request.pidfd, flags) == 0) return;
        int others = flags & ~CLONE_NEWUSER;
        if (errno == EPERM && others != flags && others != 0 && syscall(SYS_setns, request.pidfd, others) == 0 &&
            syscall(SYS_setns, request.pidfd, CLONE_NEWUSER) == 0) {
                return;
        }
        fail("Cannot join the namespaces of machine '%s': %s", request.machine, strerror(errno));
}

/*
 * The helper: `life` says that it is in its cgroup, and ends with the supervisor. The kernel writes the command's number to
 * `command`, memory that the command does not have, before the command runs: the supervisor believes it.
 */
static void __attribute__((noreturn)) run_envoy(int life, int exec_error, pid_t *command) {
        char byte;
        ssize_t n;
        while ((n = read(life, &byte, 1)) < 0 && errno == EINTR);
        if (n != 1) _exit(EXIT_OURS);
        reset_process();
        take_label();
        keep_only(&life, &exec_error);
        /* A command that stays with us gets no descriptors but its own and `life`: the machine would see them until it runs. */
        int nothing = -1, message = -1;
        if (!request.detach) close(exec_error);
        else if ((nothing = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0) fail("Cannot open /dev/null: %s", strerror(errno));
        join_namespaces();
        if (fchdir(leader.root_fd) < 0 || chroot(".") < 0) fail("Cannot enter the root of machine '%s': %s", request.machine, strerror(errno));
        close(leader.root_fd);
        close(request.pidfd);
        become_user();
        /* Changing ids may have undone this: nobody may look into the command before it is one of theirs. */
        prctl(PR_SET_DUMPABLE, 0);
        enter_directory();
        if (madvise(command, sizeof *command, MADV_DONTFORK) < 0) fail("Cannot keep memory to ourselves: %s", strerror(errno));
        if (request.detach) {
                /* For our own errors; the caller waits for the end of these descriptors. */
                message = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 7);
                for (int fd = 0; fd < 3; fd++) dup2(nothing, fd);
                close(nothing);
        }
        /* A child of the supervisor. */
        long child = syscall(SYS_clone, CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD, 0, command, 0, 0);
        if (child == 0) {
                if (message >= 0) close(message);
                run_command(life, exec_error);
        }
        if (child < 0) {
                if (message >= 0) dup2(message, STDERR_FILENO);
                fail("Cannot start a process in machine '%s': %s", request.machine, strerror(errno));
        }
        _exit(0);
}

static long now_ms(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void kill_cgroups(pid_t child) {
        bool killed = false;
        for (size_t i = 0; i < n_leaves; i++) killed |= leaves[i].is_made && write_leaf(leaves[i].path, "cgroup.kill", "1") == 0;
        if (!killed) kill(-child, SIGKILL);
}

/* When the command's time is up, in milliseconds of the monotonic clock; 0 for never. */
static long deadline;

/* Waits for one of the signals, until `until` at the latest (0 for no limit); returns it, or 0. */
static int wait_signal(const sigset_t *signals, long until) {
        if (until == 0) {
                int signal = sigwaitinfo(signals, NULL);
                return signal > 0 ? signal : 0;
        }
        long left = until - now_ms();
        if (left <= 0) return 0;
        int signal = sigtimedwait(signals, NULL, &(struct timespec) { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 });
        return signal > 0 ? signal : 0;
}

static bool is_over(long until) {
        return until != 0 && until <= now_ms();
}

/* Sends a signal to the command's process group. The group is made by the command itself, perhaps not yet. */
static void send_to_command(pid_t child, int signal) {
        if (kill(-child, signal) < 0) kill(child, signal);
}

/* How children have ended, as far as somebody has looked. */
static struct { pid_t pid; int how; } ended[4];
static size_t n_ended;

/*
 * Takes what the kernel has to say of our children. One that is traced (guard_start) is let go when it executes its program:
 * it has the machine's system call filters then.
 */
static void look_at_children(void) {
        pid_t pid;
        for (int how; (pid = waitpid(-1, &how, WNOHANG | __WALL)) > 0;) {
                if (!WIFSTOPPED(how)) {
                        if (n_ended < sizeof ended / sizeof *ended) ended[n_ended].pid = pid, ended[n_ended++].how = how;
                } else if (how >> 16 == PTRACE_EVENT_EXEC) {
                        ptrace(PTRACE_DETACH, pid, NULL, NULL);
                } else {
                        ptrace(PTRACE_CONT, pid, NULL, (void *) (long) (how >> 16 != 0 ? 0 : WSTOPSIG(how)));
                }
        }
}

static bool has_ended(pid_t pid, int *how) {
        look_at_children();
        for (size_t i = 0; i < n_ended; i++) {
                if (ended[i].pid != pid) continue;
                *how = ended[i].how;
                return true;
        }
        return false;
}

/*
 * Between its first moment in the machine and its system call filters, the command is a process that root of a machine without
 * a user namespace could trace, and make calls by that its filters forbid. A process has one tracer, so that we are it: from
 * before there is a command until it executes its program.
 */
static bool guard_start(pid_t helper) {
        if (leader.n_filters == 0) return true;
        long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
        if (ptrace(PTRACE_SEIZE, helper, NULL, (void *) options) == 0) return true;
        say("Cannot keep the start of a process in machine '%s' to ourselves: %s", request.machine, strerror(errno));
        return false;
}

/*
 * Waits for the command, forwards signals to its process group, ends it when its time is up; returns the exit status. A
 * command that SIGKILL does not end (it hangs in the kernel, or a process of the machine traces it) is not waited for.
 */
static int supervise(pid_t child, const sigset_t *signals, int *how) {
        enum { RUNS, TOLD, KILLED } state = RUNS;
        long until = deadline;
        while (!has_ended(child, how)) {
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
        return WIFSIGNALED(*how) ? 128 + WTERMSIG(*how) : WEXITSTATUS(*how);
}

/* One field of the journal's protocol; a value with a line end in it is written with its length. */
static size_t journal_field(char *text, size_t at, size_t size, const char *name, const char *value) {
        size_t length = strlen(value), needed = strlen(name) + length + 16;
        if (at + needed > size) return at;
        at += (size_t) sprintf(text + at, "%s\n", name);
        for (int i = 0; i < 8; i++) text[at++] = (char) ((uint64_t) length >> (8 * i));
        memcpy(text + at, value, length);
        at += length;
        text[at++] = '\n';
        return at;
}

/*
 * Who ran what in which machine, and how it ended: a line for the admin in the host's journal. `status` is -1 for a command
 * that is left running.
 */
static void write_journal(int status) {
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0) return;
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
        char text[8192], message[1024], ended[16], inside[16];
        snprintf(ended, sizeof ended, "%d", status);
        snprintf(inside, sizeof inside, "%u", request.uid);
        const char *user = request.user[0] != 0 ? request.user : inside;
        int length = snprintf(message, sizeof message, "User %s %s '%s' as %s in machine '%s', ", request.caller,
                              status < 0 ? "started" : "ran", request.command[0], user, request.machine);
        if (length > 0 && (size_t) length < sizeof message) {
                if (status < 0) snprintf(message + length, sizeof message - (size_t) length, "and left it running");
                else snprintf(message + length, sizeof message - (size_t) length, "exit status %d", status);
        }
        size_t at = 0;
        at = journal_field(text, at, sizeof text, "MESSAGE", message);
        at = journal_field(text, at, sizeof text, "PRIORITY", "6");
        at = journal_field(text, at, sizeof text, "SYSLOG_IDENTIFIER", "machinectl");
        at = journal_field(text, at, sizeof text, "SYSLOG_FACILITY", "10");
        at = journal_field(text, at, sizeof text, "MACHINE", request.machine);
        at = journal_field(text, at, sizeof text, "MACHINE_USER", inside);
        at = journal_field(text, at, sizeof text, "MACHINE_PROGRAM", request.command[0]);
        if (status >= 0) at = journal_field(text, at, sizeof text, "EXIT_STATUS", ended);
        at = journal_field(text, at, sizeof text, "CALLER_UID", request.caller);
        sendto(fd, text, at, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *) &address, sizeof address);
        close(fd);
}

static bool ends_the_start(int signal) {
        return signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTERM;
}

/*
 * Waits for the helper. It may hang (the machine's cgroup may be frozen, a home of the machine on a file system that does not
 * answer), so that a signal which would end the command, or the end of its time, ends it. Signals that come until there is a
 * command are sent to it afterwards. Returns 0, or the exit status where the time is up or a helper that SIGKILL does not end is
 * not waited for any longer.
 */
static int wait_helper(pid_t helper, const sigset_t *signals, const pid_t *command, int *how) {
        sigset_t early;
        sigemptyset(&early);
        long until = deadline;
        int killed_for = 0;
        bool is_late = false;
        while (!has_ended(helper, how)) {
                if (is_over(until)) {
                        if (killed_for != 0) return killed_for;
                        is_late = true;
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
        return *command == 0 && is_late ? EXIT_TIMED_OUT : 0;
}

/* What became of a command: its number, or 0 with an exit status where it was not started; the reason has been said. */
struct started { pid_t command; int status; };

/* Where the command is left running: whether its program could be executed, which the command itself reports. */
static struct started wait_executed(pid_t command, int exec_error, const sigset_t *signals) {
        int error = 0;
        ssize_t n;
        /* It closes its end when it executes its program, and ends when that fails: the kernel tells us of both. */
        for (;;) {
                look_at_children();
                n = read(exec_error, &error, sizeof error);
                if (n >= 0 || (errno != EINTR && errno != EAGAIN)) break;
                struct pollfd closed = { .fd = exec_error, .events = POLLIN };
                if (leader.n_filters == 0) {
                        poll(&closed, 1, -1);
                        continue;
                }
                int signal = wait_signal(signals, 0);
                if (ends_the_start(signal)) {
                        kill(command, SIGKILL);
                        return (struct started) { .status = EXIT_OURS };
                }
        }
        if (n != (ssize_t) sizeof error) return (struct started) { .command = command };
        return (struct started) { .status = not_run(error) };
}

/* Starts the helper, and has it start the command. */
static struct started start_command(const sigset_t *signals) {
        static const struct started not_started = { .status = EXIT_OURS };
        int life[2], executed[2], how = 0;
        pid_t *command = mmap(NULL, sizeof *command, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (command == MAP_FAILED || pipe2(life, O_CLOEXEC) < 0 || pipe2(executed, O_CLOEXEC | O_NONBLOCK) < 0) {
                say("Cannot prepare the start of a process: %s", strerror(errno));
                return not_started;
        }
        pid_t helper = fork();
        if (helper < 0) {
                say("Cannot start a process: %s", strerror(errno));
                return not_started;
        }
        if (helper == 0) {
                close(life[1]);
                close(executed[0]);
                run_envoy(life[0], executed[1], command);
        }
        close(life[0]);
        close(executed[1]);
        join_cgroups(helper);
        /* What was read by number must have been about the leader: it still is there, so it was. */
        if (!leader_is_alive()) {
                kill(helper, SIGKILL);
                waitpid(helper, NULL, 0);
                say("Machine '%s' has ended", request.machine);
                return not_started;
        }
        if (!guard_start(helper) || write(life[1], "", 1) != 1) kill(helper, SIGKILL);
        int status = wait_helper(helper, signals, command, &how);
        if (status != 0) return (struct started) { .status = status };
        if (*command > 0) return request.detach ? wait_executed(*command, executed[0], signals) : (struct started) { .command = *command };
        if (WIFSIGNALED(how)) say("The command was not started in machine '%s'", request.machine);
        return not_started;
}

/* Becomes the user and then the command: `UID GID GROUP,GROUP,… COMMAND…`. */
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
 * `as UID GID GROUP,GROUP,… COMMAND…`: process 1 of a machine of one program. It runs the command as the user, passes signals on to
 * it, and collects what is left of others. systemd-nspawn would look the user up with getent(1) of the machine, which small
 * images do not have; and its own process 1 does not pass on the signal by which the image says that it wants to be ended.
 */
static int run_as(char **words) {
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

int main(int argc, char **argv) {
        /* Without words it is the program of a machine that has none of its own while commands are run in it. */
        if (argc == 1) for (;;) pause();
        if (argc > 4 && strcmp(argv[1], "as") == 0) return run_as(argv + 2);
        parse(argc, argv);
        if (request.timeout_ms > 0) deadline = now_ms() + request.timeout_ms;
        char path[32];
        snprintf(path, sizeof path, "/proc/%d", (int) request.leader);
        int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (proc < 0 || !leader_is_alive()) fail("Machine '%s' has ended", request.machine);
        fcntl(request.pidfd, F_SETFD, FD_CLOEXEC);
        read_leader(proc);
        const char *reason = read_filters(proc);
        if (reason != NULL && request.verbose) {
                say("The command runs without the system call filters of machine '%s': %s", request.machine, reason);
        }

        sigset_t signals;
        static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD };
        sigemptyset(&signals);
        for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++) sigaddset(&signals, forwarded[i]);
        /* A caller that ignores SIGCHLD would keep us from seeing the end of the command. */
        signal(SIGCHLD, SIG_DFL);
        for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded - 1; i++) signal(forwarded[i], SIG_DFL);
        sigprocmask(SIG_BLOCK, &signals, NULL);

        make_cgroups(proc);
        int status, how = 0;
        struct started started = start_command(&signals);
        pid_t command = started.command;
        if (command == 0) {
                remove_cgroups();
                return started.status;
        }
        if (request.detach) {
                write_journal(-1);
                size_t shown = 0;
                while (shown < n_leaves && !leaves[shown].names_machine) shown++;
                if (shown == n_leaves) shown = 0;
                printf("%d %s\n", (int) command, n_leaves == 0 ? "-" : leaves[shown].is_made ? leaves[shown].path : leaves[shown].leader);
                return 0;
        }
        /* The command alone holds the caller's input and output, so that their other ends see when it closes them. */
        int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = 0; nothing >= 0 && fd < 3; fd++) dup2(nothing, fd);
        status = supervise(command, &signals, &how);
        remove_cgroups();
        write_journal(status);
        return status;
}
