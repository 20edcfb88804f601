// Compares the structures and constants of the kernel layer with those of the system's headers.
import { expect, test } from "bun:test";
import { runC } from "../support.ts";

const INCLUDES = `
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <fcntl.h>
#include <poll.h>
#include <dirent.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <linux/if_addr.h>
#include <linux/mount.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
`;

const arm = process.arch === "arm64";

/** C expression → the number in src/kernel. */
const EXPECTED: Record<string, number> = {
  "sizeof(struct iovec)": 16,
  "offsetof(struct iovec, iov_len)": 8,
  "sizeof(struct msghdr)": 56,
  "offsetof(struct msghdr, msg_namelen)": 8,
  "offsetof(struct msghdr, msg_iov)": 16,
  "offsetof(struct msghdr, msg_iovlen)": 24,
  "offsetof(struct msghdr, msg_control)": 32,
  "offsetof(struct msghdr, msg_controllen)": 40,
  "offsetof(struct msghdr, msg_flags)": 48,
  "sizeof(struct cmsghdr)": 16,
  "offsetof(struct cmsghdr, cmsg_level)": 8,
  "offsetof(struct cmsghdr, cmsg_type)": 12,
  "CMSG_SPACE(253 * sizeof(int))": 1032,
  "sizeof(struct ucred)": 12,
  "offsetof(struct sockaddr_un, sun_path)": 2,
  "sizeof(struct sockaddr_un)": 110,
  "sizeof(struct epoll_event)": arm ? 16 : 12,
  "offsetof(struct epoll_event, data)": arm ? 8 : 4,
  "sizeof(struct pollfd)": 8,
  "offsetof(struct pollfd, events)": 4,
  "sizeof(struct open_how)": 24,
  "offsetof(struct open_how, resolve)": 16,
  "sizeof(struct statx)": 256,
  "offsetof(struct statx, stx_attributes)": 8,
  "offsetof(struct statx, stx_nlink)": 16,
  "offsetof(struct statx, stx_uid)": 20,
  "offsetof(struct statx, stx_gid)": 24,
  "offsetof(struct statx, stx_mode)": 28,
  "offsetof(struct statx, stx_ino)": 32,
  "offsetof(struct statx, stx_size)": 40,
  "offsetof(struct statx, stx_blocks)": 48,
  "offsetof(struct statx, stx_btime)": 80,
  "offsetof(struct statx, stx_ctime)": 96,
  "offsetof(struct statx, stx_mtime)": 112,
  "offsetof(struct statx, stx_rdev_major)": 128,
  "offsetof(struct statx, stx_dev_major)": 136,
  "offsetof(struct statx, stx_mnt_id)": 144,
  "sizeof(struct statfs)": 120,
  "offsetof(struct statfs, f_bsize)": 8,
  "offsetof(struct statfs, f_blocks)": 16,
  "offsetof(struct statfs, f_bfree)": 24,
  "offsetof(struct statfs, f_bavail)": 32,
  "offsetof(struct dirent64, d_reclen)": 16,
  "offsetof(struct dirent64, d_type)": 18,
  "offsetof(struct dirent64, d_name)": 19,
  "offsetof(struct inotify_event, len)": 12,
  "sizeof(struct inotify_event)": 16,
  "sizeof(struct nlmsghdr)": 16,
  "sizeof(struct sockaddr_nl)": 12,
  "offsetof(struct sockaddr_nl, nl_pid)": 4,
  "offsetof(struct sockaddr_nl, nl_groups)": 8,
  "sizeof(struct ifaddrmsg)": 8,
  "offsetof(struct ifaddrmsg, ifa_index)": 4,
  "sizeof(struct ndmsg)": 12,
  "offsetof(struct ndmsg, ndm_ifindex)": 4,
  "offsetof(struct ndmsg, ndm_state)": 8,
  "sizeof(struct rtattr)": 4,
  "sizeof(struct ifreq)": 40,
  "offsetof(struct ifreq, ifr_ifindex)": 16,
  "sizeof(struct winsize)": 8,
  "sizeof(struct mount_attr)": 32,
  "offsetof(struct mount_attr, attr_clr)": 8,
  "offsetof(struct mount_attr, propagation)": 16,
  O_DIRECTORY: arm ? 0x4000 : 0x10000,
  O_NOFOLLOW: arm ? 0x8000 : 0x20000,
  O_CLOEXEC: 0x80000,
  O_PATH: 0x200000,
  O_APPEND: 0x400,
  O_NONBLOCK: 0x800,
  O_NOCTTY: 0x100,
  RESOLVE_NO_MAGICLINKS: 0x02,
  RESOLVE_NO_SYMLINKS: 0x04,
  RESOLVE_BENEATH: 0x08,
  RESOLVE_IN_ROOT: 0x10,
  F_DUPFD_CLOEXEC: 1030,
  AT_EMPTY_PATH: 0x1000,
  AT_RECURSIVE: 0x8000,
  EPOLLRDHUP: 0x2000,
  "(unsigned)EPOLLET": 0x80000000,
  EPOLLONESHOT: 0x40000000,
  SO_PASSCRED: 16,
  SO_PEERCRED: 17,
  SO_ACCEPTCONN: 30,
  SO_PEERSEC: 31,
  SO_SNDBUFFORCE: 32,
  SO_RCVBUFFORCE: 33,
  SO_DOMAIN: 39,
  SO_PEERGROUPS: 59,
  MSG_CTRUNC: 0x8,
  MSG_TRUNC: 0x20,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  MSG_CMSG_CLOEXEC: 0x40000000,
  IN_MASK_ADD: 0x20000000,
  IN_IGNORED: 0x8000,
  IN_Q_OVERFLOW: 0x4000,
  IN_UNMOUNT: 0x2000,
  TIOCSPTLCK: 0x40045431,
  TIOCGPTN: 0x80045430,
  TIOCGPTPEER: 0x5441,
  TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414,
  TCGETS: 0x5401,
  TCSETSW: 0x5403,
  NS_GET_PARENT: 0xb702,
  NS_GET_OWNER_UID: 0xb704,
  RTM_GETADDR: 22,
  RTM_NEWADDR: 20,
  RTM_GETNEIGH: 30,
  RTM_NEWNEIGH: 28,
  "NLM_F_REQUEST | NLM_F_DUMP": 0x301,
  NLM_F_DUMP_INTR: 0x10,
  RTMGRP_IPV4_IFADDR: 0x10,
  RTMGRP_IPV6_IFADDR: 0x100,
  IFA_FLAGS: 8,
  SIOCGIFNAME: 0x8910,
  MOUNT_ATTR_RDONLY: 1,
  MOUNT_ATTR_NOSUID: 2,
  MOUNT_ATTR_NODEV: 4,
  MOUNT_ATTR_NOEXEC: 8,
  MOUNT_ATTR_NOSYMFOLLOW: 0x200000,
  MOVE_MOUNT_F_EMPTY_PATH: 0x04,
  MOVE_MOUNT_T_EMPTY_PATH: 0x40,
  OPEN_TREE_CLONE: 1,
};

test("structures and constants equal those of the system's headers", () => {
  const prints = Object.keys(EXPECTED).map((name) => `printf("%lld\\n", (long long)(${name}));`);
  const printed = runC(`${INCLUDES}\nint main(void) {\n${prints.join("\n")}\n}\n`);
  if (printed === null) return;
  const values = printed.trim().split("\n").map(Number);
  expect(Object.fromEntries(Object.keys(EXPECTED).map((name, index) => [name, values[index]]))).toEqual(EXPECTED);
});
