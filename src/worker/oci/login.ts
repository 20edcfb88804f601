// The login that a push may use. Who asks for a push is not always who runs it: what a caller passes is for the registry that
// the caller meant, and the files of this process's own user are opened for that user alone.
import { readSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import type { Credentials } from "../../oci/credentials.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";
import type { RegistryUse } from "./registry.ts";

const LOGIN_LIMIT_BYTES = 256 << 10;
const STDIN = 0;

/** Where a push has its login from. EINVAL where standard input has none. */
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

/** A login as the daemon passes it. EINVAL for anything else; the error repeats nothing of it. */
function readLogin(bytes: Buffer): Credentials & { readonly registry: string } {
  let value: unknown = null;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    // Treated like any other value that is none.
  }
  const { registry, user, password } = (value ?? {}) as Record<string, unknown>;
  if (typeof registry !== "string" || typeof user !== "string" || typeof password !== "string")
    throw new ErrnoError("EINVAL", "Standard input has no login for a registry.");
  return { registry, user, password };
}
