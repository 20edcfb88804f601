// Imports, downloads, copies, clones, removals and cleaning run concurrently, and each is killed at a random moment: a
// name has a complete image or none, and the image of a running machine is unchanged. MACHINED_IMAGE_KILLS is the
// number of kills of each of them on each file system.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { isLockFree } from "../../src/kernel/file/lock.ts";
import { ImageSearch } from "../../src/registry/image/search.ts";
import { sweepAll } from "../../src/registry/image/sweep.ts";
import { isRoot } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { ImageHost } from "./image-host.ts";
import { expectWhole, Killable, makeVersions, type Operation, transfersOf, type Version } from "./image-versions.ts";
import { FaultyServer, Scratch } from "./pull-support.ts";

const KILLS = Number(process.env["MACHINED_IMAGE_KILLS"] ?? 2);
setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const server = new FaultyServer();
const versions = makeVersions(scratch.path, server);

/** The processes that run concurrently; `host` has the directories that operations of machined get. */
function operationsOf(host: ImageHost): Operation[] {
  const operation = (request: object) => JSON.stringify({ layout: host.layout, ...request });
  /** The image as an operation names it; one that does not exist is not found by the operation either. */
  const target = (name: string) => {
    const image = new ImageSearch(host.layout.searchPath).find(name);
    return { name, path: image?.path ?? "", identity: image?.facts.identity ?? "" };
  };
  const index = (round: number) => round % 2;
  return [
    ...transfersOf(host, server),
    {
      name: "clone",
      command: (round) => [
        "machined-worker",
        "clone",
        operation({ target: target("base"), newName: `clone${round}`, readOnly: index(round) === 0 }),
      ],
    },
    {
      name: "remove",
      command: (round) => ["machined-worker", "remove", operation({ target: target(`clone${round - 1}`) })],
    },
    { name: "clean", command: () => ["machined-worker", "clean", operation({ mode: "hidden" })] },
    { name: "remove-leftovers", command: () => ["machined-worker", "remove-leftovers", operation({})] },
    { name: "import-sweep", command: () => ["systemd-import-sweep", host.pool] },
    { name: "replace-running", command: (_, { tarFile }) => ["systemd-import", "tar", "--force", tarFile, "running"] },
  ];
}

const KINDS = ["btrfs", "ext4", "tmpfs"] as const;

/** Mounts a new file system of that kind, until it is disposed of. */
function mountNew(kind: string): Disposable & { readonly path: string } {
  const place = join(scratch.path, kind);
  mkdirSync(place);
  const disk = `${place}.disk`;
  const flags = kind === "btrfs" ? "-q -f" : "-q -F";
  const script =
    kind === "tmpfs"
      ? `mount -t tmpfs -o size=600M tmpfs '${place}'`
      : `truncate -s 1G '${disk}' && mkfs.${kind} ${flags} '${disk}' && mount -o loop '${disk}' '${place}'`;
  const { success, stderr } = Bun.spawnSync(["sh", "-c", script]);
  if (!success) throw new Error(`Cannot mount a new ${kind}: ${stderr}`);
  return {
    path: place,
    [Symbol.dispose]: () => {
      Bun.spawnSync(["umount", "-l", place]);
      rmSync(disk, { force: true });
    },
  };
}

for (const kind of KINDS) {
  const hasMkfs = kind === "tmpfs" || havePrograms(`kills on ${kind}`, `mkfs.${kind}`);
  const reason = isRoot ? (hasMkfs ? "" : ` (left out: no mkfs.${kind} here)`) : needsRoot;
  describe.skipIf(!isRoot || !hasMkfs)(`workers that are killed at any point, on ${kind}${reason}`, () => {
    test(`${KILLS} times each: a name has a complete image or none, and the running machine's image is unchanged`, async () => {
      using place = mountNew(kind);
      const host = new ImageHost(place.path);
      const operations = operationsOf(host);
      const [first] = versions as [Version, Version];
      for (const name of ["base", "running"]) {
        await new Killable(name, ["systemd-import", "tar", first.tarFile, name], host).end(null);
      }
      using machine = host.lockAsMachine(join(host.pool, "running"));
      const inodes = () => machine.files.map((file) => statSync(file).ino);
      const before = inodes();
      const root = statSync(join(host.pool, "running")).ino;
      const durations = new Map<string, number>();
      const counts = new Map<string, { killed: number; ended: number; succeeded: number }>();

      for (let round = 0; round <= KILLS; round++) {
        const version = versions[round % 2] as Version;
        const runs = operations.map(async ({ name, command }) => {
          const longest = durations.get(name);
          const delay = longest === undefined ? null : Math.random() * longest;
          const { ran, code, isKilled, report } = await new Killable(name, command(round, version), host).end(
            delay,
            "SIGKILL",
          );
          if (!isKilled) durations.set(name, Math.max(durations.get(name) ?? 0, ran));
          const count = counts.get(name) ?? { killed: 0, ended: 0, succeeded: 0 };
          counts.set(name, count);
          count[isKilled ? "killed" : "ended"]++;
          if (code === 0) count.succeeded++;
          // In the first round none is killed.
          if (round === 0 && name === "clone") expect([code, report]).toEqual([0, expect.any(String)]);
        });
        await Promise.all(runs);
        expectWhole(host, versions, `round ${round}`);
        // The machine's tree is the same one, and its locks exist and are held.
        expect([round, statSync(join(host.pool, "running")).ino, inodes()]).toEqual([round, root, before]);
        expect(machine.files.map((file) => isLockFree(file))).toEqual([false, false]);
      }

      await new Killable("import-sweep", ["systemd-import-sweep", host.pool], host).end(null);
      sweepAll(host.layout);
      expectWhole(host, versions, "in the end");
      const left = host.entries().filter((name) => name.startsWith(".#") && !name.startsWith(".#pull-"));
      expect(left).toEqual([]);
      expect(host.lockFiles().length).toBe(2);
      expect(existsSync(join(host.pool, "base"))).toBe(true);
      expect([...counts.values()].reduce((sum, { killed }) => sum + killed, 0)).toBeGreaterThan(0);
      const table = [...counts].map(
        ([name, { killed, ended, succeeded }]) => `${name} ${killed}/${ended}/${succeeded}`,
      );
      console.log(`${kind}: killed/ended/succeeded: ${table.join(", ")}`);
    });
  });
}
