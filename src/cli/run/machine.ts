// The hidden verb that is executed in the unit of a machine of `run`. `run-machine` (ExecStart=) inspects the image,
// writes what it has found to a file for the client, and executes systemd-nspawn or systemd-vmspawn. If the machine
// lives for one command only, that is a child process, which is ended when the client ends.

import { renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ImageType } from "../../base/vocabulary/image-class.ts";
import { enterProgram } from "../../exec/helper.ts";
import { openPath } from "../../kernel/file/fd.ts";
import { readFileIn } from "../../kernel/file/regular-file.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import { replaceProcess } from "../../kernel/process/replace-process.ts";
import { unlessErrno } from "../../kernel/syscall/sys.ts";
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { cloneImage, runtimeDirectory } from "./clone.ts";
import { type ImageSettings, parseImageSettings } from "./image-settings.ts";
import { type ImagePlace, ImageTree, ROOT } from "./image-tree.ts";
import { nspawnArguments } from "./nspawn.ts";
import { type RunFacts, type RunOrder, unpackOrder } from "./order.ts";
import { vmspawnArguments } from "./vmspawn.ts";

/** In the order in which systemd-nspawn(1) looks for them. */
const INITS = ["usr/lib/systemd/systemd", "lib/systemd/systemd", "sbin/init"];
/** Where the administrator's settings are, which systemd-nspawn trusts. */
const SETTINGS_DIRECTORIES = ["/etc/systemd/nspawn", "/run/systemd/nspawn"];
const SETTINGS_LIMIT_BYTES = 1 << 20;
const NSPAWN = "systemd-nspawn";
const VMSPAWN = "systemd-vmspawn";

async function placeOf(session: Session, name: string): Promise<ImagePlace> {
  const { image } = await attempt(`Cannot find image '${name}'`, () => session.manager("GetImage", { name }));
  const properties = await session.properties(image);
  const text = (property: string) => String(properties.get(property)?.value ?? "");
  return { path: text("Path"), type: text("Type") as ImageType }; // one of the words of the interface
}

/** Parses the settings file in the directory of the image; empty settings if there is none. */
function settingsBeside(path: string, image: string): ImageSettings {
  const read = () => {
    using directory = openPath(dirname(path), "directory");
    return readFileIn(directory, `${image}.nspawn`, SETTINGS_LIMIT_BYTES).toString();
  };
  return parseImageSettings(unlessErrno(read, "", "ENOENT"));
}

/**
 * Whether to boot the image. `Boot=yes` in its settings decides, and for disk images, which are not inspected (`tree`
 * is null), also `Boot=no`. Other images boot if their program is an init, or if they name no program and contain an
 * init; `pull-oci` writes `Boot=no` for each of them.
 */
function bootsImage({ boots, command }: ImageSettings, tree: ImageTree | null): boolean {
  if (boots === true || tree === null) return boots !== false;
  const [program] = command;
  const isInit = program !== undefined && command.length === 1 && INITS.includes(program.replace(/^\//, ""));
  return isInit || (program === undefined && INITS.some((path) => tree.has(path)));
}

/** Writes the facts for the client, by rename(2), so that the client cannot read a part of them. */
function writeFacts(directory: string, facts: RunFacts): void {
  const path = join(directory, "facts.json");
  writeFileSync(`${path}.new`, JSON.stringify(facts), { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

/**
 * Writes the helper program that is process 1 or 2 of a machine without an init: it waits while commands are run, or
 * changes to a user and executes the image's program. Returns its path.
 */
async function putKeeper(directory: string): Promise<string> {
  const program = enterProgram();
  if (program === null)
    throw new Failure("This build cannot run images without an init: its helper program was not built (no C compiler)");
  const path = join(directory, "keeper");
  // Not by Bun.write(), which loses the mode where the source is a file.
  writeFileSync(path, await program.bytes(), { mode: 0o755 });
  return path;
}

/**
 * Returns the environment of the runner. It lacks $RUNTIME_DIRECTORY, where systemd-nspawn would leave mounts when it
 * is killed. The runner logs to its standard error: of a message to the journal's own socket, journald learns the unit
 * from the sender's process, which may have ended by then, and `run` looks for the reason of a failure by the unit.
 * The level of the messages is lost: journald does not understand the prefix that systemd's programs write.
 */
function runnerEnvironment({ ports }: Session): Readonly<Record<string, string | undefined>> {
  const { RUNTIME_DIRECTORY: _, JOURNAL_STREAM: __, ...env } = ports.env;
  return { SYSTEMD_LOG_TARGET: "console", ...env };
}

/**
 * Runs the runner as a child process and returns its exit status. Sends SIGTERM to it on SIGTERM, and when the pipe on
 * descriptor 0 ends, which the client holds open; only once, because at a second SIGTERM systemd-vmspawn no longer
 * waits for the shutdown.
 */
async function supervise(session: Session, program: string, args: readonly string[]): Promise<number> {
  const env = runnerEnvironment(session);
  const child = await attempt(`Cannot execute '${program}'`, async () =>
    Bun.spawn([program, ...args], { stdio: ["ignore", "inherit", "inherit"], env }),
  );
  let isAsked = false;
  const end = () => {
    if (!isAsked) child.kill("SIGTERM");
    isAsked = true;
  };
  process.on("SIGTERM", end);
  // The client writes nothing to the pipe; the read returns when the client has ended.
  void Bun.stdin.text().then(end, end);
  await child.exited;
  return child.exitCode ?? 1;
}

/** A program with its arguments. */
interface Runnable {
  readonly program: string;
  readonly args: readonly string[];
}

/** Writes the facts of a virtual machine, which boots whatever the image has, and returns its command. */
async function virtualMachine(session: Session, order: RunOrder, place: ImagePlace): Promise<Runnable> {
  const program = programPath(VMSPAWN);
  if (program === null) throw new Failure("Cannot run virtual machines: systemd-vmspawn(1) is not installed");
  const help = (await session.ports.run({ argv: [program, "--help", "--no-pager"] })) ?? "";
  const hasVsock = session.ports.isThere("/dev/vhost-vsock");
  const args = vmspawnArguments(order, place, { help, hasVsock });
  const nothing = { command: [], user: null, directory: null, environment: [] };
  writeFacts(runtimeDirectory(session), { type: place.type, boots: true, ...nothing });
  return { program, args };
}

/** Inspects the image of a container, writes the facts, and returns its command; `beside` is where its settings are. */
async function container(session: Session, order: RunOrder, place: ImagePlace, beside: string): Promise<Runnable> {
  const program = programPath(NSPAWN);
  if (program === null) throw new Failure("Cannot run containers: systemd-nspawn(1) is not installed");
  const directory = runtimeDirectory(session);
  const settings = settingsBeside(beside, order.image);
  // Null for disk images.
  using tree = ImageTree.open(place);
  const boots = bootsImage(settings, tree);
  const { command, user, directory: workingDirectory, environment } = settings;
  writeFacts(directory, { type: place.type, boots, command, user, directory: workingDirectory, environment });
  const keeper = boots ? "" : await putKeeper(directory);
  const account = tree?.accountOf(settings.user ?? "0") ?? ROOT;
  const isConfigured = SETTINGS_DIRECTORIES.some((path) =>
    session.ports.isThere(join(path, `${order.machine}.nspawn`)),
  );
  const hasManagedUsers = session.ports.isThere("/run/systemd/io.systemd.NamespaceResource");
  const args = nspawnArguments(order, place, settings, { boots, keeper, account, isConfigured, hasManagedUsers });
  return { program, args };
}

/** The verb `run-machine`. */
export async function runMachine(session: Session, [packed = ""]: readonly string[]): Promise<number> {
  const order = unpackOrder(packed);
  const original = await placeOf(session, order.image);
  if (order.isTemporary) await cloneImage(session, order, original);
  const place = order.isTemporary ? await placeOf(session, order.machine) : original;
  const isVirtual = order.runner === "vmspawn";
  const { program, args } = await (isVirtual
    ? virtualMachine(session, order, place)
    : container(session, order, place, original.path));
  if (order.hasCommand) return supervise(session, program, args);
  await session.close();
  const variables = Object.entries(runnerEnvironment(session)).map(([name, value]) => `${name}=${value ?? ""}`);
  return attempt(`Cannot execute '${program}'`, async () =>
    replaceProcess(program, [basename(program), ...args], variables),
  );
}
