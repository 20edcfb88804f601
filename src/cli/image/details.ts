// Collects the data about one image that `image-status` prints, by concurrent calls (org.freedesktop.machine1(5),
// "Image Objects").
import { IMAGE_PATH } from "../../api/machine1.ts";
import { busLabelEscape } from "../../base/names.ts";
import { UINT64_MAX } from "../../base/text/format.ts";
import { orNull } from "../session/failure.ts";
import { objectProperties, type Properties } from "../session/object-properties.ts";
import type { Session } from "../session/session.ts";

/** Data about one image, as org.freedesktop.machine1 returns it. */
export interface ImageDetails {
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly isReadOnly: boolean;
  /** Times in µs since 1970; 0 if unknown. */
  readonly createdUsec: bigint;
  readonly modifiedUsec: bigint;
  /** Usages and limits in bytes; 2^64-1 if unknown or unlimited. */
  readonly usage: bigint;
  readonly usageExclusive: bigint;
  readonly limit: bigint;
  readonly limitExclusive: bigint;
  /** Metadata from files in the image; empty if the image is in use or does not have them. */
  readonly hostname: string;
  readonly machineId: string;
  readonly machineInfo: ReadonlyMap<string, string>;
  readonly osRelease: ReadonlyMap<string, string>;
}

/** Returns the properties of an image's D-Bus object. Throws a Failure. */
export function imageProperties(session: Session, name: string): Promise<Properties> {
  return objectProperties(session, {
    expected: `${IMAGE_PATH}/${busLabelEscape(name)}`,
    attempted: "Could not get path to image",
    find: async () => (await session.manager("GetImage", { name })).image,
  });
}

function hex(value: Uint8Array): string {
  if (value.every((byte) => byte === 0)) return "";
  return Buffer.from(value).toString("hex");
}

/** Collects the details of one image. Throws a Failure if the manager does not know the image. */
export async function imageDetails(session: Session, name: string): Promise<ImageDetails> {
  // The calls for metadata fail while the image is in use.
  const [properties, hostname, id, info, release] = await Promise.all([
    imageProperties(session, name),
    orNull(session.manager("GetImageHostname", { name })),
    orNull(session.manager("GetImageMachineID", { name })),
    orNull(session.manager("GetImageMachineInfo", { name })),
    orNull(session.manager("GetImageOSRelease", { name })),
  ]);
  const value = (key: string) => properties.get(key)?.value;
  const text = (key: string) => (typeof value(key) === "string" ? String(value(key)) : "");
  const number = (key: string, otherwise: bigint) => {
    const found = value(key);
    return typeof found === "bigint" ? found : otherwise;
  };
  return {
    name: text("Name") || name,
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
