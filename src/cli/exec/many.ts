// `machinectl exec` in several machines: one after the other with our own streams, or side by side with prefixed lines.
import { selfCommand } from "../../kernel/process/spawn.ts";
import type { Session } from "../session/session.ts";

/** The options of this call, for the call of each machine. */
function optionsOf({ settings }: Session): string[] {
  return [
    ...(settings.scope === "user" ? ["--user"] : []),
    ...(settings.directory === null ? [] : [`--chdir=${settings.directory}`]),
    ...settings.environment.map((assignment) => `--setenv=${assignment}`),
    ...(settings.timeoutMs > 0 ? [`--timeout=${settings.timeoutMs}ms`] : []),
    ...(settings.detach ? ["--detach"] : []),
    ...(settings.transport.kind === "remote" ? [`--host=${settings.transport.host}`] : []),
  ];
}

function print(session: Session, fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += session.ports.writeSome(fd, bytes.subarray(at));
}

async function copyLines(
  stream: ReadableStream<Uint8Array>,
  fd: 1 | 2,
  prefix: string,
  session: Session,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) print(session, fd, `${prefix}${line}\n`);
  }
  if (rest !== "") print(session, fd, `${prefix}${rest}\n`);
}

async function runIn(
  session: Session,
  place: string,
  command: readonly string[],
  prefix: string | null,
): Promise<number> {
  const { settings } = session;
  const flags = [...optionsOf(session), ...(settings.stdin && prefix === null ? [] : ["--stdin=no"])];
  const self = selfCommand("machinectl", ["exec", ...flags, place, ...command]);
  const output = prefix === null ? "inherit" : "pipe";
  const stdio: ["inherit" | "ignore", "inherit" | "pipe", "inherit" | "pipe"] = [
    prefix === null ? "inherit" : "ignore",
    output,
    output,
  ];
  const child = Bun.spawn(self.command, { argv0: self.argv0, stdio, env: process.env });
  if (prefix !== null) {
    const [stdout, stderr] = [child.stdout, child.stderr] as ReadableStream<Uint8Array>[];
    if (stdout !== undefined && stderr !== undefined) {
      await Promise.all([copyLines(stdout, 1, prefix, session), copyLines(stderr, 2, prefix, session)]);
    }
  }
  return child.exited;
}

/** Runs the command in all machines; gives the first exit status that is not 0, in the order of the machines. */
export async function execMany(
  session: Session,
  machines: readonly string[],
  user: string,
  command: readonly string[],
): Promise<number> {
  const { parallel } = session.settings;
  const width = Math.max(...machines.map((machine) => machine.length));
  const statuses = new Array<number>(machines.length).fill(0);
  let next = 0;
  const take = async () => {
    for (let index = next++; index < machines.length; index = next++) {
      const machine = machines[index] ?? "";
      const place = user === "" ? machine : `${user}@${machine}`;
      const prefix = parallel > 1 ? `${machine.padEnd(width)} | ` : null;
      statuses[index] = await runIn(session, place, command, prefix);
    }
  };
  await Promise.all(Array.from({ length: Math.min(Math.max(parallel, 1), machines.length) }, take));
  return statuses.find((status) => status !== 0) ?? 0;
}
