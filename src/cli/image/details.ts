// All that `image-status` tells about one image, collected by questions asked side by side
// (org.freedesktop.machine1(5), "Image Objects").
import { UINT64_MAX } from "../../base/format.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

type Properties = Awaited<ReturnType<Session["properties"]>>;

export interface ImageDetails {
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly isReadOnly: boolean;
  /** µs; 0 where unknown. */
  readonly createdUsec: bigint;
  readonly modifiedUsec: bigint;
  /** Bytes; all ones where unknown or unlimited. */
  readonly usage: bigint;
  readonly usageExclusive: bigint;
  readonly limit: bigint;
  readonly limitExclusive: bigint;
  /** What the image says of itself; empty where it is in use, or says nothing. */
  readonly hostname: string;
  readonly machineId: string;
  readonly machineInfo: ReadonlyMap<string, string>;
  readonly osRelease: ReadonlyMap<string, string>;
}

/** The properties of the image of that name, from its bus object. Throws a Failure. */
export async function imageProperties(session: Session, name: string): Promise<Properties> {
  const [path] = await attempt("Could not get path to image", () => session.manager("GetImage", "s", name));
  return attempt("Could not get properties", () => session.properties(String(path)));
}

/** The answer to a question about an image's content; undefined when there is none: it may be in use. */
async function ask(session: Session, member: string, name: string): Promise<unknown> {
  try {
    return (await session.manager(member, "s", name))[0];
  } catch {
    return undefined;
  }
}

function map(value: unknown): ReadonlyMap<string, string> {
  return value instanceof Map ? value : new Map();
}

function hex(value: unknown): string {
  if (!(value instanceof Uint8Array) || value.every((byte) => byte === 0)) return "";
  return Buffer.from(value).toString("hex");
}

/** Collects the details of one image. Throws a Failure when it is not known. */
export async function imageDetails(session: Session, wantedName: string): Promise<ImageDetails> {
  const properties = await imageProperties(session, wantedName);
  const value = (key: string) => properties.get(key)?.value;
  const text = (key: string) => (typeof value(key) === "string" ? String(value(key)) : "");
  const number = (key: string, otherwise: bigint) => {
    const found = value(key);
    return typeof found === "bigint" ? found : otherwise;
  };
  const name = text("Name") || wantedName;
  const members = ["GetImageHostname", "GetImageMachineID", "GetImageMachineInfo", "GetImageOSRelease"];
  const [hostname, id, info, release] = await Promise.all(members.map((member) => ask(session, member, name)));
  return {
    name,
    path: text("Path"),
    type: text("Type"),
    isReadOnly: value("ReadOnly") === true,
    createdUsec: number("CreationTimestamp", 0n),
    modifiedUsec: number("ModificationTimestamp", 0n),
    usage: number("Usage", UINT64_MAX),
    usageExclusive: number("UsageExclusive", UINT64_MAX),
    limit: number("Limit", UINT64_MAX),
    limitExclusive: number("LimitExclusive", UINT64_MAX),
    hostname: typeof hostname === "string" ? hostname : "",
    machineId: hex(id),
    machineInfo: map(info),
    osRelease: map(release),
  };
}
