// Several machines in one word: `web,db` and quoted patterns like `web*`.
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

function isPattern(name: string): boolean {
  return /[*?[]/.test(name);
}

/** Returns the named machines, each once, those of a pattern by name. Throws a Failure if a pattern matches none. */
export async function chosenMachines(session: Session, text: string): Promise<string[]> {
  const names = text.split(",").filter((name) => name !== "");
  if (names.length === 0) throw new Failure("No machine is given. Name one, or several separated by commas");
  if (!names.some(isPattern)) return [...new Set(names)];
  const { machines } = await attempt("Could not get machines", () => session.manager("ListMachines", {}));
  const known = machines.map(([name]) => name).sort();
  const chosen = names.flatMap((name) => {
    if (!isPattern(name)) return [name];
    const glob = new Bun.Glob(name);
    const matching = known.filter((one) => !one.startsWith(".") && glob.match(one));
    if (matching.length === 0) throw new Failure(`No machine matches '${name}'`);
    return matching;
  });
  return [...new Set(chosen)];
}
