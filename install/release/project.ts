// Facts about a release: the version, which is written in package.json only; the maintainer; and the time of all its
// files, which is that of the last commit, so that two builds of one commit are identical.
import { join } from "node:path";
import { version } from "../../package.json";
import { run } from "./command.ts";

export { version };

/** The project's directory. */
export const TOP = join(import.meta.dir, "../..");

/** Returns the maintainer of the packages, from $DEBFULLNAME and $DEBEMAIL, which publishers of packages set. */
export function maintainer(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return `${env["DEBFULLNAME"] ?? "The machined authors"} <${env["DEBEMAIL"] ?? "machined@packages.example"}>`;
}

/** Returns $SOURCE_DATE_EPOCH, or else the time of the last commit, in seconds since 1970. */
export function sourceDate(env: Readonly<Record<string, string | undefined>> = process.env): number {
  const given = env["SOURCE_DATE_EPOCH"];
  const text = given ?? run(["git", "log", "-1", "--format=%ct"], { cwd: TOP }).trim();
  if (!/^\d+$/.test(text)) throw new Error(`SOURCE_DATE_EPOCH is '${text}': not a number of seconds`);
  return Number(text);
}
