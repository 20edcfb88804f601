// Machines of sleeping processes in a bed, and what the running daemon says about them.
import { join } from "node:path";
import type { Bed } from "./bed.ts";

const SCRIPT = join(import.meta.dir, "../host/machines.py");

/** What every release of the daemon knows about a machine, by property name. */
export type Facts = Readonly<Record<string, string | number | number[]>>;

export async function createMachines(bed: Bed, count: number, prefix: string): Promise<void> {
  await python(bed, "create", String(count), prefix);
}

/** Name → properties of each machine but `.host`. */
export async function machineFacts(bed: Bed): Promise<Readonly<Record<string, Facts>>> {
  return JSON.parse(await python(bed, "facts")) as Record<string, Facts>; // written by machines.py
}

async function python(bed: Bed, ...words: string[]): Promise<string> {
  const source = await Bun.file(SCRIPT).text();
  return bed.run(`python3 - ${words.join(" ")} <<'PYTHON'\n${source}\nPYTHON\n`);
}
