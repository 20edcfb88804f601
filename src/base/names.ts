// Validity and escaping of names: host names, machine names, D-Bus path labels, unit names.
// (hostname(7), sd_bus_path_encode(3), systemd.unit(5) "String Escaping for Inclusion in Unit Names")

const HOST_NAME_MAX = 64;
const IMAGE_NAME_MAX = 255;
const LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/;

/** Whether text is a host name of 1 to 64 ASCII bytes: labels of letters, digits and inner hyphens, no trailing dot. */
export function isHostName(name: string): boolean {
  if (name.length === 0 || name.length > HOST_NAME_MAX) return false;
  return name.split(".").every((label) => LABEL.test(label));
}

/** Whether a machine can be registered under the name: a host name, so `.host` is not allowed. */
export function isMachineName(name: string): boolean {
  return isHostName(name);
}

/** Whether the name can be looked up: a machine name, or `.host`. */
export function isMachineNameOrHost(name: string): boolean {
  return name === ".host" || isMachineName(name);
}

/** Whether text can name an image: a file name without control characters that does not begin with `.#` (temporary). */
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

/**
 * Whether text is an absolute path without `.`, `..`, empty components or NUL, of at most 4095 bytes; `/` is allowed.
 */
export function isNormalizedPath(path: string): boolean {
  if (!isAbsolutePath(path)) return false;
  if (path === "/") return true;
  const components = path.slice(1).replace(/\/$/, "").split("/");
  return components.every((part) => part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 255);
}

/** Whether text is an absolute path without NUL, of at most 4095 bytes. */
export function isAbsolutePath(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0") && Buffer.byteLength(path) < 4096;
}

function isAlphanumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Escapes any text to one element of a D-Bus object path: `.host` → `_2ehost`, empty → `_`. */
export function busLabelEscape(text: string): string {
  if (text === "") return "_";
  let label = "";
  for (const [index, byte] of Buffer.from(text).entries()) {
    if (isAlphanumeric(byte) && !(index === 0 && isDigit(byte))) label += String.fromCharCode(byte);
    else label += `_${byte.toString(16).padStart(2, "0")}`;
  }
  return label;
}

/** Reverses busLabelEscape(); invalid escapes are kept as they are. */
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
 * Returns the system unit of a cgroup path, the path below that unit ("" for the unit's own cgroup), and its slice;
 * null for a path outside of units (e.g. "/"). The unit is the first component that is not a slice, as systemd names
 * cgroups: for units of a user's manager it is `user@UID.service`.
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

/** systemd prefixes a cgroup's name with `_` where it would collide with one of the kernel's files. */
function unescapeCgroup(name: string): string {
  return name.startsWith("_") ? name.slice(1) : name;
}
