// The directory of the lock files that containers, image tools and machined use.
import { join } from "node:path";
import { layoutBelow, SYSTEM_LAYOUT } from "../../registry/image/layout.ts";

/** $MACHINED_IMAGE_ROOT moves the images and their locks, for a run beside the host's daemons. */
export function movedRoot(): string | null {
  return process.env["MACHINED_IMAGE_ROOT"] || null;
}

/**
 * Returns the directory of lock files of a scope; null where nothing is locked: with $SYSTEMD_NSPAWN_LOCK=0, and for
 * users without a runtime directory.
 */
export function lockDirectoryOf(scope: "system" | "user"): string | null {
  if (process.env["SYSTEMD_NSPAWN_LOCK"] === "0") return null;
  const moved = movedRoot();
  if (moved !== null) return layoutBelow(moved).locks;
  if (scope === "system") return SYSTEM_LAYOUT.locks;
  const runtime = process.env["XDG_RUNTIME_DIR"];
  return runtime?.startsWith("/") ? join(runtime, "systemd/nspawn/locks") : null;
}
