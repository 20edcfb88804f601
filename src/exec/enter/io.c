/* Prints messages, and reads and writes small files of /proc, /sys and cgroups. */
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Returns the length of a character that acts on a terminal: a control character or a mark of text direction
 * (src/base/text/control-characters.ts); 0 for others. `text` ends with NUL, in UTF-8.
 */
static int acting_length(const unsigned char *text) {
        if (text[0] < ' ' || text[0] == 0x7f) return 1;
        if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0) return 2; /* U+0080 to U+009F */
        if (text[0] == 0xd8 && text[1] == 0x9c) return 2; /* U+061C */
        if (text[0] != 0xe2 || (text[1] != 0x80 && text[1] != 0x81)) return 0;
        /* U+200E, U+200F, U+2028 to U+202E; U+2066 to U+206F */
        unsigned char last = text[2];
        bool acts = text[1] == 0x81 ? last >= 0xa6 && last <= 0xaf : last == 0x8e || last == 0x8f || (last >= 0xa8 && last <= 0xae);
        return acts ? 3 : 0;
}

/* Prints a line to standard error, with characters that act on a terminal replaced by '?'. */
void say(const char *format, ...) {
        char text[1024];
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(text, sizeof text - 1, format, arguments);
        va_end(arguments);
        if (length < 0) return;
        if ((size_t) length > sizeof text - 2) length = sizeof text - 2;
        text[length] = 0;
        for (int i = 0, acting; i < length; i += acting > 0 ? acting : 1) {
                acting = acting_length((unsigned char *) text + i);
                memset(text + i, '?', (size_t) acting);
        }
        text[length] = '\n';
        ssize_t written = write(STDERR_FILENO, text, (size_t) length + 1);
        (void) written;
}

/*
 * Reads a whole file into `text`, with a NUL. Returns its length; -1 with errno on failure or where it does not fit
 * (EFBIG).
 */
ssize_t read_file(int at, const char *path, char *text, size_t size) {
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

/* Writes `text` to an existing file; -1 with errno on failure. */
int write_file(int at, const char *path, const char *text) {
        int fd = openat(at, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0) return -1;
        ssize_t n = write(fd, text, strlen(text));
        int error = errno;
        close(fd);
        errno = error;
        return n < 0 ? -1 : 0;
}

/* Returns the value after "NAME:" in the text of /proc/PID/status; NULL where there is none. */
const char *status_field(const char *status, const char *name) {
        size_t length = strlen(name);
        for (const char *line = status; line != NULL; line = strchr(line, '\n')) {
                if (*line == '\n') line++;
                if (strncmp(line, name, length) == 0 && line[length] == ':') return line + length + 1;
        }
        return NULL;
}
