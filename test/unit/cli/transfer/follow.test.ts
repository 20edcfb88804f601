// How a client that follows a transfer ends: at Ctrl-C, and when a daemon does not keep to the protocol.
import { expect, test } from "bun:test";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { CANCELLED, type FollowedReply, follow, followReplies } from "../../../../src/cli/transfer/follow.ts";
import { FakeProcess } from "../fake-world.ts";

const TRANSFER = "/org/freedesktop/import1/transfer/_7";
const DAEMON_TURNS = 10;

function processOf(): FakeProcess {
  return new FakeProcess({ machines: [] } as unknown as ConstructorParameters<typeof FakeProcess>[0]);
}

/** The signals of a terminal: each call of press() resolves the promises that were handed out before. */
class Keys {
  #waiting: (() => void)[] = [];
  readonly interrupted = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return { promise, stop: () => {} };
  };
  press(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

test("a second Ctrl-C ends the client when the daemon does not cancel the transfer", async () => {
  const process = processOf();
  const keys = new Keys();
  const asked: string[] = [];
  const isCancelling = Promise.withResolvers<void>();
  const isStarted = Promise.withResolvers<void>();
  const call: Bus["call"] = ({ member }) => {
    asked.push(member);
    if (member !== "CancelTransfer") return Promise.resolve([7, TRANSFER]);
    isCancelling.resolve();
    return new Promise(() => {});
  };
  process.connectBus = async () => ({ call, subscribe: async () => async () => {}, onClose() {}, close() {} });
  process.interrupted = () => {
    isStarted.resolve();
    return keys.interrupted();
  };
  const session = new Session(defaultSettings(), process);
  const args = { url: "http://host/x.tar", local_name: "x", verify_mode: "no", force: false };
  const status = follow(session, [{ member: "PullTar", args }], "cancel");
  await isStarted.promise;
  keys.press();
  await isCancelling.promise;
  keys.press();
  expect(await status).toBe(CANCELLED);
  expect(asked).toEqual(["PullTar", "CancelTransfer"]);
  expect(process.stderr).toContain('Use "importctl cancel-transfer 7" to abort transfer.');
});

test("a call that ends before the daemon named its transfer is an error", async () => {
  const session = new Session(defaultSettings(), processOf());
  async function* replies(): AsyncGenerator<FollowedReply> {
    yield { log: { message: "hello" } };
  }
  const status = followReplies(session, replies(), () => false).catch(({ message }: Error) => message);
  const turns = async () => {
    for (let turn = 0; turn < DAEMON_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
    return "it waits for ever";
  };
  expect(await Promise.race([status, turns()])).toBe("The transfer daemon ended the call without starting a transfer.");
});
