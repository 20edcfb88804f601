// io.systemd.Import with simulated workers: following a transfer, starting one without following it, methods that
// systemd lacks.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { VarlinkError } from "../../src/ipc/varlink/client.ts";
import { Fd } from "../../src/kernel/file/fd.ts";
import { isRoot, needsRoot } from "../lib/daemon.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../lib/descriptors.ts";
import { waitFor } from "../lib/wait-for.ts";
import { Announcements, TestImportd } from "./import-support.ts";

type Reply = Record<string, unknown>;

describe.skipIf(!isRoot)(`io.systemd.Import${needsRoot}`, () => {
  let daemon: TestImportd;
  let heard: Announcements;

  beforeAll(async () => {
    daemon = await TestImportd.start();
    heard = await Announcements.of(await daemon.bus());
  });
  afterAll(() => daemon[Symbol.asyncDispose]());

  const request = (what: string, more: object = {}) => ({
    remote: `http://played/${what}`,
    type: "tar",
    class: "machine",
    ...more,
  });

  /**
   * All replies of a call on a connection of its own, and the error that it ended with. `started` receives the id of
   * the transfer when its reply comes.
   */
  async function replies(
    member: string,
    parameters: object,
    { descriptors = [], started = () => {} }: { descriptors?: Fd[]; started?: (id: number) => void } = {},
  ): Promise<[Reply[], string]> {
    const list: Reply[] = [];
    const client = await daemon.varlink();
    try {
      for await (const reply of client.callMore(`io.systemd.Import.${member}`, parameters, descriptors)) {
        list.push(reply);
        if ("id" in reply) started(reply["id"] as number);
      }
      return [list, ""];
    } catch (error) {
      return [list, failure(error)];
    } finally {
      client.close();
    }
  }

  function failure(error: unknown): string {
    if (!(error instanceof VarlinkError)) throw error;
    const { id, parameters } = error as { id: string; parameters: Reply };
    const isBare = Object.keys(parameters).length === 0;
    return id.replace("io.systemd.Import.", "") + (isBare ? "" : ` ${JSON.stringify(parameters)}`);
  }

  async function call(member: string, parameters: object = {}): Promise<Reply | string> {
    const client = await daemon.varlink();
    return client.call(`io.systemd.Import.${member}`, parameters).catch(failure);
  }

  /** Ends a transfer and waits until it is over. */
  async function over(id: number): Promise<void> {
    await call("Cancel", { id });
    await heard.result(id);
  }

  test("I41 the socket is open to everyone", () => {
    expect(statSync(join(daemon.runtime, "io.systemd.Import")).mode & 0o777).toBe(0o666);
  });

  test("I42 Pull with 'more' replies with the id, progress, log lines, and an empty reply at the end", async () => {
    const [list, error] = await replies("Pull", request("lines", { local: "followed" }));
    expect(error).toBe("");
    expect(list[0]).toEqual({ id: expect.any(Number) });
    expect(list[1]).toEqual({ log: { message: "no priority", priority: 6 } });
    expect(list[2]).toEqual({ log: { message: "with priority", priority: 30 } });
    expect(list.at(-1)).toEqual({});
    const client = await daemon.varlink();
    const steps: unknown[] = [];
    let id = 0;
    for await (const reply of client.callMore("io.systemd.Import.Pull", request("progress"))) {
      if ("id" in reply) id = reply["id"] as number;
      if ("progress" in reply) steps.push(reply["progress"]);
      if (steps.length === 3) break;
    }
    expect(steps).toEqual([0.13, 0.42, 0.77]);
    client.close();
    await over(id);
  });

  test("I43 the error of a failing Pull is TransferFailed, that of a cancelled one TransferCancelled", async () => {
    const [list, error] = await replies("Pull", request("fail"));
    expect(list.length).toBe(2);
    expect(error).toBe("TransferFailed");
    const { promise: transfer, resolve: started } = Promise.withResolvers<number>();
    const cancelled = replies("Pull", request("wait-for-cancel"), { started });
    const id = await transfer;
    expect(await call("Cancel", { id })).toEqual({});
    expect((await cancelled)[1]).toBe("TransferCancelled");
    expect(await call("Cancel", { id })).toBe("NoSuchTransfer");
    for (const wrong of [0, -1]) {
      expect(await call("Cancel", { id: wrong })).toBe('org.varlink.service.InvalidParameter {"parameter":"id"}');
    }
  });

  test("I44 Pull without 'more' returns the id, and the transfer runs to its end", async () => {
    const reply = (await call("Pull", request("done", { verify: "no" }))) as Reply;
    expect(reply).toEqual({ id: expect.any(Number) });
    expect(await heard.result(reply["id"] as number)).toBe("done");
  });

  test("I45 I46 ListTransfers needs 'more', fails when there are none, filters by class, and writes types with underscores", async () => {
    await waitFor(async () => expect((await replies("ListTransfers", {}))[1]).toBe("NoTransfers"), "the end of all");
    expect(await call("ListTransfers")).toBe("org.varlink.service.ExpectedMore");
    const tar = (await call("Pull", request("wait-1", { local: "one" }))) as Reply;
    const raw = (await call("Pull", request("wait-2", { type: "raw", class: "sysext" }))) as Reply;
    const [list] = await replies("ListTransfers", {});
    expect(list).toEqual([
      {
        id: tar["id"],
        type: "pull_tar",
        remote: "http://played/wait-1",
        local: "one",
        class: "machine",
        percent: -Number.MAX_VALUE,
      },
      {
        id: raw["id"],
        type: "pull_raw",
        remote: "http://played/wait-2",
        local: "",
        class: "sysext",
        percent: -Number.MAX_VALUE,
      },
    ]);
    expect((await replies("ListTransfers", { class: "sysext" }))[0].length).toBe(1);
    expect((await replies("ListTransfers", { class: "portable" }))[1]).toBe("NoTransfers");
    await Promise.all([over(tar["id"] as number), over(raw["id"] as number)]);
  });

  test("I47 the error of a second call for the same download is AlreadyInProgress", async () => {
    const first = (await call("Pull", request("wait"))) as Reply;
    expect(await call("Pull", request("wait"))).toBe('AlreadyInProgress {"remote":"http://played/wait"}');
    await over(first["id"] as number);
  });

  test("I48 the image root is passed to the worker; it must be a normalized absolute path", async () => {
    const [list] = await replies("Pull", request("call", { imageRoot: "/srv/pool" }));
    const lines = list.map(({ log }) => (log as { message?: string } | undefined)?.message);
    expect(lines).toContain("--image-root=/srv/pool");
    for (const imageRoot of ["relative", "/a/../b"]) {
      expect(await call("Pull", request("done", { imageRoot }))).toBe(
        'org.varlink.service.InvalidParameter {"parameter":"imageRoot"}',
      );
    }
    const copy = request("", { remote: "file:///etc/hostname", imageRoot: "/srv/pool" });
    expect(await call("Pull", copy)).toStartWith("org.varlink.service.PermissionDenied");
  });

  test("errors name the invalid parameter", async () => {
    const bad = async (more: object) => (await call("Pull", request("done", more))) as string;
    expect(await bad({ remote: "gopher://x" })).toBe('org.varlink.service.InvalidParameter {"parameter":"remote"}');
    expect(await bad({ class: "foo" })).toBe('org.varlink.service.InvalidParameter {"parameter":"class"}');
    expect(await bad({ local: "a/b" })).toBe('org.varlink.service.InvalidParameter {"parameter":"local"}');
    expect(await bad({ verify: "maybe" })).toBe('org.varlink.service.InvalidParameter {"parameter":"verify"}');
  });

  test("I49 io.systemd.service reports the environment and sets the log level of the process", async () => {
    const client = await daemon.varlink();
    expect(await client.call("io.systemd.service.Ping")).toEqual({});
    await client.call("io.systemd.service.SetLogLevel", { level: 7 });
    expect(await client.call("io.systemd.service.GetLogLevel")).toEqual({ level: 7 });
    const { environment } = await client.call("io.systemd.service.GetEnvironment");
    expect(environment).toContain(`MACHINED_RUNTIME_DIRECTORY=${daemon.runtime}`);
  });

  test("I50 the transfer continues when its client disconnects", async () => {
    const client = await daemon.varlink();
    let id = 0;
    for await (const reply of client.callMore("io.systemd.Import.Pull", request("wait-alone"))) {
      id = reply["id"] as number;
      break;
    }
    client.close();
    // The daemon reads from another connection only after the end of the first one.
    expect((await replies("ListTransfers", {}))[0].map((row) => row["id"])).toEqual([id]);
    await over(id);
  });

  test("Import and Export use the descriptor that is passed with the call", async () => {
    const source = Fd.adopt(openSync("/etc/hostname", "r"));
    const [imported, error] = await replies(
      "Import",
      { fileDescriptorIndex: 0, local: "source", type: "tar", class: "portable", force: true },
      { descriptors: [source] },
    );
    expect(error).toBe("");
    expect(imported[1]).toEqual({ log: { message: String(statSync("/etc/hostname").size), priority: 6 } });
    const path = join(daemon.runtime, "exported");
    const target = Fd.adopt(openSync(path, "w"));
    const [exported] = await replies(
      "Export",
      { fileDescriptorIndex: 0, local: "target", type: "raw" },
      { descriptors: [target] },
    );
    expect(exported.at(-1)).toEqual({});
    expect(readFileSync(path, "utf8")).toBe("the content");
    const noDescriptor = 'org.varlink.service.InvalidParameter {"parameter":"fileDescriptorIndex"}';
    expect(await call("Import", { fileDescriptorIndex: 0, local: "source", type: "tar" })).toBe(noDescriptor);
    for (const index of [-1, 1]) {
      const file = Fd.adopt(openSync("/etc/hostname", "r"));
      // A descriptor that no handler receives ends its connection.
      const client = await daemon.varlink();
      const parameters = { fileDescriptorIndex: index, local: "source", type: "tar" };
      expect(await client.call("io.systemd.Import.Import", parameters, { descriptors: [file] }).catch(failure)).toBe(
        noDescriptor,
      );
    }
  });

  test("no descriptor stays open after the calls", async () => {
    const before = openDescriptors(daemon.pid);
    for (let i = 0; i < LEAK_ROUNDS; i++) {
      const descriptors = ["/etc/hostname", "/etc/hosts"].map((path) => Fd.adopt(openSync(path, "r")));
      await replies("Import", { fileDescriptorIndex: 0, local: "source", type: "tar" }, { descriptors });
    }
    await waitFor(() => expectNothingLeft(before, daemon.pid), "the files to be closed");
  });
});
