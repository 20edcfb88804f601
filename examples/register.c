/* Runs a command as a machine, registered over Varlink: register NAME COMMAND [ARGUMENT…]
 * Needs nothing but a C library: a Varlink message is JSON with a zero byte behind it.
 * cc -o register register.c */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a machine may be called needs no escapes in JSON. */
static int is_name(const char *text) {
    return *text != '\0' && strlen(text) <= 64 &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(text);
}

static int connect_daemon(void) {
    const char *runtime = getenv("MACHINED_RUNTIME_DIRECTORY");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/machine/io.systemd.Machine",
                          runtime ? runtime : "/run/systemd");
    if (length < 0 || (size_t)length >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static int send_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return -1;
        bytes += sent;
        count -= (size_t)sent;
    }
    return 0;
}

/* Reads one message into the buffer, where its zero byte ends the string. */
static int receive(int fd, char *buffer, size_t size) {
    size_t length = 0;
    while (length < size) {
        ssize_t got = recv(fd, buffer + length, size - length, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            if (got == 0) errno = ECONNRESET;
            return -1;
        }
        length += (size_t)got;
        if (buffer[length - 1] == '\0') return 0;
    }
    errno = EMSGSIZE;
    return -1;
}

/* Returns whether the machine is registered; prints why not. */
static int register_machine(const char *name, pid_t leader) {
    char message[512], reply[4096];
    int length = snprintf(message, sizeof message,
                          "{\"method\":\"io.systemd.Machine.Register\",\"parameters\":{\"name\":\"%s\","
                          "\"class\":\"container\",\"service\":\"example\",\"leader\":%ld,\"allocateUnit\":true}}",
                          name, (long)leader);
    int fd = connect_daemon();
    if (fd < 0 || send_all(fd, message, (size_t)length + 1) < 0 || receive(fd, reply, sizeof reply) < 0) {
        perror("io.systemd.Machine");
        if (fd >= 0) close(fd);
        return 0;
    }
    close(fd);
    /* A registration returns no parameters: where this word is in the reply, it is the error's. */
    if (strstr(reply, "\"error\"") == NULL) return 1;
    fprintf(stderr, "%s\n", reply);
    return 0;
}

int main(int argc, char **argv) {
    int status;
    if (argc < 3 || !is_name(argv[1])) {
        fprintf(stderr, "usage: register NAME COMMAND [ARGUMENT...]\n");
        return 2;
    }
    pid_t leader = fork();
    if (leader < 0) {
        perror("fork");
        return 1;
    }
    if (leader == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    /* The number is the leader's until it is waited for, below: no other process can have it. */
    int is_registered = register_machine(argv[1], leader);
    if (!is_registered) kill(leader, SIGKILL);
    while (waitpid(leader, &status, 0) < 0 && errno == EINTR) {
    }
    if (!is_registered) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
