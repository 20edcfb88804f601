// The pull of `machinectl run`: registries of a short name are tried in order, until one has the image or the user
// interrupts.
import { expect, test } from "bun:test";
import { provideImage } from "../../../../src/cli/run/pull.ts";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { FakeBusError } from "../fake-managers.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const PATH = "/org/freedesktop/import1/transfer/_7";
const REGISTRIES = { search: ["one.example", "two.example"], aliases: {} };

/** A transfer daemon whose transfers end with `end` after they were started, or after they were cancelled. */
function daemon(end: "failed" | "done", when: "PullOci" | "CancelTransfer"): { bus: () => Bus; calls: string[] } {
  const calls: string[] = [];
  const handlers: Parameters<Bus["subscribe"]>[1][] = [];
  const removed = () => {
    for (const handler of handlers) handler([7, PATH, end], { path: "", sender: ":1.7", member: "TransferRemoved" });
  };
  const bus: Bus = {
    call: async ({ member, body = [] }) => {
      if (member === "GetImage") throw new FakeBusError("org.freedesktop.machine1.NoSuchImage", "No image");
      calls.push(`${member} ${body[0]}`);
      if (member === when) setImmediate(removed);
      return member === "PullOci" ? [7, PATH] : [];
    },
    subscribe: async ({ member }, handler) => {
      if (member === "TransferRemoved") handlers.push(handler);
      return async () => {};
    },
    onClose: () => {},
    close: () => {},
  };
  return { bus: () => bus, calls };
}

async function provide(played: ReturnType<typeof daemon>, interrupt?: Promise<void>): Promise<string> {
  const process = new FakeProcess(WORLDS["two"] as World, { sockets: ["system"] });
  process.managers.bus = played.bus;
  if (interrupt !== undefined) process.interrupt = interrupt;
  const session = new Session({ ...defaultSettings(), askPassword: false }, process);
  const word = { kind: "oci", name: "debian-1", remote: "debian" } as const;
  return provideImage(session, word, () => REGISTRIES).then(
    () => "pulled",
    (error: Error) => error.message,
  );
}

test("when a registry does not have the image, the next one is tried", async () => {
  const played = daemon("failed", "PullOci");
  expect(await provide(played)).toBe("Image 'debian' was not pulled");
  expect(played.calls).toEqual(["PullOci one.example/debian", "PullOci two.example/debian"]);
});

test.each(["failed", "done"] as const)(
  "Ctrl-C cancels the transfer and ends the run: no other registry is asked, also where the transfer is %s",
  async (end) => {
    const played = daemon(end, "CancelTransfer");
    expect(await provide(played, Promise.resolve())).toBe("Interrupted while image 'debian' was pulled");
    expect(played.calls).toEqual(["PullOci one.example/debian", "CancelTransfer 7"]);
  },
);
