// Output of a command that runs in several machines at the same time.
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { copyLines, execMany } from "../../../../src/cli/exec/many.ts";
import { asWritten } from "../../../../src/cli/format/own-sequence.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { FakeProcess, type Surroundings, WORLDS, type World } from "../fake-world.ts";

async function printed(...chunks: (string | readonly number[])[]): Promise<string[]> {
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(Buffer.from(chunk as string));
      controller.close();
    },
  });
  const texts: string[] = [];
  await copyLines(stream, "web | ", (text) => texts.push(asWritten(text)));
  return texts;
}

test("each line begins with its machine's name, wherever the chunks of output end", async () => {
  expect(await printed("on", "e\ntwo\nthr", "ee")).toEqual(["web | one\n", "web | two\n", "web | three\n"]);
});

test("a line may end with carriage return and line feed", async () => {
  expect(await printed("one\r\ntwo\r", "\n")).toEqual(["web | one\n", "web | two\n"]);
});

test("control characters of a machine are escaped, so that it cannot imitate another one's lines; colours stay", async () => {
  expect(await printed("\r\u001b[2Kdb | hello\n\u001b[31mred\u001b[0m\n")).toEqual([
    "web | \\x0d\\x1b[2Kdb | hello\n",
    "web | \u001b[31mred\u001b[0m\n",
  ]);
});

test("a line without an end is printed in parts, not kept in memory", async () => {
  const piece = "x".repeat(70_000);
  expect(await printed(piece, piece, "y")).toEqual([`web | ${piece}\n`, `web | ${piece}\n`, "web | y\n"]);
});

test("an incomplete character at the end of the output is printed as U+FFFD", async () => {
  expect(await printed("x", [0xe2, 0x82])).toEqual(["web | x\ufffd\n"]);
  expect(await printed("x", [0xe2, 0x82], [0xac])).toEqual(["web | x€\n"]);
});

test("the clients of the machines leave the command to the service where this one does", async () => {
  const replaced = spyOn(Bun, "spawn").mockImplementation(((command: string[]) => {
    expect(command).toContain("--through-service");
    return { exited: Promise.resolve(0) };
  }) as unknown as typeof Bun.spawn);
  try {
    const session = new Session(
      { ...defaultSettings(), throughService: true },
      new FakeProcess(WORLDS["one"] as World),
    );
    expect(await execMany(session, ["a", "b"], "", ["true"])).toBe(0);
    expect(replaced).toHaveBeenCalledTimes(2);
  } finally {
    replaced.mockRestore();
  }
});

test("a client that cannot be started does not end the others", async () => {
  const refused = Object.assign(new Error("no process"), { code: "EAGAIN", syscall: "posix_spawn" });
  const spawn = Bun.spawn.bind(Bun) as (command: string[], options: object) => Bun.Subprocess;
  const replaced = spyOn(Bun, "spawn").mockImplementation(((command: string[], options: object) => {
    const place = command.at(-2);
    if (place === "b") throw refused;
    return spawn(["sh", "-c", `echo ${place}`], { ...options, argv0: "sh" });
  }) as unknown as typeof Bun.spawn);
  try {
    const ports = new FakeProcess(WORLDS["one"] as World);
    const session = new Session({ ...defaultSettings(), parallel: 2 }, ports);
    expect(await execMany(session, ["a", "b", "c"], "", ["true"])).toBe(125);
    expect(ports.stdout.split("\n").sort()).toEqual(["", "a | a", "c | c"]);
    expect(ports.stderr).toBe("Cannot run 'true' in machine 'b': Resource temporarily unavailable\n");
  } finally {
    replaced.mockRestore();
  }
});

describe("a signal to the client of several machines", () => {
  const spawn = Bun.spawn.bind(Bun) as (command: string[], options: object) => Bun.Subprocess;
  const started: string[] = [];
  const handlers = new Map<string, () => void>();
  const replaced: { mockRestore(): void }[] = [];

  /** Runs `script` in place of the client of each machine; sends the signal when the first one writes. */
  async function statusAfter(signal: NodeJS.Signals, script: string, parallel: number, around: Surroundings = {}) {
    const ready = Promise.withResolvers<void>();
    const spawned = spyOn(Bun, "spawn").mockImplementation(((command: string[], options: object) => {
      started.push(command.at(-2) ?? "");
      const child = spawn(["sh", "-c", script], { ...options, argv0: "sh", stdio: ["ignore", "pipe", "pipe"] });
      if (parallel > 1) return child;
      new Response(child.stdout as ReadableStream).body
        ?.getReader()
        .read()
        .then(() => ready.resolve());
      return child;
    }) as unknown as typeof Bun.spawn);
    const on = spyOn(process, "on").mockImplementation(((name: string, handler: () => void) => {
      handlers.set(name, handler);
    }) as unknown as typeof process.on);
    const off = spyOn(process, "off").mockImplementation(((name: string, handler: () => void) => {
      if (handlers.get(name) === handler) handlers.delete(name);
    }) as unknown as typeof process.off);
    replaced.push(spawned, on, off);
    const settings = { ...defaultSettings(), parallel };
    const ports = new FakeProcess(WORLDS["one"] as World, around);
    const write = ports.writeSome;
    ports.writeSome = (fd, bytes) => {
      ready.resolve();
      return write(fd, bytes);
    };
    const status = execMany(new Session(settings, ports), ["a", "b", "c"], "", ["true"]);
    await ready.promise;
    handlers.get(signal)?.();
    return status;
  }

  afterEach(() => {
    for (const one of replaced.splice(0)) one.mockRestore();
    started.length = 0;
    expect(handlers.size).toBe(0);
  });

  const WAITS = "exec tail -f /dev/null";

  test("is passed on to the command that runs, and no further one is started", async () => {
    expect(await statusAfter("SIGTERM", `trap 'kill $!; exit 7' TERM; echo ready; tail -f /dev/null & wait`, 1)).toBe(
      7,
    );
    expect(started).toEqual(["a"]);
  });

  test("is passed on to all that run at the same time", async () => {
    expect(await statusAfter("SIGHUP", `echo ready; ${WAITS}`, 2)).toBe(129);
    expect(started).toEqual(["a", "b"]);
  });

  test("SIGINT is passed on where no terminal does that", async () => {
    expect(await statusAfter("SIGINT", `echo ready; ${WAITS}`, 1)).toBe(130);
    expect(started).toEqual(["a"]);
  });

  test("which did not come has not ended a command of that status", async () => {
    expect(await statusAfter("SIGWINCH", "echo ready; exit 130", 1)).toBe(130);
    expect(started).toEqual(["a", "b", "c"]);
  });

  test("SIGINT of a terminal does not end the client before a command that goes on", async () => {
    const script = "echo ready; kill -0 $PPID";
    expect(await statusAfter("SIGINT", script, 1, { stdinIsTty: true })).toBe(0);
    expect(started).toEqual(["a", "b", "c"]);
  });
});
