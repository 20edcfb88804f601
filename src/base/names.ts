// Name rules and escapings: host names, machine names, D-Bus path labels, unit names.
// (hostname(7), sd_bus_path_encode(3), systemd.unit(5) "String Escaping for Inclusion in Unit Names")

const HOST_NAME_MAX = 64;
const IMAGE_NAME_MAX = 255;
const LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/;

/** A host name of 1 to 64 ASCII bytes: labels of letters, digits and inner hyphens, no trailing dot. */
export function isHostName(name: string): boolean {
  if (name.length === 0 || name.length > HOST_NAME_MAX) return false;
  return name.split(".").every((label) => LABEL.test(label));
}

/** A name under which a machine can be registered: a host name; `.host` is none. */
export function isMachineName(name: string): boolean {
  return isHostName(name);
}

/** A name which can be looked up: a machine name, or `.host`. */
export function isMachineNameOrHost(name: string): boolean {
  return name === ".host" || isMachineName(name);
}

/** Whether text can name an image: a file name in UTF-8 without control characters that is no temporary one. */
export function isImageName(name: string): boolean {
  if (name === "" || name === "." || name === ".." || name.startsWith(".#")) return false;
  if (name.includes("/") || Buffer.byteLength(name) > IMAGE_NAME_MAX) return false;
  return !hasControlCharacter(name) && name.isWellFormed();
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

/** An absolute path without `.`, `..`, empty components or NUL; `/` itself is one. At most 4095 bytes. */
export function isNormalizedPath(path: string): boolean {
  if (!isAbsolutePath(path)) return false;
  if (path === "/") return true;
  const components = path.slice(1).replace(/\/$/, "").split("/");
  return components.every((part) => part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 255);
}

/** An absolute path without NUL, of at most 4095 bytes. */
export function isAbsolutePath(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0") && Buffer.byteLength(path) < 4096;
}

function isAlphanumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** One element of a D-Bus object path for any text: `.host` → `_2ehost`, empty → `_`. */
export function busLabelEscape(text: string): string {
  if (text === "") return "_";
  let label = "";
  for (const [index, byte] of Buffer.from(text).entries()) {
    if (isAlphanumeric(byte) && !(index === 0 && isDigit(byte))) label += String.fromCharCode(byte);
    else label += `_${byte.toString(16).padStart(2, "0")}`;
  }
  return label;
}

/** The text of a path element. Tolerant: what is no valid escape stands for itself. */
export function busLabelUnescape(label: string): string {
  if (label === "_") return "";
  if (!label.includes("_")) return label;
  const bytes: number[] = [];
  for (let i = 0; i < label.length; i++) {
    const hex = label.slice(i + 1, i + 3);
    if (label[i] === "_" && /^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    } else bytes.push(label.charCodeAt(i));
  }
  return Buffer.from(bytes).toString();
}

/** Escapes text for a unit name: `web-1.a` → `web\x2d1.a`. A leading dot is escaped too. */
export function unitNameEscape(text: string): string {
  let name = "";
  for (const [index, byte] of Buffer.from(text).entries()) {
    const char = String.fromCharCode(byte);
    if (char === "/") name += "-";
    else if (isAlphanumeric(byte) || char === ":" || char === "_" || (char === "." && index > 0)) name += char;
    else name += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return name;
}

const UNIT = /^[A-Za-z0-9:_.\\@-]+\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$/;

/** Whether text can name a unit (systemd.unit(5)). */
export function isUnitName(text: string): boolean {
  return text.length < 256 && UNIT.test(text);
}

/**
 * The unit that owns a cgroup path, and what lies below that unit ("" for the unit's own cgroup).
 * Follows systemd's layout: slices are passed through, the first service, scope or other unit is it; below
 * `user@UID.service` the system's unit is that service. Returns null for a path in no unit (e.g. "/").
 */
export function unitOfCgroup(cgroup: string): { unit: string; subgroup: string; slice: string } | null {
  const parts = cgroup.split("/").filter((part) => part !== "");
  let index = 0;
  let slice = "-.slice";
  for (; index < parts.length && parts[index]?.endsWith(".slice"); index++) slice = unescapeCgroup(parts[index] ?? "");
  const name = unescapeCgroup(parts[index] ?? "");
  if (!isUnitName(name) || name.endsWith(".slice")) return null;
  return { unit: name, subgroup: parts.slice(index + 1).join("/"), slice };
}

/** A cgroup is escaped with a leading `_` where its name would clash with the kernel's own files. */
function unescapeCgroup(name: string): string {
  return name.startsWith("_") ? name.slice(1) : name;
}
