// The paths of the daemon's sockets and images. MACHINED_RUNTIME_DIRECTORY moves the sockets, MACHINED_IMAGE_ROOT the
// images, for a run beside another daemon.
import { join } from "node:path";
import { type ImageClass, imagePool } from "../base/vocabulary/image-class.ts";
import { type ScopeKind, userRuntimeDirectory } from "../daemon/scope.ts";
import { stateDirectory } from "../kernel/process/account.ts";

export interface Paths {
  /** D-Bus between two peers, for clients on hosts without a bus. */
  readonly privateBus: string;
  readonly varlink: string;
  /** The lock of the daemon that serves on these paths. */
  readonly lock: string;
  /** The Varlink socket of the machine manager, to which transfers are reported. */
  readonly machines: string;
  /** The socket that workers report to (sd_notify(3)). */
  readonly notify: string;
  /** Returns the directory in which new images of a class are made. */
  imageRoot(imageClass: ImageClass): string;
  /** The prefix of all directories of images. */
  readonly imagePrefix: string;
  /**
   * Whether this runs beside the host's daemon: it uses no service manager, and a bus only where the environment names
   * one.
   */
  readonly isPrivate: boolean;
  /** Whether the images are not in the directories that worker programs use by default. */
  readonly imagesMoved: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the paths of a scope. Throws an error with errno where the user has no runtime directory. */
export function pathsOf(scope: ScopeKind, env: Environment = process.env): Paths {
  const moved = env["MACHINED_RUNTIME_DIRECTORY"];
  const base = moved || (scope === "user" ? join(userRuntimeDirectory(env), "systemd") : "/run/systemd");
  const images = env["MACHINED_IMAGE_ROOT"];
  const state = scope === "user" ? stateDirectory(env) : "/var/lib";
  return {
    privateBus: join(base, "import/private"),
    lock: join(base, "import/lock"),
    varlink: join(base, "io.systemd.Import"),
    machines: join(base, "machine/io.systemd.Machine"),
    notify: join(base, "import/notify"),
    imageRoot: (imageClass) => join(images || "/", imagePool(imageClass, state)),
    isPrivate: Boolean(moved),
    imagePrefix: images || "/",
    imagesMoved: Boolean(images),
  };
}
