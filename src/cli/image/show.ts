// `machinectl show-image`: prints the properties of images, or of the manager, for scripts (machinectl(1),
// "show-image").

import { printProperties, show } from "../machine/show.ts";
import type { Session } from "../session/session.ts";
import { imageProperties } from "./details.ts";

/**
 * The verb `show-image`. With `--json=`, prints one object for each image; its keys are the D-Bus names of the
 * properties.
 */
export async function showImage(session: Session, names: readonly string[]): Promise<number> {
  if (names.length === 0) return show(session, []);
  await session.openPager();
  session.holdOutput();
  // Read while the daemon is asked.
  const zone = session.ports.zone();
  for (const [index, name] of names.entries()) {
    const properties = await imageProperties(session, name);
    printProperties(session, properties, { zone: await zone, separator: index === 0 ? "" : "\n" });
  }
  return 0;
}
