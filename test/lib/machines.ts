// Makes machines of sleeping processes in a bed, and queries their properties from the running daemon.
import { join } from "node:path";
import type { Bed } from "./bed.ts";

const SCRIPT = join(import.meta.dir, "../host/machines.py");

/** Properties of a machine that every release of the daemon has, by name. */
export type Facts = Readonly<Record<string, string | number | number[]>>;

/** Makes `count` machines whose names begin with `prefix`. */
export async function createMachines(bed: Bed, count: number, prefix: string): Promise<void> {
  await python(bed, "create", String(count), prefix);
}

/** Returns the properties of each machine except `.host`, by its name. */
export async function machineFacts(bed: Bed): Promise<Readonly<Record<string, Facts>>> {
  return JSON.parse(await python(bed, "facts")) as Record<string, Facts>; // written by machines.py
}

async function python(bed: Bed, ...words: string[]): Promise<string> {
  const source = await Bun.file(SCRIPT).text();
  return bed.run(`python3 - ${words.join(" ")} <<'PYTHON'\n${source}\nPYTHON\n`);
}
