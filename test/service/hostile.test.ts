// Peers that break the protocol: they get an error or a closed connection, and the daemon neither ends nor blocks.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Variant } from "../../src/base/variant.ts";
import { encodeMessage } from "../../src/ipc/message/message.ts";
import { errorOf, isRoot, manager, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

/** A raw connection: sends bytes for the test, and records what came back and whether it was closed. */
class Peer {
  received = Buffer.alloc(0);
  closed = false;
  #socket: { write(bytes: Uint8Array): number; end(): void } | null = null;
  #left: Buffer = Buffer.alloc(0);

  static async connect(path: string): Promise<Peer> {
    const peer = new Peer();
    peer.#socket = await Bun.connect({
      unix: path,
      socket: {
        data: (_socket, bytes) => {
          peer.received = Buffer.concat([peer.received, bytes]);
        },
        close: () => {
          peer.closed = true;
        },
        error: () => {
          peer.closed = true;
        },
        drain: () => peer.#flush(),
      },
    });
    return peer;
  }

  send(bytes: Uint8Array | string): void {
    this.#left = Buffer.concat([this.#left, Buffer.from(bytes as Uint8Array)]);
    this.#flush();
  }

  #flush(): void {
    if (this.#left.length === 0 || this.closed) return;
    const sent = this.#socket?.write(this.#left) ?? 0;
    if (sent > 0) this.#left = this.#left.subarray(sent);
  }

  end(): void {
    this.#socket?.end();
  }

  async untilClosed(): Promise<void> {
    await waitFor(() => {
      if (!this.closed) throw new Error("still open");
    }, "the connection's end");
  }

  async until(text: string): Promise<void> {
    await waitFor(() => {
      if (!this.received.includes(text)) throw new Error(JSON.stringify(this.received.toString().slice(0, 200)));
    }, JSON.stringify(text));
  }
}

const AUTH = "\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";

function call(signature: string, body: readonly unknown[], member = "GetMachine"): Buffer {
  return encodeMessage({
    type: 1,
    serial: 1,
    path: "/org/freedesktop/machine1",
    interface: "org.freedesktop.machine1.Manager",
    member,
    signature,
    body,
  }).bytes;
}

/** A call whose bytes are changed before they are sent. */
function broken(change: (bytes: Buffer) => Buffer | undefined): Buffer {
  const bytes = Buffer.from(call("s", ["x"]));
  return change(bytes) ?? bytes;
}

describe.skipIf(!isRoot)(`hostile peers${needsRoot}`, () => {
  let daemon: TestDaemon;
  let privateBus: string;
  let varlink: string;

  beforeAll(async () => {
    daemon = await TestDaemon.start();
    privateBus = join(daemon.runtime, "machine/private");
    varlink = join(daemon.runtime, "machine/io.systemd.Machine");
  });
  afterAll(() => daemon[Symbol.asyncDispose]());

  const stillAnswers = async () => {
    const bus = await daemon.connect();
    expect((await manager(bus, "ListMachines"))[0]).toHaveLength(1);
    bus.close();
  };

  const handshakes: Record<string, string> = {
    "no NUL byte first": "AUTH EXTERNAL 30\r\n",
    "BEGIN without authentication": "\0BEGIN\r\n",
    "a line without an end": `\0${"A".repeat(20_000)}`,
    "endless lines": `\0${"NONSENSE\r\n".repeat(1000)}`,
  };
  for (const [what, bytes] of Object.entries(handshakes)) {
    test(`handshake with ${what}: closed`, async () => {
      const peer = await Peer.connect(privateBus);
      peer.send(bytes);
      await peer.untilClosed();
      await stillAnswers();
    });
  }

  test("handshake as another user: refused", async () => {
    const peer = await Peer.connect(privateBus);
    peer.send("\0AUTH EXTERNAL 31303030\r\nAUTH ANONYMOUS\r\nCANCEL\r\nFOO\r\n");
    await peer.until("REJECTED EXTERNAL\r\nREJECTED EXTERNAL\r\nREJECTED EXTERNAL\r\nERROR\r\n");
    peer.end();
  });

  test("handshake of sd-bus with a challenge: accepted", async () => {
    const peer = await Peer.connect(privateBus);
    peer.send("\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
    await peer.until("AGREE_UNIX_FD");
    peer.send(call("", [], "ListMachines"));
    await peer.until(".host");
    peer.end();
  });

  const messages: Record<string, Buffer> = {
    "a wrong byte order mark": broken((m) => void m.writeUInt8(0x78, 0)),
    "another protocol version": broken((m) => void m.writeUInt8(2, 3)),
    "serial 0": broken((m) => void m.writeUInt32LE(0, 8)),
    "type 0": broken((m) => void m.writeUInt8(0, 1)),
    "header fields longer than 64 MiB": broken((m) => void m.writeUInt32LE(0x7fff_ffff, 12)),
    "a body longer than 128 MiB": broken((m) => void m.writeUInt32LE(0x7fff_ffff, 4)),
    "an invalid object path": broken((m) => void m.write("//", m.indexOf("/org"), "latin1")),
    "a header field of the wrong type": broken((m) => void m.write("s", m.indexOf("o\0"), "latin1")),
    "a number of descriptors that were not sent": encodeMessage({
      type: 1,
      serial: 1,
      path: "/",
      member: "X",
      signature: "h",
      body: [{ number: 0 }],
    }).bytes,
    nonsense: Buffer.from("l\x01\x00\x01\xff\xff\xff\xff".repeat(64), "latin1"),
  };
  for (const [what, bytes] of Object.entries(messages)) {
    test(`message with ${what}: closed`, async () => {
      const peer = await Peer.connect(privateBus);
      peer.send(AUTH);
      await peer.until("AGREE_UNIX_FD");
      peer.send(bytes);
      await peer.untilClosed();
      await stillAnswers();
    });
  }

  test("a body that does not match its signature: an error, and the connection stays open", async () => {
    const peer = await Peer.connect(privateBus);
    peer.send(AUTH);
    await peer.until("AGREE_UNIX_FD");
    peer.send(broken((m) => void m.writeUInt32LE(200, m.length - 6)));
    await peer.until("InconsistentMessage");
    peer.send(call("", [], "ListMachines"));
    await peer.until(".host");
    peer.end();
  });

  test("variants nested 65 deep: an error, 40 deep: an ordinary refusal", async () => {
    const set = encodeMessage({
      type: 1,
      serial: 1,
      path: "/org/freedesktop/machine1",
      interface: "org.freedesktop.DBus.Properties",
      member: "Set",
      signature: "ssv",
      body: ["org.freedesktop.machine1.Manager", "PoolPath", new Variant("y", 7)],
    }).bytes;
    const answers: [number, string][] = [
      [40, "PropertyReadOnly"],
      [70, "InconsistentMessage"],
      [5000, "InconsistentMessage"],
    ];
    for (const [depth, answer] of answers) {
      const variants = Buffer.concat(Array.from({ length: depth }, () => Buffer.from([1, 0x76, 0])));
      const whole = Buffer.concat([set.subarray(0, -4), variants, set.subarray(-4)]);
      whole.writeUInt32LE(set.readUInt32LE(4) + variants.length, 4);
      const peer = await Peer.connect(privateBus);
      peer.send(AUTH);
      await peer.until("AGREE_UNIX_FD");
      peer.send(whole);
      await peer.until(answer);
      peer.end();
    }
    await stillAnswers();
  });

  test("names of 64 KiB and of 17 MiB: an error each", async () => {
    const peer = await Peer.connect(privateBus);
    peer.send(AUTH);
    await peer.until("AGREE_UNIX_FD");
    peer.send(call("s", ["x".repeat(64 << 10)]));
    await peer.until("NoSuchMachine");
    peer.received = Buffer.alloc(0);
    peer.send(call("s", ["x".repeat(17 << 20)]));
    await peer.until("longer than 2 MiB");
    peer.end();
    await stillAnswers();
  });

  test("paths, names and arguments of 9 MiB are answered, on both transports", async () => {
    const long = "x".repeat(9 << 20);
    const path = `/${"x/".repeat(4 << 20)}x`;
    const bus = await daemon.connect();
    const call = { destination: "org.freedesktop.machine1", interface: "org.freedesktop.machine1.Manager" };
    expect(await errorOf(bus.call({ ...call, path, member: "ListMachines" }))).toContain("UnknownObject");
    expect(await errorOf(manager(bus, "GetMachine", "s", long))).toContain("longer than 2 MiB");
    bus.close();
    const client = await daemon.varlink();
    const failure = await client.call("io.systemd.Machine.List", { name: long }).catch((error: unknown) => error);
    expect((failure as { id?: string }).id).toBe("org.varlink.service.InvalidParameter");
  });

  test("a header of 17 MiB: the connection is closed, with a log entry", async () => {
    const peer = await Peer.connect(privateBus);
    peer.send(AUTH);
    await peer.until("AGREE_UNIX_FD");
    peer.send(encodeMessage({ type: 1, serial: 1, path: `/${"x".repeat(17 << 20)}`, member: "X" }).bytes);
    await peer.untilClosed();
    await waitFor(() => expect(daemon.log).toContain("disconnected: message header is longer than 16 MiB"), "the log");
    await stillAnswers();
  });

  test("half a message, then silence: other connections are served", async () => {
    const peers = await Promise.all(Array.from({ length: 20 }, () => Peer.connect(privateBus)));
    for (const peer of peers) {
      peer.send(AUTH);
      peer.send(call("s", ["x"]).subarray(0, 40));
    }
    const others = await Promise.all(Array.from({ length: 20 }, () => Peer.connect(varlink)));
    for (const peer of others) peer.send('{"method":"io.systemd.Machine.Li');
    await stillAnswers();
    for (const peer of [...peers, ...others]) peer.end();
  });

  /** Malformed Varlink messages with their expected answers; null means closed without a reply. */
  const LIST = "io.systemd.Machine.List";
  const frames: [string, string, string | null][] = [
    ["an empty frame", "", null],
    ["no JSON", "hello", null],
    ["truncated JSON", '{"method":"x"', null],
    ["an array", "[]", null],
    ["a string", '"x"', null],
    ["null", "null", null],
    ["text after the object", '{"method":"x"} y', null],
    ["no method", "{}", null],
    ["a method that is a number", '{"method":1}', null],
    ["a key that is unknown", '{"method":"x","foo":1}', null],
    ["parameters that are an array", '{"method":"x","parameters":[]}', null],
    ["a key twice", '{"method":"x","method":"x"}', null],
    ["more and oneway", '{"method":"x","more":true,"oneway":true}', null],
    ["more that is 1", '{"method":"x","more":1}', null],
    ["a lone surrogate", '{"method":"\\ud800"}', null],
    ["a NUL escape", '{"method":"\\u0000"}', null],
    ["100 levels", `{"method":"no.X","parameters":{"a":${"[".repeat(100)}${"]".repeat(100)}}}`, "MethodNotFound"],
    ["5000 levels", `{"method":"x","parameters":{"a":${"[".repeat(5000)}${"]".repeat(5000)}}}`, null],
    [
      "blanks in front",
      ' \t\n{"method":""}',
      '{"error":"org.varlink.service.MethodNotFound","parameters":{"method":""}}',
    ],
    ["an unknown method", '{"method":"no.such.Thing"}', "org.varlink.service.MethodNotFound"],
    ["false flags", '{"method":"no.such.Thing","more":false,"oneway":false,"upgrade":false}', "MethodNotFound"],
    ["List without more", `{"method":"${LIST}","parameters":null}`, "org.varlink.service.ExpectedMore"],
    ["an unknown parameter", `{"method":"${LIST}","parameters":{"x":1}}`, '"parameters":{"parameter":"x"}'],
    ["a parameter twice", `{"method":"${LIST}","parameters":{"name":"a","name":"b"}}`, '{"parameter":"name"}'],
    ["a parameter of the wrong type", `{"method":"${LIST}","parameters":{"name":[]}}`, '{"parameter":"name"}'],
    ["__proto__", `{"method":"${LIST}","parameters":{"__proto__":{"name":"x"}}}`, '{"parameter":"__proto__"}'],
    ["toString as method", '{"method":"io.systemd.Machine.toString"}', "MethodNotFound"],
    [
      "a machine that is unknown",
      `{"method":"${LIST}","parameters":{"name":"nosuch"}}`,
      "io.systemd.Machine.NoSuchMachine",
    ],
    ["an empty name", `{"method":"${LIST}","parameters":{"name":""}}`, '{"parameter":"name"}'],
    ["a PID out of range", `{"method":"${LIST}","parameters":{"pid":4294967296}}`, '{"parameter":"pid"}'],
    ["a PID of 20 digits", `{"method":"${LIST}","parameters":{"pid":99999999999999999999}}`, '{"parameter":"pid"}'],
    [
      "class host",
      '{"method":"io.systemd.Machine.Register","parameters":{"name":"x","class":"host"}}',
      '{"parameter":"class"}',
    ],
    [
      "PID 1 as leader",
      '{"method":"io.systemd.Machine.Register","parameters":{"name":"x","class":"vm","leader":1}}',
      '{"parameter":"leader"}',
    ],
    [
      "a leader out of range",
      '{"method":"io.systemd.Machine.Register","parameters":{"name":"x","class":"vm","leader":-1}}',
      '{"parameter":"leader"}',
    ],
    [
      "a leader's process out of range",
      '{"method":"io.systemd.Machine.Register","parameters":{"name":"x","class":"vm","leaderProcessId":{"pid":-1}}}',
      '{"parameter":"leaderProcessId"}',
    ],
    ["no class", '{"method":"io.systemd.Machine.Register","parameters":{"name":"x"}}', '{"parameter":"class"}'],
  ];
  for (const [what, text, answer] of frames) {
    test(`V31 V35 V36 V37 V39 V40 Varlink with ${what}: ${answer === null ? "closed" : "answered"}`, async () => {
      const peer = await Peer.connect(varlink);
      peer.send(`${text}\0`);
      if (answer === null) await peer.untilClosed();
      else await peer.until(answer);
      if (answer === null) expect(peer.received.toString()).toBe("");
      peer.end();
      await stillAnswers();
    });
  }

  test("V32 V33 V38 Varlink one byte at a time, pipelined, and with the writing end closed: answered in order", async () => {
    const peer = await Peer.connect(varlink);
    for (const byte of Buffer.from('{"method":"a.B"}\0')) peer.send(Buffer.from([byte]));
    await peer.until('"a.B"');
    peer.send(
      '{"method":"b.C"}\0{"method":"c.D","oneway":true}\0{"method":"io.systemd.service.Ping"}\0{"method":"d.E"}\0',
    );
    await peer.until('"d.E"');
    const text = peer.received.toString();
    expect(text.indexOf('"b.C"')).toBeLessThan(text.indexOf("{}\0"));
    expect(text.indexOf("{}\0")).toBeLessThan(text.indexOf('"d.E"'));
    expect(text).not.toContain("c.D");
    peer.end();
  });

  test("V34 Varlink with 17 MiB and no end: closed", async () => {
    const peer = await Peer.connect(varlink);
    peer.send(Buffer.alloc(17 << 20, 0x20));
    await peer.untilClosed();
    await stillAnswers();
  });
});
