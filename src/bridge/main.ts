// machined bridge: the daemons of this host for a client whose `-H` runs ssh(1), on hosts without a message bus.
import { type HelpText, helpWidth, layOutHelp } from "../base/text/help-text.ts";
import { runtimeDirectory } from "../ipc/runtime-directory.ts";
import { print, printError } from "../kernel/terminal/print.ts";
import { BusOfOne } from "./bus-of-one.ts";
import { StandardStreams } from "./standard-streams.ts";

const HELP: HelpText = {
  usage: "machined bridge",
  about: [
    "Speaks D-Bus on standard input and output for systemd-machined and systemd-importd of this host, without a message bus. On a host that has no message bus, machinectl -H and importctl -H of another host run it over ssh; users do not call it.",
  ],
  notes: ["See the machined(1) man page."],
};

/** Runs the program; returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const [word] = args;
  if (word === "--help" || word === "-h") {
    print(layOutHelp(HELP, helpWidth(process.stdout, process.env)));
    return 0;
  }
  if (word !== undefined) {
    printError(`machined bridge: Unknown argument '${word}': there are none, see 'machined bridge --help'\n`);
    return 1;
  }
  let opened: ReturnType<typeof StandardStreams.open>;
  try {
    opened = StandardStreams.open();
  } catch (error) {
    printError(`machined bridge: Standard input and output must be pipes or sockets: ${reason(error)}\n`);
    return 1;
  }
  const bus = new BusOfOne(opened.socket, runtimeDirectory());
  try {
    bus.connectManager();
  } catch (error) {
    printError(`machined bridge: Cannot reach systemd-machined: ${reason(error)}\n`);
    return 1;
  }
  await opened.streams.done;
  bus.close();
  return 0;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
