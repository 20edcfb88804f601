// The user who runs this process: the id from the kernel, name and home directory from the user database (getpwuid(3)).
// $USER and $LOGNAME are not used, because the caller of a program can set them to anything.

import { dlopen, FFIType } from "bun:ffi";
import { readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { unlessNoFile } from "../../base/absence.ts";
import { pin } from "../syscall/mem.ts";

export interface Account {
  readonly uid: number;
  /** The number in decimal digits where the user database does not have the user. */
  readonly name: string;
  /** `/` where the user database does not have the user. */
  readonly home: string;
}

/** Returns the account of the process's effective user. */
export function ownAccount(): Account {
  const uid = process.geteuid?.() ?? 0;
  return accountInFile(uid, "/etc/passwd") ?? accountOfLibrary(uid) ?? { uid, name: String(uid), home: "/" };
}

/**
 * Returns the home directory: $HOME where that is an absolute path, as in systemd-nspawn and other programs that look
 * for the same files; else that of the account.
 */
export function homeDirectory(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const home = env["HOME"];
  return home !== undefined && isAbsolute(home) ? home : ownAccount().home;
}

/**
 * Returns the account of a user from a passwd(5) file; null where the user is not in it, or there is no such file for
 * us.
 */
export function accountInFile(uid: number, path: string): Account | null {
  const text = unlessNoFile(() => readFileSync(path, "utf8"), "");
  for (const line of text.split("\n")) {
    const [name, , id, , , home] = line.split(":");
    if (name && id === String(uid)) return { uid, name, home: home || "/" };
  }
  return null;
}

const BUFFER_SIZE = 64 * 1024;
/** struct passwd of 64-bit systems: name, password, uid and gid, comment, home, shell. */
const PASSWD_SIZE = 48;
const [NAME_AT, HOME_AT] = [0, 32];

/** Returns the user's state directory: $XDG_STATE_HOME where that is an absolute path, else ~/.local/state. */
export function stateDirectory(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const state = env["XDG_STATE_HOME"];
  return state !== undefined && isAbsolute(state) ? state : join(homeDirectory(env), ".local/state");
}

/** Returns the user's directory of settings: $XDG_CONFIG_HOME where that is an absolute path, else ~/.config. */
export function configDirectory(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const config = env["XDG_CONFIG_HOME"];
  return config !== undefined && isAbsolute(config) ? config : join(homeDirectory(env), ".config");
}

/**
 * Returns the account from the C library's NSS modules (systemd-homed, LDAP); null where none has it, or on failure.
 */
export function accountOfLibrary(uid: number): Account | null {
  const record = pin(PASSWD_SIZE);
  const result = pin(8);
  const buffer = pin(BUFFER_SIZE);
  const { u32, u64, i32 } = FFIType;
  let library: { close(): void } | null = null;
  try {
    const libc = dlopen("libc.so.6", { getpwuid_r: { args: [u32, u64, u64, u64, u64], returns: i32 } });
    library = libc;
    const memory = [record.address, buffer.address, BUFFER_SIZE, result.address] as const;
    const failed = libc.symbols.getpwuid_r(uid, ...memory) !== 0;
    if (failed || result.view.getBigUint64(0, true) === 0n) return null;
    const textAt = (offset: number) => {
      const from = Number(record.view.getBigUint64(offset, true)) - buffer.address;
      return from >= 0 && from < BUFFER_SIZE ? buffer.bytes.toString("utf8", from, buffer.bytes.indexOf(0, from)) : "";
    };
    return { uid, name: textAt(NAME_AT) || String(uid), home: textAt(HOME_AT) || "/" };
  } catch {
    // No C library of that name, or no JIT for bun:ffi.
    return null;
  } finally {
    library?.close();
  }
}
