// The login of a push. The caller of a push and the user of this process may differ: a login that the caller passes is
// used for the registry that it names only, and the files of this process's user are read for that user only.
import { ErrnoError } from "../../base/error.ts";
import type { Credentials } from "../../oci/credentials.ts";
import { log } from "../program/log.ts";
import { readLoginInput } from "../program/login-input.ts";
import type { WorkerOptions } from "../program/options.ts";
import type { RegistryUse } from "./registry.ts";

/** Returns the source of a push's login, for OciRegistry. Throws EINVAL where standard input has no login. */
export function loginOf({ credentials }: Pick<WorkerOptions, "credentials">): Pick<RegistryUse, "credentials"> {
  if (credentials === "own") return {};
  if (credentials === "none") return { credentials: async () => null };
  const login = readLogin();
  return {
    credentials: async ({ registry }) => {
      if (registry === login.registry) return login;
      log("warning", `The login that was passed is for '${login.registry}', not for '${registry}'.`);
      return null;
    },
  };
}

/** Reads the login that the daemon passes. Throws EINVAL for any other text; the error contains no part of it. */
function readLogin(): Credentials & { readonly registry: string } {
  const { registry, user, password } = readLoginInput();
  if (typeof registry !== "string" || typeof user !== "string" || typeof password !== "string")
    throw new ErrnoError("EINVAL", "Standard input has no login for a registry.");
  return { registry, user, password };
}
