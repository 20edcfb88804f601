// `machinectl enable` and `disable`: selects which images are started at boot (machinectl(1), "enable").
import { startPolkitAgent } from "../session/agents.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { checkImage, hasImage, NoSuchImage, unitOf } from "./units.ts";

/** The target that pulls in the units of images at boot. */
const TARGET = "machines.target";

/**
 * One change of EnableUnitFiles() or DisableUnitFiles(): its kind, the file, and the target of a symbolic link; or what
 * is wrong, with the names of units.
 */
type Change = readonly [kind: string, file: string, source: string];

/** Prints a line about one change. */
function printChange(session: Session, [kind, file, source]: Change): void {
  const { report, terminal } = session;
  if (kind === "symlink") report.info(`Created symlink '${file}' ${terminal.glyphs.arrow} '${source}'.`);
  else if (kind === "unlink") report.info(`Removed '${file}'.`);
  else if (kind === "masked") report.info(`Unit ${file} is masked, ignoring.`);
  else if (kind === "dangling") report.info(`Unit ${file} is an alias to a unit that is not present, ignoring.`);
  else if (kind === "destination not present") {
    report.warning(`Unit ${source} is added as a dependency to a non-existent unit ${file}.`);
  } else if (kind === "auxiliary unit failed") report.warning(`Failed to enable auxiliary unit ${file}, ignoring.`);
}

/** Changes unit files by calling `make`, prints the changes, and reloads the service manager. */
async function change(
  session: Session,
  make: () => Promise<{ readonly changes: readonly Change[] }>,
): Promise<readonly Change[]> {
  const { changes } = await attempt("Failed to enable or disable unit", make);
  if (!session.settings.quiet) for (const row of changes) printChange(session, row);
  await attempt("Failed to reload service manager", () => session.serviceManager("Reload", {}));
  return changes;
}

/** Checks that the images exist and returns their units. */
async function unitsOf(session: Session, names: readonly string[]): Promise<string[]> {
  await startPolkitAgent(session);
  for (const name of names) await checkImage(session, name);
  return names.map((name) => unitOf(session, name));
}

/** The verb `enable`; with --now the images are also started. All names are checked before anything is changed. */
export async function enable(session: Session, names: readonly string[]): Promise<number> {
  const units = await unitsOf(session, names);
  const args = { files: [TARGET, ...units], runtime: false, force: false };
  await change(session, () => session.serviceManager("EnableUnitFiles", args));
  return session.settings.now ? (await import("./start.ts")).start(session, names) : 0;
}

/**
 * The verb `disable`; with --now the machines are also powered off. A unit that stayed enabled after its image was
 * removed can be disabled, too; a name without an image and without an enabled unit is an error.
 */
export async function disable(session: Session, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  const absent: string[] = [];
  for (const name of names) if (!(await hasImage(session, name))) absent.push(name);
  const args = { files: names.map((name) => unitOf(session, name)), runtime: false };
  const changes = await change(session, () => session.serviceManager("DisableUnitFiles", args));
  for (const name of absent) {
    const unit = unitOf(session, name);
    if (!changes.some(([, file]) => file.endsWith(`/${unit}`))) throw new NoSuchImage(name);
  }
  return session.settings.now ? (await import("../machine/power.ts")).powerOff(session, names) : 0;
}
