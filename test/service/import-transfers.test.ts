// The life of transfers over D-Bus, with simulated workers: numbers, signals, results, limits and conflicts.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { constants, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { writeSome } from "../../src/kernel/file/byte-io.ts";
import { Fd } from "../../src/kernel/file/fd.ts";
import { openPipe } from "../../src/kernel/process/pipe.ts";
import { O_PATH } from "../../src/kernel/syscall/constants.ts";
import { errorOf, isRoot, needsRoot } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";
import { workersOf } from "../lib/workers.ts";
import { Announcements, manager, object, pull, TestImportd, TRANSFER } from "./import-support.ts";

const O_RDWR = 2;
const PATH = "/org/freedesktop/import1/transfer/_";

describe.skipIf(!isRoot)(`transfers${needsRoot}`, () => {
  let daemon: TestImportd;
  let bus: BusClient;
  let heard: Announcements;

  beforeAll(async () => {
    daemon = await TestImportd.start();
    bus = await daemon.bus();
    heard = await Announcements.of(bus);
  });
  afterAll(() => daemon[Symbol.asyncDispose]());

  const cancel = (id: number) => manager(bus, "CancelTransfer", "u", id);
  const over = async (id: number) => {
    for (let i = 0; i < 5; i++) await cancel(id).catch(() => {});
    await heard.result(id);
  };

  test("I5 I6 I7 the first id is 1, TransferNew comes before the reply, and the result of a success is 'done'", async () => {
    const started = manager(bus, "PullTar", "sssb", "http://played/done", "first", "no", false);
    const order: string[] = [];
    const stop = await bus.subscribe({ member: "TransferNew" }, () => void order.push("signal"));
    const [id, path] = await started.finally(() => order.push("reply"));
    await stop();
    expect([id, path]).toEqual([1, `${PATH}1`]);
    expect(await heard.result(1)).toBe("done");
    expect(heard.events[0]).toEqual({
      member: "TransferNew",
      path: "/org/freedesktop/import1",
      body: [1, `${PATH}1`],
    });
    expect(heard.of(1, "TransferRemoved")).toEqual([[1, `${PATH}1`, "done"]]);
    expect(await pull(bus, "done")).toBe(2);
  });

  test("I8 when a worker fails, the transfer fails, and the worker's lines are sent to everyone", async () => {
    const id = await pull(bus, "fail");
    expect(await heard.result(id)).toBe("failed");
    expect(heard.lines(id)).toEqual([[27, "It failed."]]);
    await daemon.logged(`<3>(transfer${id}) It failed.`);
  });

  test("I9 I35 cancelling sends SIGTERM to the worker, whose last lines still arrive", async () => {
    const id = await pull(bus, "polite");
    await heard.line(id, "ready");
    await cancel(id);
    expect(await heard.result(id)).toBe("canceled");
    expect(heard.lines(id)).toEqual([
      [30, "ready"],
      [29, "Transfer aborted."],
    ]);
  });

  test("I10 the error for an unknown transfer is NoSuchTransfer, and the id 0 is refused", async () => {
    expect(await errorOf(cancel(4711))).toBe("org.freedesktop.import1.NoSuchTransfer: No transfer by id 4711");
    expect(await errorOf(cancel(0))).toBe("InvalidArgs: Invalid transfer id");
    expect(await errorOf(object(bus, `${PATH}4711`, TRANSFER, "Cancel"))).toStartWith("UnknownObject");
    expect(await errorOf(object(bus, `${PATH}0`, TRANSFER, "Cancel"))).toStartWith("UnknownObject");
  });

  test("I11 I12 a running transfer's properties; progress is the lowest double before the first report", async () => {
    const id = await pull(bus, "wait-properties", "here");
    const [all] = await object(bus, `${PATH}${id}`, "org.freedesktop.DBus.Properties", "GetAll", "s", TRANSFER);
    const values = [...(all as Map<string, { value: unknown }>)].map(([name, { value }]) => [name, value]);
    expect(values).toEqual([
      ["Id", id],
      ["Local", "here"],
      ["Remote", "http://played/wait-properties"],
      ["Type", "pull-tar"],
      ["Verify", "no"],
      ["Progress", -Number.MAX_VALUE],
    ]);
    const [list] = await manager(bus, "ListTransfers");
    expect(list).toEqual([
      [id, "pull-tar", "http://played/wait-properties", "here", -Number.MAX_VALUE, `${PATH}${id}`],
    ]);
    await object(bus, `${PATH}${id}`, TRANSFER, "Cancel");
    expect(await heard.result(id)).toBe("canceled");
  });

  test("I13 I14 progress is accepted with and without a percent sign, and signalled when it changes", async () => {
    const id = await pull(bus, "progress");
    await waitFor(() => expect(heard.of(id, "ProgressUpdate").length).toBe(3), "the progress");
    expect(heard.of(id, "ProgressUpdate")).toEqual([[0.13], [0.42], [0.77]]);
    const [list] = (await manager(bus, "ListTransfersEx", "st", "machine", 0n)) as [unknown[][]];
    expect(list[0]?.[5]).toBe(0.77);
    await daemon.logged("Got invalid percent value, ignoring.", 2);
    await over(id);
  });

  test("I38 progress that is reported by another process than the worker is ignored", async () => {
    const id = await pull(bus, "foreign");
    await daemon.logged("Got notification datagram from unexpected peer, ignoring.");
    await over(id);
    expect(heard.of(id, "ProgressUpdate")).toEqual([]);
  });

  test("I15 I16 lines end at a line end or NUL, empty ones are dropped, long ones cut, escapes made harmless", async () => {
    const id = await pull(bus, "lines");
    await heard.result(id);
    const long = `${" ".repeat(2499)}x`;
    expect(heard.lines(id)).toEqual([
      [6, "no priority"],
      [30, "with priority"],
      [27, "an error"],
      [6, "after NUL"],
      [6, long.slice(2044)],
      [6, "<999>odd"],
      [6, "esc?[1mape"],
      [6, "no end"],
    ]);
  });

  test("I18 I19 a download that runs already is refused; one of another type is not", async () => {
    const id = await pull(bus, "wait-same", "one");
    expect(await errorOf(pull(bus, "wait-same", "two"))).toBe(
      "org.freedesktop.import1.TransferInProgress: Transfer for http://played/wait-same already in progress.",
    );
    const raw = await pull(bus, "wait-same", "two", "Raw");
    await Promise.all([over(id), over(raw)]);
  });

  test("the second of two transfers that would make the same image is refused at once", async () => {
    const id = await pull(bus, "wait-name-1", "taken");
    expect(await errorOf(pull(bus, "wait-name-2", "taken"))).toBe(
      "org.freedesktop.import1.TransferInProgress: Transfer for taken already in progress.",
    );
    const other = manager(bus, "PullTarEx", "sssst", "http://played/wait-name-2", "taken", "sysext", "no", 0n);
    await Promise.all([over(id), over((await other)[0] as number)]);
  });

  test("I34 three cancellations send SIGTERM, the fourth sends SIGKILL", async () => {
    const id = await pull(bus, "deaf");
    await heard.line(id, "ready");
    for (let i = 1; i <= 3; i++) {
      await cancel(id);
      await waitFor(() => expect(heard.lines(id).length).toBe(1 + i), "the worker's answer");
    }
    expect(heard.of(id, "TransferRemoved")).toEqual([]);
    await cancel(id);
    expect(await heard.result(id)).toBe("canceled");
  });

  test("a worker that is killed makes the transfer fail", async () => {
    const id = await pull(bus, "killed");
    expect(await heard.result(id)).toBe("failed");
    await daemon.logged(`(transfer${id}) The worker was ended by SIGKILL; the kernel sends it when memory runs out`);
  });

  test("I17 64 transfers run at the same time, the 65th is refused", async () => {
    const ids: number[] = [];
    for (let i = 0; i < 64; i++) ids.push(await pull(bus, `wait-${i}`));
    expect(await errorOf(pull(bus, "wait-64"))).toStartWith("System.Error.E2BIG: ");
    const [list] = (await manager(bus, "ListTransfers")) as [unknown[]];
    expect(list.length).toBe(64);
    await Promise.all(ids.map(over));
    expect(await manager(bus, "ListTransfers")).toEqual([[]]);
  });

  test("I20 I21 I23 I24 invalid URLs, names, classes and flags are refused before a worker starts", async () => {
    const plain = (url: string, local: string, verify: string) =>
      errorOf(manager(bus, "PullTar", "sssb", url, local, verify, false));
    expect(await plain("ftp://x/y", "a", "no")).toBe("InvalidArgs: URL 'ftp://x/y' is invalid");
    expect(await plain("", "a", "no")).toBe("InvalidArgs: URL '' is invalid");
    expect(await plain("http://", "a", "no")).toStartWith("InvalidArgs");
    expect(await plain("http://x/y", "a", "perhaps")).toBe("InvalidArgs: Unknown verification mode perhaps");
    for (const name of [".#x", "a/b", "..", "ctrl\u0001", "x".repeat(256)]) {
      expect(await plain("http://x/y", name, "no")).toBe(`InvalidArgs: Local image name ${name} is invalid`);
    }
    const extended = (imageClass: string, flags: bigint) =>
      errorOf(manager(bus, "PullTarEx", "sssst", "http://x/y", "a", imageClass, "no", flags));
    expect(await extended("foo", 0n)).toBe("InvalidArgs: Image class 'foo' not known");
    expect(await extended("machine", 8n)).toBe("InvalidArgs: Flags 0x8 invalid");
    const list = (flags: bigint) => errorOf(manager(bus, "ListTransfersEx", "st", "", flags));
    expect(await list(1n)).toBe("InvalidArgs: Flags 0x1 invalid");
    expect(await errorOf(manager(bus, "PullOci", "ssst", "bad ref::", "a", "machine", 0n))).toStartWith("InvalidArgs");
    for (const [url, name] of [
      ["file:/done", "bad name"],
      ["https://played/done", ".host-like"],
    ] as const) {
      const [id] = await manager(bus, "PullTar", "sssb", url, name, "", false);
      expect(await heard.result(id as number)).toBe("done");
    }
  });

  /** The arguments and the environment of a worker. */
  const callOf = async (started: Promise<unknown[]>) => {
    const [id] = (await started) as [number];
    await heard.result(id);
    const lines = heard.lines(id).map(([, text]) => text);
    const first = lines.findIndex((line) => line.startsWith("--system"));
    const end = lines.findIndex((line) => /^[A-Z_]+=/.test(line));
    return { words: lines.slice(first, end), env: lines.slice(end) };
  };

  test("I3 the worker's command line has all options of the call", async () => {
    const root = `--image-root=${daemon.images}/var/lib`;
    const plain = await callOf(manager(bus, "PullTar", "sssb", "http://played/call", "img", "", true));
    expect(plain.words).toEqual([
      // Without systemd as 252, which keeps the download.
      ...["--system", "--verify=signature", "--keep-download=yes", "--force", `${root}/machines`],
      ...["--", "http://played/call", "img"],
    ]);
    // A worker of other programs gets the URL as it was given; nobody else gets its login.
    const withLogin = await callOf(
      manager(bus, "PullTar", "sssb", "http://user:secret@played/call", "in", "no", false),
    );
    expect(withLogin.words.slice(-3)).toEqual(["--", "http://user:secret@played/call", "in"]);
    const ex = manager(bus, "PullRawEx", "sssst", "http://played/call", "", "sysext", "checksum", 7n);
    expect((await callOf(ex)).words).toEqual([
      ...["--system", "--verify=checksum", "--class=sysext", "--keep-download=yes", "--force", "--read-only"],
      ...[`${root}/extensions`, "--", "http://played/call", "-"],
    ]);
    const oci = await callOf(manager(bus, "PullOci", "ssst", "registry.example/call:1", "o", "portable", 0n));
    expect(oci.words).toEqual([
      ...["--system", "--class=portable", `${root}/portables`, "--", "registry.example/call:1", "o"],
    ]);
    expect(plain.env).toContain("SYSTEMD_LOG_TARGET=console-prefixed");
    expect(plain.env).toContain(`NOTIFY_SOCKET=${daemon.runtime}/import/notify`);
    expect(plain.env.find((line) => line.startsWith("MACHINED_PARENT"))).toContain(`:${daemon.pid}`);
    // A worker inherits none of the daemon's open files: only the three streams, and the directory that ls has opened.
    expect(plain.env.filter((line) => line.includes(" -> ")).length).toBe(4);
  });

  test("name and password of a URL are in no list of transfers, also for a worker of other programs", async () => {
    const [id, path] = await manager(bus, "PullTar", "sssb", "http://user:secret@played/wait", "listed", "no", false);
    const [list] = await manager(bus, "ListTransfers");
    expect((list as unknown[][]).map((row) => row[2])).toContain("http://played/wait");
    const properties = await object(
      bus,
      path as string,
      "org.freedesktop.DBus.Properties",
      "Get",
      "ss",
      TRANSFER,
      "Remote",
    );
    expect(JSON.stringify(properties)).toContain("http://played/wait");
    await over(id as number);
  });

  test("I25 I101 imports accept a file, a pipe or a directory, and nothing else", async () => {
    const open = (path: string) => Fd.adopt(openSync(path, "r"));
    using file = open("/etc/hostname");
    using folder = open("/etc");
    using device = open("/dev/null");
    const [tar] = await manager(bus, "ImportTar", "hsbb", file, "source", false, false);
    const [early, write] = openPipe();
    // Reopened, reads block until data comes, as with a shell's pipe.
    using pipe = open(`/proc/self/fd/${early.number}`);
    writeSome(write, Buffer.from("piped"));
    write.close();
    const [piped] = await manager(bus, "ImportTarEx", "hsst", pipe, "source-pipe", "machine", 2n);
    early.close();
    const [tree] = await manager(bus, "ImportFileSystem", "hsbb", folder, "source-fs", false, false);
    expect(await heard.result(tar as number)).toBe("done");
    expect(await heard.result(tree as number)).toBe("done");
    expect(heard.lines(tar as number)[0]?.[1].trim()).toBe(String(await Bun.file("/etc/hostname").size));
    expect(heard.lines(tree as number)).toEqual([[6, "/etc"]]);
    expect(await heard.result(piped as number)).toBe("done");
    expect(heard.lines(piped as number)).toEqual([[6, "5"]]);
    expect(await refusal(bus, "ImportTar", folder)).toBe("InvalidArgs: Invalid argument");
    expect(await refusal(bus, "ImportRaw", device)).toBe("InvalidArgs: Invalid argument");
    expect(await refusal(bus, "ImportFileSystem", file)).toBe("System.Error.ENOTDIR: Not a directory");
    expect(await errorOf(manager(bus, "ImportTar", "hsbb", file, "", false, false))).toStartWith("InvalidArgs");
  });

  test("I26 without systemd, descriptors that append or do not wait are taken as by 252; those with O_PATH are not", async () => {
    const path = join(daemon.runtime, "target");
    writeFileSync(path, "before, ");
    for (const flags of [constants.O_WRONLY | constants.O_APPEND, constants.O_RDWR | constants.O_NONBLOCK]) {
      using file = Fd.adopt(openSync(path, flags));
      const [id] = await manager(bus, "ExportTar", "shs", "target", file, "");
      expect(await heard.result(id as number)).toBe("done");
      expect(readFileSync(path, "utf8")).toStartWith(
        flags & constants.O_APPEND ? "before, the content" : "the content",
      );
    }
    using named = Fd.adopt(openSync(path, O_PATH));
    expect(await errorOf(manager(bus, "ExportTar", "shs", "target", named, ""))).toBe(
      "System.Error.EREMOTEIO: Remote I/O error",
    );
  });

  test("I120 an export writes to the file that is passed", async () => {
    const path = `${daemon.runtime}/exported`;
    using file = Fd.adopt(openSync(path, "w"));
    const [id] = await manager(bus, "ExportTarEx", "sshst", "target", "machine", file, "gzip", 0n);
    expect(await heard.result(id as number)).toBe("done");
    expect(await Bun.file(path).text()).toBe("the content");
    expect(heard.lines(id as number)).toEqual([[30, "written"]]);
    expect(await errorOf(manager(bus, "ExportRawEx", "sshst", "x", "machine", file, "", 1n))).toBe(
      "InvalidArgs: Flags 0x1 invalid",
    );
    expect(await errorOf(manager(bus, "ExportRaw", "shs", "x", file, "rar"))).toStartWith("InvalidArgs");
  });

  test("I33 a daemon that is terminated stops its workers first", async () => {
    await using other = await TestImportd.start();
    const client = await other.bus();
    const events = await Announcements.of(client);
    await events.line(await pull(client, "polite"), "ready");
    await pull(client, "wait");
    // A worker that was just started may not have executed its program yet.
    await waitFor(() => expect(workersOf(other.pid).length).toBe(2), "the workers");
    const workers = workersOf(other.pid);
    expect(await other.kill()).toBe(0);
    for (const pid of workers) expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(other.log).toContain("Transfer aborted.");
  });

  test("the log of a worker that floods it is truncated, with a message", async () => {
    const id = await pull(bus, "flood");
    const [, note] = await heard.line(id, /^\d+ lines of the log were left out\.$/);
    await over(id);
    const lines = heard.lines(id).map(([, text]) => text);
    expect(lines.indexOf(note)).toBe(200);
    expect(lines.slice(0, 200)).toEqual(Array.from({ length: 200 }, (_, i) => `line ${i}`));
  });

  test("when a worker cannot be started, the call fails", async () => {
    await using other = await TestImportd.start({ SYSTEMD_PULL_PATH: "/nonexistent" });
    expect(await errorOf(pull(await other.bus(), "done"))).toBe(
      "FileNotFound: Failed to start systemd-pull: No such file or directory",
    );
  });

  test("I36 temporary files of a worker that was killed are removed", async () => {
    await using other = await TestImportd.start({ SYSTEMD_IMPORT_PATH: "" });
    const client = await other.bus();
    const events = await Announcements.of(client);
    const endless = join(other.runtime, "endless");
    Bun.spawnSync(["mkfifo", endless]);
    using fifo = Fd.adopt(openSync(endless, O_RDWR));
    const [id] = await manager(client, "ImportTar", "hsbb", fifo, "never", false, false);
    const root = join(other.images, "var/lib/machines");
    const stage = /^\.#tar[0-9a-f]{16}$/;
    await waitFor(() => expect(readdirSync(root).some((name) => stage.test(name))).toBe(true), "the worker's tree");
    process.kill(workersOf(other.pid)[0] as number, "SIGKILL");
    expect(await events.result(id as number)).toBe("failed");
    await waitFor(() => expect(readdirSync(root).some((name) => stage.test(name))).toBe(false), "the sweep");
  });

  test("workers end when their daemon is killed", async () => {
    await using other = await TestImportd.start({ SYSTEMD_IMPORT_PATH: "" });
    const client = await other.bus();
    const endless = join(other.runtime, "endless");
    Bun.spawnSync(["mkfifo", endless]);
    using fifo = Fd.adopt(openSync(endless, O_RDWR));
    await manager(client, "ImportTar", "hsbb", fifo, "never", false, false);
    const root = join(other.images, "var/lib/machines");
    await waitFor(() => expect(readdirSync(root).length).toBeGreaterThan(0), "the worker's first file");
    const [worker] = workersOf(other.pid);
    await other.kill("SIGKILL");
    await waitFor(() => expect(existsSync(`/proc/${worker}`)).toBe(false), "the end of the worker");
    expect(readdirSync(root)).toEqual([]);
  });
});

function refusal(bus: BusClient, member: string, fd: Fd): Promise<string> {
  return errorOf(manager(bus, member, "hsbb", fd, "x", false, false));
}
