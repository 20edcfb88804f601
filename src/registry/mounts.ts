// The mount points of this host, read from /proc/self/mountinfo, which touches none of the file systems.
import { readFileSync } from "node:fs";

/** Returns the mount points at a path and below it. */
export function mountsBelow(path: string): string[] {
  return mountPoints(readFileSync("/proc/self/mountinfo", "latin1")).filter(
    (point) => point === path || point.startsWith(path === "/" ? "/" : `${path}/`),
  );
}

/**
 * Returns the mount points in the text of a mountinfo file, where blanks and backslashes are written as `\040` and the
 * like.
 */
function mountPoints(text: string): string[] {
  const points: string[] = [];
  for (const line of text.split("\n")) {
    const point = line.split(" ", 5)[4];
    if (point !== undefined) points.push(unescapePath(point));
  }
  return points;
}

function unescapePath(text: string): string {
  const bytes = text.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, "latin1").toString();
}
