// Collects what `image-status` prints about one image, by calls that run at the same time
// (org.freedesktop.machine1(5), "Image Objects").
import { UINT64_MAX } from "../../base/format.ts";
import { attempt, orNull } from "../session/failure.ts";
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
  const { image } = await attempt("Could not get path to image", () => session.manager("GetImage", { name }));
  return attempt("Could not get properties", () => session.properties(image));
}

function hex(value: Uint8Array): string {
  if (value.every((byte) => byte === 0)) return "";
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
  // The image may be in use, and cannot be asked then.
  const [hostname, id, info, release] = await Promise.all([
    orNull(session.manager("GetImageHostname", { name })),
    orNull(session.manager("GetImageMachineID", { name })),
    orNull(session.manager("GetImageMachineInfo", { name })),
    orNull(session.manager("GetImageOSRelease", { name })),
  ]);
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
    hostname: hostname?.hostname ?? "",
    machineId: hex(id?.id ?? new Uint8Array(0)),
    machineInfo: info?.machine_info ?? new Map(),
    osRelease: release?.os_release ?? new Map(),
  };
}
