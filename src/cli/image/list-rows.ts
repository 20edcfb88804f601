// Queries the rows of `list-images`: by one streamed Varlink call, which is faster because JSON.parse() decodes the
// replies, or by the D-Bus method, which all versions have.
import { UINT64_MAX } from "../../base/text/format.ts";
import { attempt } from "../session/failure.ts";
import type { Varlink } from "../session/ports.ts";
import type { Session } from "../session/session.ts";

type Integer = number | bigint;

/** An image of the list. */
export interface ListedImage {
  readonly name: string;
  readonly type: string;
  readonly isReadOnly: boolean;
  /** Times in µs since 1970; 0 if unknown. */
  readonly createdUsec: Integer;
  readonly modifiedUsec: Integer;
  /** Bytes; 2^64-1 if unknown. */
  readonly usage: Integer;
}

function integer(value: unknown, otherwise: Integer): Integer {
  return typeof value === "number" || typeof value === "bigint" ? value : otherwise;
}

async function listOverVarlink(varlink: Varlink): Promise<ListedImage[]> {
  const images: ListedImage[] = [];
  for (const reply of await varlink.callAll("io.systemd.MachineImage.List")) {
    images.push({
      name: String(reply["name"]),
      type: String(reply["type"]),
      isReadOnly: reply["readOnly"] === true,
      createdUsec: integer(reply["creationTimestamp"], 0),
      modifiedUsec: integer(reply["modificationTimestamp"], 0),
      usage: integer(reply["usage"], UINT64_MAX),
    });
  }
  return images;
}

async function tryVarlink(session: Session): Promise<ListedImage[] | null> {
  if (session.settings.scope !== "system") return null;
  const varlink = await session.varlink();
  if (varlink === null) return null;
  try {
    return await listOverVarlink(varlink);
  } catch {
    return null;
  }
}

async function listOverBus(session: Session): Promise<ListedImage[]> {
  const { images } = await attempt("Could not get images", () => session.manager("ListImages", {}));
  return images.map(([name, type, isReadOnly, createdUsec, modifiedUsec, usage]) => {
    return { name, type, isReadOnly, createdUsec, modifiedUsec, usage };
  });
}

/** Returns all images, not sorted. If the Varlink call fails, D-Bus is used; only an error of D-Bus is thrown. */
export async function listedImages(session: Session): Promise<ListedImage[]> {
  return (await tryVarlink(session)) ?? listOverBus(session);
}
