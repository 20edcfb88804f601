// What is mounted where, as /proc/self/mountinfo has it: asking there touches none of the file systems.
import { readFileSync } from "node:fs";

/** The mount points at a path and below it. */
export function mountsBelow(path: string): string[] {
  return mountPoints(readFileSync("/proc/self/mountinfo", "latin1")).filter(
    (point) => point === path || point.startsWith(path === "/" ? "/" : `${path}/`),
  );
}

/** The mount points in a given mountinfo; blanks and backslashes are written there as `\040` and the like. */
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
