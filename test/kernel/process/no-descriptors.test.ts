// Look-ups of machines, users and images in a process that has no free descriptor: they fail, and do not report that
// something is missing.
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrnoError } from "../../../src/base/error.ts";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { accountInFile } from "../../../src/kernel/process/account.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import type { Daemon } from "../../../src/machined/action/daemon.ts";
import { mapTo } from "../../../src/machined/machines/inspect.ts";
import { findRecord } from "../../../src/machined/names/userdb.ts";
import { cleanPool } from "../../../src/registry/image/clean.ts";
import { SYSTEM_LAYOUT } from "../../../src/registry/image/layout.ts";
import { readMetadata } from "../../../src/registry/image/metadata.ts";
import { ImageSearch } from "../../../src/registry/image/search.ts";
import { MachineFiles } from "../../../src/registry/machine/file.ts";
import type { Machine } from "../../../src/registry/machine/machine.ts";
import { Registry } from "../../../src/registry/machine/registry.ts";
import { MachineSet } from "../../../src/registry/machine/set.ts";
import type { Log, ServiceManager } from "../../../src/registry/ports.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../../lib/descriptors.ts";
import { withoutDescriptors } from "../../lib/no-descriptors.ts";
import { havePrograms } from "../../lib/programs.ts";
import { waitFor } from "../../lib/wait-for.ts";

const TOO_MANY = /EMFILE|Too many open files/;
const can = havePrograms("processes without free descriptors", "unshare");
/** Returns what `ask` returns, or the message of its error. */
function answerOf(ask: () => unknown): unknown {
  try {
    return ask();
  } catch (error) {
    return (error as Error).message;
  }
}

function isTooMany(answer: unknown): boolean {
  return typeof answer === "string" && TOO_MANY.test(answer);
}

const directory = mkdtempSync(join(tmpdir(), "machined-no-descriptors-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe.skipIf(!can)(can ? "without a free descriptor" : "without a free descriptor (left out: needs unshare)", () => {
  const child = Bun.spawn(["unshare", "--user", "--net", "sleep", "infinity"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  afterAll(() => child.kill("SIGKILL"));

  /** A daemon with one machine, whose leader is in a user namespace of its own. */
  async function withMachine(): Promise<{ daemon: Daemon; leader: PidRef }> {
    const own = readlinkSync("/proc/self/ns/user");
    await waitFor(
      () => expect(readlinkSync(`/proc/${child.pid}/ns/user`)).not.toBe(own),
      "the namespace of the leader",
    );
    const leader = PidRef.of(child.pid);
    // The maps of a leader are remembered: another attempt asks about another one.
    const leaders = Array.from({ length: 64 }, () => leader.duplicate());
    const machine = () =>
      ({ name: "m", class: "container", started: true, leader: leaders.pop() ?? leader }) as unknown as Machine;
    const registry = { list: () => [machine()], find: machine };
    return { daemon: { registry } as unknown as Daemon, leader };
  }

  test("the look-up of a user fails, and does not report that no machine has it", async () => {
    const { daemon } = await withMachine();
    withoutDescriptors(() => {
      expect(() => mapTo(daemon, "uid", 100_000)).toThrow(TOO_MANY);
      expect(() => findRecord(daemon, "uid", { uid: 100_000 })).toThrow(TOO_MANY);
      expect(() => findRecord(daemon, "uid", { userName: "vu-m-0" })).toThrow(TOO_MANY);
    });
    expect(() => mapTo(daemon, "uid", 100_000)).toThrow("No matching user mapping");
    expect(() => findRecord(daemon, "uid", { uid: 100_000 })).toThrow("No such record");
  });

  test("the look-up of a process fails, and does not report that it is in no machine", () => {
    const set = new MachineSet({ placeOf: () => null } as unknown as ServiceManager);
    expect(set.findByProcess(child.pid)).toBeNull();
    withoutDescriptors(() => expect(() => set.findByProcess(child.pid)).toThrow(TOO_MANY));
    const failing = () => {
      throw new ErrnoError("EMFILE", "EMFILE");
    };
    const broken = new MachineSet({ placeOf: failing } as unknown as ServiceManager);
    expect(() => broken.placeOf(child.pid)).toThrow(TOO_MANY);
  });

  test("a machine of a file of 252 is not forgotten, and no reference to its leader is left open", () => {
    const machines = join(directory, "machines");
    mkdirSync(machines);
    const file = join(machines, "old");
    writeFileSync(file, `NAME=old\nCLASS=container\nSCOPE=machine-old.scope\nLEADER=${child.pid}\n`);
    const manager = {
      placeOf: () => {
        throw new ErrnoError("EMFILE", "EMFILE");
      },
      machineScopes: () => Promise.resolve([]),
    } as unknown as ServiceManager;
    const warnings: string[] = [];
    const log = { debug() {}, info() {}, error() {}, warning: (text: string) => warnings.push(text) };
    const before = openDescriptors();
    const registry = new Registry(
      new MachineFiles(machines),
      manager,
      log as unknown as Log,
      {} as ConstructorParameters<typeof Registry>[3],
    );
    for (let i = 0; i < LEAK_ROUNDS; i++) registry.restore();
    expect(new Set(warnings)).toEqual(new Set(["Failed to restore machine old, leaving its state file: EMFILE"]));
    expect(existsSync(file)).toBe(true);
    expectNothingLeft(before);
  });

  test("the look-up of an account fails, and does not report that the user has none", () => {
    const passwd = join(directory, "passwd");
    writeFileSync(passwd, "u:x:7:7::/home/u:/bin/sh\n");
    expect(accountInFile(7, passwd)).toMatchObject({ name: "u" });
    withoutDescriptors(() => expect(() => accountInFile(7, passwd)).toThrow(TOO_MANY));
    expect(accountInFile(7, join(directory, "missing"))).toBeNull();
  });

  test("the look-up of an image fails, and does not report a missing image or an empty os-release", () => {
    for (const left of [0, 1, 2, 3]) {
      // Each directory is listed for the first time: what is known of one is not read again.
      const pool = join(directory, `pool${left}`);
      mkdirSync(join(pool, "image/etc"), { recursive: true });
      writeFileSync(join(pool, "image/etc/os-release"), "ID=x\n");
      const listed = () => new ImageSearch([pool], { hasHost: false }).list().map(({ name }) => name);
      const found = withoutDescriptors(() => answerOf(listed), left);
      expect([left, found]).toEqual([left, isTooMany(found) ? found : ["image"]]);
      using root = openPath(join(pool, "image"), "directory");
      const id = () => readMetadata(root).osRelease.get("ID");
      const read = withoutDescriptors(() => answerOf(id), left);
      expect([left, read]).toEqual([left, isTooMany(read) ? read : "x"]);
    }
  });
});

test("layers are removed only where the stacks that may use them can be read", () => {
  const path = join(directory, "loop.mstack");
  symlinkSync(path, path);
  const images = [{ name: "loop", path, type: "mstack", mayChange: true, isHidden: false }];
  const search = { list: () => images } as unknown as ImageSearch;
  const layout = { ...SYSTEM_LAYOUT, pool: directory, searchPath: [], settings: [] };
  expect(() => cleanPool(layout, search, "hidden")).toThrow(/ELOOP|Too many levels/);
});
