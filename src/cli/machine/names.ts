// Expands a word that names several machines: `web,db`, and patterns such as `web*`.
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

function isPattern(name: string): boolean {
  return /[*?[]/.test(name);
}

/**
 * Returns the names of the machines in a word, each once; those that match a pattern are sorted by name. Names without
 * a pattern are not looked up. Throws a Failure if a pattern matches no machine.
 */
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
    if (matching.length === 0) throw new Failure(`No registered machine matches '${name}'`);
    return matching;
  });
  return [...new Set(chosen)];
}
