/* Declarations that the files of machined-enter share. main.c describes the program. */
#ifndef MACHINED_ENTER_H
#define MACHINED_ENTER_H

#define _GNU_SOURCE
#include <limits.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

enum { EXIT_TIMED_OUT = 124, EXIT_OURS = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };
enum { MAX_GROUPS = 1024, MAX_MOUNTS = 64, MAX_FILTERS = 64 };

/* The request of the caller; the fields are the keys of the command line (main.c, request.c). */
struct request {
        pid_t leader;
        int pidfd;
        /*
         * A descriptor that the supervisor, and the helper until it has entered the machine, keep open; the command
         * never gets it.
         */
        int held;
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
};
extern struct request request;

/* Parses the arguments into `request`; ends the program where they are invalid. */
void parse(int argc, char **argv);

/* Properties of the leader, read before this process changes anything (leader.c, namespaces.c, filters.c). */
struct leader {
        uint64_t bounding; /* the capability bounding set */
        bool no_new_privs;
        int oom_score_adj;
        char label[4096]; /* of SELinux or AppArmor; "" for none */
        int root_fd;
        int namespaces; /* those that it does not share with us, as flags of setns(2) */
        struct { bool known; struct rlimit value; } limits[RLIM_NLIMITS];
        struct sock_fprog filters[MAX_FILTERS];
        size_t n_filters;
        bool may_setgroups; /* its user namespace allows setgroups(2) */
};
extern struct leader leader;

/* `proc` is the leader's directory in /proc, as a descriptor. */
void read_leader(int proc);
bool leader_is_alive(void);
void fail_at_leader(const char *attempt) __attribute__((noreturn));
void read_namespaces(int proc);
void join_namespaces(void);
const char *read_filters(int proc);
void install_filters(void);

/* Messages and small files (io.c). */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define fail(...) do { say(__VA_ARGS__); _exit(EXIT_OURS); } while (0)
ssize_t read_file(int at, const char *path, char *text, size_t size);
int write_file(int at, const char *path, const char *text);
const char *status_field(const char *status, const char *name);

/* Cgroups (cgroup-path.c, cgroups.c). */
struct cgroup_texts { bool is_own; char absolute[65536], here[65536], there[65536]; };
void read_cgroup_texts(struct cgroup_texts *texts, int proc);
bool machine_cgroup(const struct cgroup_texts *texts, const char *controllers, char *own, char *root);
void make_cgroups(int proc);
pid_t fork_into_cgroup(void);
void join_cgroups(pid_t helper);
void kill_cgroups(pid_t child);
void remove_cgroups(void);
void remove_cgroups_later(void);
const char *shown_cgroup(void);

/* Functions that helper and command call for themselves (credentials.c, command.c, helper.c). */
void reset_process(void);
void take_label(void);
void set_capabilities(uint64_t wanted);
void become_user(void);
int not_run(int error);
void run_command(int life, int exec_error) __attribute__((noreturn));
void run_helper(int life, int exec_error, pid_t *command) __attribute__((noreturn));

/* The supervisor's children (children.c). Times are milliseconds of the monotonic clock; 0 means no limit. */
long now_ms(void);
bool is_over(long until);
int wait_signal(const sigset_t *signals, long until);
void send_to_command(pid_t child, int signal);
void watch_children(pid_t helper, const pid_t *command);
void reap_children(void);
bool has_ended(pid_t pid, int *how);
bool guard_start(pid_t helper);

/* The supervisor (supervisor.c). `deadline`: when the command's time is up; 0 for no limit. */
extern long deadline;

/* The command's process id; or 0 and an exit status where it was not started, after the reason was printed. */
struct started { pid_t command; int status; };
struct started start_command(const sigset_t *signals);
int supervise(pid_t child, const sigset_t *signals);


/* journal.c, init.c */
void write_journal(int status);
int run_as(char **words);

#endif
