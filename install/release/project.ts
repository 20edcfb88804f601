// What a release says of itself: the version (package.json has it and nothing else), and the time that stands in all its
// files: that of the last commit, so that two builds of one commit are the same.
import { join } from "node:path";
import { version } from "../../package.json";
import { run } from "./command.ts";

export { version };

export const TOP = join(import.meta.dir, "../..");

/** Who is named as the maintainer of the packages. Whoever publishes them sets Debian's two variables to his own. */
export function maintainer(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return `${env["DEBFULLNAME"] ?? "The machined authors"} <${env["DEBEMAIL"] ?? "machined@packages.example"}>`;
}

/** Seconds since 1970: $SOURCE_DATE_EPOCH, else the time of the last commit. */
export function sourceDate(env: Readonly<Record<string, string | undefined>> = process.env): number {
  const given = env["SOURCE_DATE_EPOCH"];
  const text = given ?? run(["git", "log", "-1", "--format=%ct"], { cwd: TOP }).trim();
  if (!/^\d+$/.test(text)) throw new Error(`SOURCE_DATE_EPOCH is '${text}': not a number of seconds`);
  return Number(text);
}
