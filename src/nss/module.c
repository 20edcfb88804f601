/* libnss_mymachines.so.2: names of machines, and users and groups of containers, for the C library (nss-mymachines(8),
 * nsswitch.conf(5)). It makes no decisions: it sends one line to the daemon's name socket and returns the answer.
 *
 * It runs in every program of the host, in any thread, after fork(2), and where memory is short. Therefore it uses no
 * heap, no globals, no locks and no stdio. Each call opens a socket and closes it before it returns; one deadline
 * covers connecting, sending and receiving; errno is kept. An answer is read into a buffer of fixed size. An invalid
 * answer counts as "service unavailable".
 *
 * Request:  HOST name | USER name | UID n | GROUP name | GID n, ended by a line feed.
 * Answer:   OK IFINDEX, then "4 hex" or "6 hex" for each address; or PW name uid gid gecos; or GR name gid; or NO; or
 * ER n.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <nss.h>
#include <poll.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define SOCKET_PATH "/run/systemd/machine/names"
#define MACHINES "/run/systemd/machines/"
#define ANSWER_MAX 4096
#define ADDRESSES_MAX 64
#define NAME_MAX_LENGTH 64
#define USER_MAX_LENGTH 31
/* "getent hosts" makes two queries, one for each address family: both together take less than three seconds. */
#define DEADLINE_MS 1200
#define FIRST_MACHINE_ID 65536u

struct address {
        int family;
        unsigned char bytes[16];
};

static int64_t now_ms(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until the socket is ready or the deadline has passed. Returns 0 or an errno. */
static int wait_for(int fd, short events, int64_t deadline) {
        for (;;) {
                int64_t left = deadline - now_ms();
                struct pollfd p = { .fd = fd, .events = events };
                int r;

                if (left <= 0)
                        return ETIMEDOUT;
                r = poll(&p, 1, (int) left);
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return errno;
        }
}

/* Sends a request and reads the whole answer, which it terminates by a NUL. Returns 0 or an errno. */
static int exchange(int fd, const char *request, size_t length, char *answer, int64_t deadline) {
        size_t done = 0;

        while (done < length) {
                ssize_t n = send(fd, request + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n > 0)
                        done += (size_t) n;
                else if (errno == EAGAIN) {
                        int r = wait_for(fd, POLLOUT, deadline);
                        if (r != 0)
                                return r;
                } else if (errno != EINTR)
                        return errno;
        }
        for (done = 0;;) {
                ssize_t n = recv(fd, answer + done, ANSWER_MAX - 1 - done, MSG_DONTWAIT);
                if (n > 0) {
                        done += (size_t) n;
                        if (done == ANSWER_MAX - 1)
                                return EMSGSIZE;
                } else if (n == 0) {
                        answer[done] = 0;
                        /* A NUL in the answer would hide the text after it. */
                        return strlen(answer) == done ? 0 : EPROTO;
                } else if (errno == EAGAIN) {
                        int r = wait_for(fd, POLLIN, deadline);
                        if (r != 0)
                                return r;
                } else if (errno != EINTR)
                        return errno;
        }
}

static int ask(const char *request, size_t length, char *answer) {
        struct sockaddr_un where = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
        const char *unit = getenv("SYSTEMD_ACTIVATION_UNIT"), *scope = getenv("SYSTEMD_ACTIVATION_SCOPE");
        int64_t deadline = now_ms() + DEADLINE_MS;
        int fd, r;

        /* A process of the daemon's own unit may run while the daemon starts, and must not wait for it. */
        if (geteuid() == 0 && unit && scope && strcmp(unit, "systemd-machined.service") == 0 && strcmp(scope, "system") == 0)
                return EDEADLK;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return errno;
        r = connect(fd, (struct sockaddr *) &where, sizeof where) < 0 ? errno : 0;
        if (r == 0)
                r = exchange(fd, request, length, answer, deadline);
        close(fd);
        return r;
}

/* Writes "KEY value\n" to `out`; returns false when it does not fit. */
static bool request_of(char *out, size_t size, const char *key, const char *value, size_t *length) {
        size_t k = strlen(key), v = strlen(value);

        if (k + v + 2 > size)
                return false;
        memcpy(out, key, k);
        out[k] = ' ';
        memcpy(out + k + 1, value, v);
        out[k + 1 + v] = '\n';
        *length = k + v + 2;
        return true;
}

/* Reads a decimal number that ends at `end`; returns false for any other text. */
static bool number(const char **at, char end, uint64_t limit, uint64_t *value) {
        uint64_t v = 0;
        const char *p = *at;

        if (*p < '0' || *p > '9')
                return false;
        for (; *p >= '0' && *p <= '9'; p++) {
                v = v * 10 + (uint64_t) (*p - '0');
                if (v > limit)
                        return false;
        }
        if (*p != end)
                return false;
        *at = p + 1;
        *value = v;
        return true;
}

/* Whether a name can be that of a machine: letters, digits, hyphens inside labels, dots between them. */
static bool is_machine_name(const char *name) {
        size_t i, length = strnlen(name, NAME_MAX_LENGTH + 1);

        if (length == 0 || length > NAME_MAX_LENGTH)
                return false;
        for (i = 0; i < length; i++) {
                char c = name[i], before = i == 0 ? '.' : name[i - 1], after = i + 1 == length ? '.' : name[i + 1];
                bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

                if (!plain && (before == '.' || after == '.' || (c != '-' && c != '.')))
                        return false;
                if (c == '.' && (before == '-' || after == '-'))
                        return false;
        }
        return true;
}

/* Whether a machine has the name: it has a state file. Nearly all look-ups end here, without a query to the daemon. */
static bool is_registered(const char *name) {
        char path[sizeof MACHINES + NAME_MAX_LENGTH];

        memcpy(path, MACHINES, sizeof MACHINES - 1);
        strcpy(path + sizeof MACHINES - 1, name);
        return access(path, F_OK) == 0;
}

static int hex_digit(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads the addresses of an answer. Returns 0, an errno, or -1 for "no such machine". */
static int parse_addresses(const char *p, struct address *list, unsigned *count, uint32_t *ifindex) {
        uint64_t value;

        *count = 0;
        if (strcmp(p, "NO\n") == 0)
                return -1;
        if (strncmp(p, "ER ", 3) == 0) {
                p += 3;
                return number(&p, '\n', 4095, &value) && *p == 0 && value > 0 ? (int) value : EPROTO;
        }
        if (strncmp(p, "OK ", 3) != 0)
                return EPROTO;
        p += 3;
        if (!number(&p, '\n', INT32_MAX, &value))
                return EPROTO;
        *ifindex = (uint32_t) value;
        while (*p) {
                struct address *a = list + *count;
                size_t i, length = *p == '4' ? 4 : *p == '6' ? 16 : 0;

                if (*count == ADDRESSES_MAX || length == 0 || p[1] != ' ')
                        return EPROTO;
                a->family = length == 4 ? AF_INET : AF_INET6;
                p += 2;
                for (i = 0; i < length; i++, p += 2) {
                        int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);
                        if (low < 0)
                                return EPROTO;
                        a->bytes[i] = (unsigned char) (high << 4 | low);
                }
                if (*p++ != '\n')
                        return EPROTO;
                (*count)++;
        }
        return 0;
}

static enum nss_status look_up(const char *name, struct address *list, unsigned *count, uint32_t *ifindex,
                               int *errnop, int *h_errnop) {
        char request[128], answer[ANSWER_MAX];
        size_t length;
        int saved = errno, r;

        *h_errnop = HOST_NOT_FOUND;
        if (!is_machine_name(name) || !is_registered(name) || !request_of(request, sizeof request, "HOST", name, &length)) {
                errno = saved;
                return NSS_STATUS_NOTFOUND;
        }
        r = ask(request, length, answer);
        if (r == 0)
                r = parse_addresses(answer, list, count, ifindex);
        errno = saved;
        if (r == 0 && *count > 0)
                return NSS_STATUS_SUCCESS;
        if (r <= 0)
                return NSS_STATUS_NOTFOUND;
        *errnop = r;
        *h_errnop = NO_RECOVERY;
        return NSS_STATUS_UNAVAIL;
}

static enum nss_status too_small(int *errnop, int *h_errnop) {
        *errnop = ERANGE;
        *h_errnop = NETDB_INTERNAL;
        return NSS_STATUS_TRYAGAIN;
}

/* Allocates from the caller's buffer, aligned for a pointer; returns NULL when it is used up. */
static void *take(char **buffer, size_t *left, size_t size) {
        size_t skip = -(uintptr_t) *buffer % sizeof(void *);
        void *room = *buffer + skip;

        if (*left < skip || *left - skip < size)
                return NULL;
        *buffer += skip + size;
        *left -= skip + size;
        return room;
}

static char *take_text(char **buffer, size_t *left, const char *text, size_t length) {
        char *room = take(buffer, left, length + 1);

        if (room) {
                memcpy(room, text, length);
                room[length] = 0;
        }
        return room;
}

PUBLIC enum nss_status _nss_mymachines_gethostbyname4_r(const char *name, struct gaih_addrtuple **pat, char *buffer,
                                                        size_t buflen, int *errnop, int *h_errnop, int32_t *ttlp) {
        struct address list[ADDRESSES_MAX];
        struct gaih_addrtuple *tuples;
        unsigned count, i;
        uint32_t ifindex;
        char *canonical;
        enum nss_status status = look_up(name, list, &count, &ifindex, errnop, h_errnop);

        if (status != NSS_STATUS_SUCCESS)
                return status;
        canonical = take_text(&buffer, &buflen, name, strlen(name));
        tuples = take(&buffer, &buflen, count * sizeof *tuples);
        if (!canonical || !tuples)
                return too_small(errnop, h_errnop);
        for (i = 0; i < count; i++) {
                memset(tuples + i, 0, sizeof *tuples);
                tuples[i].next = i + 1 < count ? tuples + i + 1 : NULL;
                tuples[i].name = canonical;
                tuples[i].family = list[i].family;
                memcpy(tuples[i].addr, list[i].bytes, list[i].family == AF_INET ? 4 : 16);
                tuples[i].scopeid = ifindex;
        }
        /* The caller may pass the first tuple. */
        if (*pat)
                **pat = tuples[0];
        else
                *pat = tuples;
        if (ttlp)
                *ttlp = 0;
        *h_errnop = NETDB_SUCCESS;
        return NSS_STATUS_SUCCESS;
}

PUBLIC enum nss_status _nss_mymachines_gethostbyname3_r(const char *name, int af, struct hostent *host, char *buffer,
                                                        size_t buflen, int *errnop, int *h_errnop, int32_t *ttlp,
                                                        char **canonp) {
        struct address list[ADDRESSES_MAX];
        unsigned count, i, used = 0;
        uint32_t ifindex;
        char *canonical, **pointers;
        size_t length;
        enum nss_status status;

        if (af == AF_UNSPEC)
                af = AF_INET;
        if (af != AF_INET && af != AF_INET6) {
                *errnop = EAFNOSUPPORT;
                *h_errnop = NO_DATA;
                return NSS_STATUS_UNAVAIL;
        }
        length = af == AF_INET ? 4 : 16;
        status = look_up(name, list, &count, &ifindex, errnop, h_errnop);
        if (status != NSS_STATUS_SUCCESS)
                return status;
        canonical = take_text(&buffer, &buflen, name, strlen(name));
        pointers = take(&buffer, &buflen, (count + 2) * sizeof *pointers);
        if (!canonical || !pointers)
                return too_small(errnop, h_errnop);
        for (i = 0; i < count; i++) {
                if (list[i].family != af)
                        continue;
                pointers[used] = take(&buffer, &buflen, length);
                if (!pointers[used])
                        return too_small(errnop, h_errnop);
                memcpy(pointers[used++], list[i].bytes, length);
        }
        if (used == 0) {
                *h_errnop = HOST_NOT_FOUND;
                return NSS_STATUS_NOTFOUND;
        }
        pointers[used] = NULL;
        pointers[count + 1] = NULL;
        host->h_name = canonical;
        host->h_aliases = pointers + count + 1;
        host->h_addrtype = af;
        host->h_length = (int) length;
        host->h_addr_list = pointers;
        if (ttlp)
                *ttlp = 0;
        if (canonp)
                *canonp = canonical;
        *h_errnop = NETDB_SUCCESS;
        return NSS_STATUS_SUCCESS;
}

PUBLIC enum nss_status _nss_mymachines_gethostbyname2_r(const char *name, int af, struct hostent *host, char *buffer,
                                                        size_t buflen, int *errnop, int *h_errnop) {
        return _nss_mymachines_gethostbyname3_r(name, af, host, buffer, buflen, errnop, h_errnop, NULL, NULL);
}

PUBLIC enum nss_status _nss_mymachines_gethostbyname_r(const char *name, struct hostent *host, char *buffer,
                                                       size_t buflen, int *errnop, int *h_errnop) {
        return _nss_mymachines_gethostbyname3_r(name, AF_INET, host, buffer, buflen, errnop, h_errnop, NULL, NULL);
}

/* Queries a user or group; sets `text` to the words of the answer after its kind. */
static enum nss_status ask_id(const char *key, const char *value, const char *kind, char *answer, const char **text,
                              int *errnop) {
        char request[128];
        size_t length;
        int saved = errno, r;

        if (!request_of(request, sizeof request, key, value, &length))
                return NSS_STATUS_NOTFOUND;
        r = ask(request, length, answer);
        errno = saved;
        /* Without a daemon there are no users of machines; another module may know the name. */
        if (r == ENOENT || r == ECONNREFUSED || (r == 0 && strcmp(answer, "NO\n") == 0))
                return NSS_STATUS_NOTFOUND;
        if (r != 0 || strncmp(answer, kind, 3) != 0) {
                *errnop = r != 0 ? r : EPROTO;
                return NSS_STATUS_UNAVAIL;
        }
        *text = answer + 3;
        return NSS_STATUS_SUCCESS;
}

/* Whether a name can be that of a machine's user ("vu-…") or group ("vg-…"); `letter` is u or g. */
static bool is_ours(const char *name, char letter) {
        size_t length = strnlen(name, USER_MAX_LENGTH + 1);

        return length <= USER_MAX_LENGTH && name[0] == 'v' && name[1] == letter && name[2] == '-' && !strchr(name, '\n');
}

static void decimal(char *out, uint32_t value) {
        char digits[10];
        unsigned n = 0;

        do
                digits[n++] = (char) ('0' + value % 10);
        while ((value /= 10) > 0);
        while (n > 0)
                *out++ = digits[--n];
        *out = 0;
}

static enum nss_status answer_user(const char *key, const char *value, struct passwd *pwd, char *buffer, size_t buflen,
                                   int *errnop) {
        char answer[ANSWER_MAX];
        const char *p, *space, *end;
        uint64_t uid, gid;
        enum nss_status status = ask_id(key, value, "PW ", answer, &p, errnop);

        if (status != NSS_STATUS_SUCCESS)
                return status;
        space = strchr(p, ' ');
        if (space) {
                const char *rest = space + 1;
                if (number(&rest, ' ', UINT32_MAX - 1, &uid) && number(&rest, ' ', UINT32_MAX - 1, &gid) &&
                    (end = strchr(rest, '\n')) && end[1] == 0) {
                        pwd->pw_name = take_text(&buffer, &buflen, p, (size_t) (space - p));
                        pwd->pw_gecos = take_text(&buffer, &buflen, rest, (size_t) (end - rest));
                        pwd->pw_passwd = take_text(&buffer, &buflen, "x", 1);
                        pwd->pw_dir = take_text(&buffer, &buflen, "/", 1);
                        pwd->pw_shell = take_text(&buffer, &buflen, "/usr/sbin/nologin", 17);
                        if (!pwd->pw_name || !pwd->pw_gecos || !pwd->pw_passwd || !pwd->pw_dir || !pwd->pw_shell) {
                                *errnop = ERANGE;
                                return NSS_STATUS_TRYAGAIN;
                        }
                        pwd->pw_uid = (uid_t) uid;
                        pwd->pw_gid = (gid_t) gid;
                        return NSS_STATUS_SUCCESS;
                }
        }
        *errnop = EPROTO;
        return NSS_STATUS_UNAVAIL;
}

static enum nss_status answer_group(const char *key, const char *value, struct group *grp, char *buffer, size_t buflen,
                                    int *errnop) {
        char answer[ANSWER_MAX];
        const char *p, *space, *rest;
        uint64_t gid;
        enum nss_status status = ask_id(key, value, "GR ", answer, &p, errnop);

        if (status != NSS_STATUS_SUCCESS)
                return status;
        space = strchr(p, ' ');
        rest = space ? space + 1 : NULL;
        if (!rest || !number(&rest, '\n', UINT32_MAX - 1, &gid) || *rest != 0) {
                *errnop = EPROTO;
                return NSS_STATUS_UNAVAIL;
        }
        grp->gr_name = take_text(&buffer, &buflen, p, (size_t) (space - p));
        grp->gr_passwd = take_text(&buffer, &buflen, "x", 1);
        grp->gr_mem = take(&buffer, &buflen, sizeof *grp->gr_mem);
        if (!grp->gr_name || !grp->gr_passwd || !grp->gr_mem) {
                *errnop = ERANGE;
                return NSS_STATUS_TRYAGAIN;
        }
        grp->gr_mem[0] = NULL;
        grp->gr_gid = (gid_t) gid;
        return NSS_STATUS_SUCCESS;
}

PUBLIC enum nss_status _nss_mymachines_getpwnam_r(const char *name, struct passwd *pwd, char *buffer, size_t buflen,
                                                  int *errnop) {
        return is_ours(name, 'u') ? answer_user("USER", name, pwd, buffer, buflen, errnop) : NSS_STATUS_NOTFOUND;
}

/* Writes a user or group id as text; returns false for an id that no machine's user or group has. */
static bool machine_id_text(char text[11], uint32_t id) {
        if (id < FIRST_MACHINE_ID || id == UINT32_MAX)
                return false;
        decimal(text, id);
        return true;
}

PUBLIC enum nss_status _nss_mymachines_getpwuid_r(uid_t uid, struct passwd *pwd, char *buffer, size_t buflen,
                                                  int *errnop) {
        char text[11];

        if (!machine_id_text(text, uid))
                return NSS_STATUS_NOTFOUND;
        return answer_user("UID", text, pwd, buffer, buflen, errnop);
}

PUBLIC enum nss_status _nss_mymachines_getgrnam_r(const char *name, struct group *grp, char *buffer, size_t buflen,
                                                  int *errnop) {
        return is_ours(name, 'g') ? answer_group("GROUP", name, grp, buffer, buflen, errnop) : NSS_STATUS_NOTFOUND;
}

PUBLIC enum nss_status _nss_mymachines_getgrgid_r(gid_t gid, struct group *grp, char *buffer, size_t buflen,
                                                  int *errnop) {
        char text[11];

        if (!machine_id_text(text, gid))
                return NSS_STATUS_NOTFOUND;
        return answer_group("GID", text, grp, buffer, buflen, errnop);
}
