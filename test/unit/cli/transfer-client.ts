// importctl as a child process on a terminal of a test: the transfer daemon is simulated. Each line of the file $EVENTS
// is the member of a signal and its arguments, as JSON.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { runImportctl } from "../../../src/cli/program/importctl.ts";
import type { Bus, Ports } from "../../../src/cli/session/ports.ts";
import { processPorts } from "../../../src/cli/session/process-ports.ts";

const TRANSFER = "/org/freedesktop/import1/transfer/_7";
const handlers = new Map<string, Parameters<Bus["subscribe"]>[1]>();

function playEvents(): void {
  const lines = createInterface({ input: createReadStream(process.env["EVENTS"] ?? "") });
  lines.on("line", (line) => {
    const [member, ...body] = JSON.parse(line) as [string, ...unknown[]];
    handlers.get(member)?.(body, { path: TRANSFER, sender: ":1.7", member });
  });
}

const ports: Ports = {
  ...processPorts(),
  connectBus: async () => ({
    call: async () => {
      playEvents();
      return [7, TRANSFER];
    },
    subscribe: async ({ member = "" }, handler) => {
      handlers.set(member, handler);
      return async () => {};
    },
    onClose: () => {},
    close: () => {},
  }),
};

process.exit(await runImportctl(process.argv.slice(2), ports));
