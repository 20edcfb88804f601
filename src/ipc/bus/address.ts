// Where the buses of this host are: the environment, and the form of addresses (D-Bus specification, "Server
// Addresses").
import { ErrnoError } from "../../base/error.ts";
import type { UnixAddress } from "../../kernel/socket/unix.ts";

const SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket";

/**
 * Returns the addresses of a bus, to be tried one after the other. Throws ENOMEDIUM where no variable leads to a bus of
 * the user.
 */
export function busAddresses(scope: "system" | "user"): string[] {
  const list = scope === "system" ? process.env["DBUS_SYSTEM_BUS_ADDRESS"] || SYSTEM_BUS : userBusAddresses();
  const addresses = list.split(";").filter((text) => text !== "");
  if (addresses.length === 0) throw new ErrnoError("EINVAL", `No usable bus address in ${JSON.stringify(list)}`);
  return addresses;
}

function userBusAddresses(): string {
  const addresses = process.env["DBUS_SESSION_BUS_ADDRESS"];
  if (addresses) return addresses;
  const runtime = process.env["XDG_RUNTIME_DIR"];
  if (!runtime) {
    throw new ErrnoError(
      "ENOMEDIUM",
      "$DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined " +
        "(consider using --machine=<user>@.host --user to connect to bus of other user)",
    );
  }
  return `unix:path=${escapeValue(runtime)}/bus`;
}

/**
 * Returns the socket of an address. Throws EOPNOTSUPP for another kind than unix sockets, EINVAL for one without a
 * path.
 */
export function unixAddressOf(address: string): UnixAddress {
  const [kind, rest = ""] = address.split(/:(.*)/s);
  if (kind !== "unix") throw new ErrnoError("EOPNOTSUPP", `Bus addresses of the kind '${kind}' are not supported`);
  const keys = new Map(
    rest.split(",").map((pair) => pair.split(/=(.*)/s).slice(0, 2).map(decodeEscapes) as [string, string]),
  );
  const path = keys.get("path");
  if (path !== undefined) return path;
  const abstract = keys.get("abstract");
  if (abstract !== undefined) return { abstract };
  throw new ErrnoError("EINVAL", `No path in the bus address ${JSON.stringify(address)}`);
}

/** Escapes all bytes but those that the D-Bus specification allows as they are. */
function escapeValue(text: string): string {
  const escaped = (character: string) => Buffer.from(character).toString("hex").replaceAll(/../g, "%$&");
  return text.replaceAll(/[^-0-9A-Za-z_/.\\*]/gu, escaped);
}

/** Replaces `%` with two hexadecimal digits by that byte; the bytes are UTF-8. Throws EINVAL for other uses of `%`. */
function decodeEscapes(text: string): string {
  if (/%(?![0-9a-f]{2})/i.test(text)) throw new ErrnoError("EINVAL", `Wrong escape in a bus address: ${text}`);
  return text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (bytes) => Buffer.from(bytes.replaceAll("%", ""), "hex").toString());
}
