/* Parses the request: the KEY=VALUE arguments before the command. */
#include "enter.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct request request = { .leader = -1, .pidfd = -1, .held = -1, .machine = "", .user = "", .caller = "0" };

static long number_of(const char *text, const char *key, long limit) {
        char *end;
        errno = 0;
        long value = strtol(text, &end, 10);
        if (errno != 0 || end == text || *end != 0 || value < 0 || value > limit) fail("machined-enter: bad value for %s", key);
        return value;
}

/* 4294967295 is refused: to setresuid(2) it means "do not change", so that the command would keep our ids. */
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
        else if (strcmp(word, "held") == 0) request.held = (int) number_of(value, word, INT_MAX);
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

void parse(int argc, char **argv) {
        int i = 1;
        for (; i < argc && strcmp(argv[i], "--") != 0; i++) parse_word(argv[i]);
        if (i + 1 >= argc || request.leader <= 0 || request.pidfd < 0) fail("machined-enter: incomplete request");
        request.command = argv + i + 1;
}
