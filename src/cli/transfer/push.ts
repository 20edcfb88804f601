// The verb `push-oci`, which calls io.machined.Import.PushOci of this project's systemd-importd. The credentials for
// the registry are read here, with the permissions of the caller, because the daemon must not open files for its
// callers.
import { dirname } from "node:path";
import { IoMachinedImport } from "../../api/varlink/io-machined-import.ts";
import { ERRORS, errnoNameOf } from "../../base/error.ts";
import { LAYER_COMPRESSIONS } from "../../base/vocabulary/compression.ts";
import { isPushReference, parseOciReference } from "../../base/vocabulary/oci-reference.ts";
import { VarlinkError } from "../../ipc/varlink/client.ts";
import { credentialsFor } from "../../oci/credentials.ts";
import { resolveReference } from "../../oci/reference.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { Failure, failed, reasonOf } from "../session/failure.ts";
import type { Varlink } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory, meansLocalSockets } from "../session/target.ts";
import { type FollowedReply, followReplies } from "./follow.ts";
import { exportName } from "./names.ts";
import { classOf } from "./transfer.ts";

const { action } = IoMachinedImport.methods.PushOci.access;
const UNKNOWN = ["org.varlink.service.MethodNotFound", "org.varlink.service.InterfaceNotFound"];
const UNABLE = "The transfer daemon of this host cannot push images";
const HINT = "It is the distribution's, or an older version: 'machined install --now' installs one that can.";

const THERE = "Run it without -M, on the host that has the image; -H HOST does that over ssh.";

const REFUSALS: Readonly<Record<string, string>> = {
  [ERRORS.AccessDenied.varlink]: `access denied by polkit (action ${action})`,
  [ERRORS.InteractiveAuthorizationRequired.varlink]:
    "access denied: interactive authentication is required, for which there is no agent, or which --no-ask-password forbids",
  [ERRORS.TransferInProgress.varlink]: "another push to that name is running, see 'importctl list-transfers'",
};
const ENDS: readonly string[] = [ERRORS.TransferFailed.varlink, ERRORS.TransferCancelled.varlink];

/**
 * Returns the path of the transfer daemon's Varlink socket. Throws a Failure if the settings name another host or bus.
 */
function socketOf({ settings, ports }: Session): string {
  const directory = meansLocalSockets(settings, ports.env) ? managerDirectory(settings.scope, ports.env) : null;
  if (directory === null)
    throw new Failure("Images can be pushed by the transfer daemon of this host only", { hint: THERE });
  return `${dirname(directory)}/io.systemd.Import`;
}

interface Login {
  readonly registry: string;
  readonly user: string;
  readonly password: string;
}

/** Returns the credentials from the caller's files for the registry of a reference; undefined if there are none. */
async function loginFor(session: Session, reference: string): Promise<Login | undefined> {
  const parsed = parseOciReference(reference);
  if (parsed === undefined) return undefined;
  const { registry, image } = await resolveReference(parsed);
  const found = await credentialsFor(registry, image, (text) => session.report.log("warning", text));
  return found === null ? undefined : { registry, ...found };
}

/**
 * Converts an error reply, or the end or silence of the daemon, to a Failure with a reason in words; returns others
 * unchanged.
 */
function explain(error: unknown, local: string): unknown {
  if (error instanceof Failure) return error;
  if (errnoNameOf(error) !== null) return failed(`Failed to push image '${local}'`, error);
  if (!(error instanceof VarlinkError)) return error;
  if (UNKNOWN.includes(error.id)) return new Failure(UNABLE, { cause: error, hint: HINT });
  const { parameter } = error.parameters;
  const reason =
    REFUSALS[error.id] ??
    (typeof parameter === "string" ? `the daemon does not accept its parameter '${parameter}'` : error.id);
  return new Failure(`Failed to push image '${local}': ${reason}`, { cause: error });
}

/** The verb `push-oci`. Returns the exit status. */
export async function push(session: Session, [name = "", reference = ""]: readonly string[]): Promise<number> {
  const { settings } = session;
  const imageClass = classOf(session);
  const local = exportName(name);
  if (!isPushReference(reference)) {
    const hint = "A push takes REGISTRY/IMAGE[:TAG], without a digest, for example registry.example/tools:2.";
    throw new Failure(`Cannot push to '${reference}': it is not the name of an image in a registry.`, { hint });
  }
  if (settings.format !== undefined && !LAYER_COMPRESSIONS.some((one) => one === settings.format))
    throw new Failure(
      `Layers of container images are compressed with ${LAYER_COMPRESSIONS.join(" or ")}, not with '${settings.format}'.`,
    );
  const path = socketOf(session);
  const login = await loginFor(session, reference);
  const client = await connect(session, path);
  await startPolkitAgent(session);
  const replies = client.callMore(`${IoMachinedImport.name}.PushOci`, {
    local,
    remote: reference,
    class: imageClass,
    base: settings.base,
    format: settings.format,
    login,
    allowInteractiveAuthentication: settings.askPassword || undefined,
  });
  try {
    const isEnd = (error: unknown) => error instanceof VarlinkError && ENDS.includes(error.id);
    return await followReplies(session, replies as AsyncIterable<FollowedReply>, isEnd);
  } catch (error) {
    throw explain(error, local);
  }
}

async function connect(session: Session, path: string): Promise<Varlink> {
  try {
    return await session.connectSlowVarlink(path, "systemd-importd");
  } catch (error) {
    if (["ENOENT", "ECONNREFUSED", "ENOTDIR"].includes(errnoNameOf(error) ?? ""))
      throw new Failure(UNABLE, { cause: error, hint: HINT });
    throw new Failure(`Failed to connect to the transfer daemon: ${reasonOf(error)}`, { cause: error });
  }
}
