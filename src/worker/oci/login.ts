// The login of a push. The caller of a push and the user of this process may differ: a login that the caller passes is
// used for the registry that it names only, and the files of this process's user are read for that user only.
import { readSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import type { Credentials } from "../../oci/credentials.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";
import type { RegistryUse } from "./registry.ts";

const LOGIN_LIMIT_BYTES = 256 << 10;
const STDIN = 0;

/** Returns the source of a push's login, for OciRegistry. Throws EINVAL where standard input has no login. */
export function loginOf({ credentials }: Pick<WorkerOptions, "credentials">): Pick<RegistryUse, "credentials"> {
  if (credentials === "own") return {};
  if (credentials === "none") return { credentials: async () => null };
  const login = readLogin(readInput());
  return {
    credentials: async ({ registry }) => {
      if (registry === login.registry) return login;
      log("warning", `The login that was passed is for '${login.registry}', not for '${registry}'.`);
      return null;
    },
  };
}

function readInput(): Buffer {
  const bytes = Buffer.alloc(LOGIN_LIMIT_BYTES);
  let size = 0;
  for (let count = -1; count !== 0 && size < bytes.length; size += count) {
    count = readSync(STDIN, bytes, size, bytes.length - size, null);
  }
  return bytes.subarray(0, size);
}

/** Parses a login that the daemon passes. Throws EINVAL for any other text; the error contains no part of it. */
function readLogin(bytes: Buffer): Credentials & { readonly registry: string } {
  let value: unknown = null;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    // Refused below, as a value that is no login.
  }
  const { registry, user, password } = (value ?? {}) as Record<string, unknown>;
  if (typeof registry !== "string" || typeof user !== "string" || typeof password !== "string")
    throw new ErrnoError("EINVAL", "Standard input has no login for a registry.");
  return { registry, user, password };
}
