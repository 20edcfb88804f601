/* Writes an entry to the journal of the host. */
#include "enter.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Appends a field in the journal's native protocol, with the length of its value; returns the new end. Skips one that
 * does not fit.
 */
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
 * Logs who ran which command in which machine, and its exit status; `status` is -1 for a command that is left running.
 * Failures are ignored.
 */
void write_journal(int status) {
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
