// The parts of absolute paths without a slash at the end. node:path can do the same for all paths; loading it takes
// longer than a short program may take.

/** Returns the path of the directory that has the last name of `path`. */
export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** Returns the last name of `path`; "" for "/". */
export function lastNameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
