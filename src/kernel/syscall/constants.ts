// Flags and errno values of the kernel that more than one file uses: fcntl.h, linux/openat2.h, linux/stat.h,
// sys/socket.h, errno.h. `arm` selects the value where the two architectures differ.

const arm = process.arch === "arm64";

// open(2), openat2(2), fcntl(F_GETFL)
export const O_WRONLY = 0x1;
export const O_RDWR = 0x2;
export const O_ACCMODE = 0x3;
export const O_CREAT = 0x40;
export const O_EXCL = 0x80;
export const O_NOCTTY = 0x100;
export const O_APPEND = 0x400;
export const O_NONBLOCK = 0x800;
export const O_DIRECTORY = arm ? 0x4000 : 0x10000;
export const O_NOFOLLOW = arm ? 0x8000 : 0x20000;
export const O_LARGEFILE = arm ? 0x20000 : 0x8000;
export const O_CLOEXEC = 0x80000;
export const O_PATH = 0x200000;
export const O_TMPFILE = 0x400000 | O_DIRECTORY;

export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const RESOLVE_IN_ROOT = 0x10;
export const RESOLVE_CACHED = 0x20;

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;
export const AT_STATX_DONT_SYNC = 0x4000;
export const AT_RECURSIVE = 0x8000;

export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;
export const F_SETPIPE_SZ = 1031;
export const F_GETPIPE_SZ = 1032;
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;

/** lseek(2). */
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

/** renameat2(2): fail with EEXIST where the new name exists. */
export const RENAME_NOREPLACE = 1;

export const STATX_TYPE = 0x1;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
export const STATX_MNT_ID = 0x1000;

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_NETLINK = 16;
export const SOL_SOCKET = 1;
/** SOCK_NONBLOCK and SOCK_CLOEXEC, whose values are those of the flags of open(2). */
export const SOCK_NONBLOCK_CLOEXEC = O_NONBLOCK | O_CLOEXEC;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

export const CLONE_NEWNS = 0x20000;
export const PR_SET_PDEATHSIG = 1;
export const PR_GET_DUMPABLE = 3;
export const PR_SET_DUMPABLE = 4;
export const PR_SET_NAME = 15;

// The results of failed system calls: negative error numbers.
export const EPERM = -1;
export const ENOENT = -2;
export const EINTR = -4;
export const ENXIO = -6;
export const E2BIG = -7;
export const EBADF = -9;
export const EAGAIN = -11;
export const EACCES = -13;
export const EEXIST = -17;
export const EXDEV = -18;
export const ENODEV = -19;
export const ENOTDIR = -20;
export const EINVAL = -22;
export const ENOTTY = -25;
export const ETXTBSY = -26;
export const ENOSPC = -28;
export const EROFS = -30;
export const EMLINK = -31;
export const ERANGE = -34;
export const ENAMETOOLONG = -36;
export const ENOSYS = -38;
export const ELOOP = -40;
export const ENODATA = -61;
export const ENOPROTOOPT = -92;
export const EOPNOTSUPP = -95;
export const ECONNABORTED = -103;
export const ENOBUFS = -105;
