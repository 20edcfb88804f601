// Queries the properties of an object of the manager that is known by its name.
import { attempt } from "./failure.ts";
import type { Session } from "./session.ts";

export type Properties = Awaited<ReturnType<Session["properties"]>>;

/**
 * Returns the properties of the object whose path `find` returns. They are asked for at the same time, at the path that
 * the object is expected to have. Throws a Failure, with `attempted` where there is no such object.
 */
export async function objectProperties(
  session: Session,
  { expected, attempted, find }: { expected: string; attempted: string; find: () => Promise<string> },
): Promise<Properties> {
  const finding = attempt(attempted, find);
  const early = session.properties(expected);
  // Where there is no such object, the error of `find` is thrown.
  early.catch(() => {});
  const path = await finding;
  return attempt("Could not get properties", () => (path === expected ? early : session.properties(path)));
}
