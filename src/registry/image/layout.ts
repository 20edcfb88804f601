// Where a host keeps images and their companions (systemd-nspawn(1), "Files and Directories").
import { join } from "node:path";
import { IMAGE_SEARCH_PATHS, imagePool } from "../../base/vocabulary/image-class.ts";
import { configDirectory, homeDirectory, stateDirectory } from "../../kernel/process/account.ts";

export interface ImageLayout {
  /** The directories that are searched for images, in order. */
  readonly searchPath: readonly string[];
  /** Whether the host's own tree is an image, `.host`. */
  readonly hasHost: boolean;
  /** Where new images are put. */
  readonly pool: string;
  /** The directory of the lock files that containers and other tools of this host use, too; null for no locking. */
  readonly locks: string | null;
  /** Directories of `.nspawn` files, beside those next to the images. */
  readonly settings: readonly string[];
}

/** The layout of the whole system. */
export const SYSTEM_LAYOUT: ImageLayout = {
  searchPath: IMAGE_SEARCH_PATHS.machine,
  hasHost: true,
  pool: imagePool("machine"),
  locks: "/run/systemd/nspawn/locks",
  settings: ["/etc/systemd/nspawn", "/run/systemd/nspawn"],
};

/** Returns the layout of the whole system below another root, for a daemon that must not touch the host's images. */
export function layoutBelow(root: string): ImageLayout {
  const below = (path: string) => join(root, path);
  return {
    searchPath: SYSTEM_LAYOUT.searchPath.map(below),
    hasHost: true,
    pool: below(SYSTEM_LAYOUT.pool),
    locks: below("/run/systemd/nspawn/locks"),
    settings: SYSTEM_LAYOUT.settings.map(below),
  };
}

/** Returns the layout of one user (systemd-nspawn(1), "--user"). `runtime` is that user's runtime directory. */
export function userLayout(runtime: string): ImageLayout {
  const home = homeDirectory();
  const pool = imagePool("machine", stateDirectory());
  return {
    searchPath: [join(runtime, "machines"), pool, join(home, ".local/lib/machines")],
    hasHost: false,
    pool,
    locks: join(runtime, "systemd/nspawn/locks"),
    settings: [join(configDirectory(), "systemd/nspawn")],
  };
}
