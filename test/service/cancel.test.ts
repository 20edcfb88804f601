// Cancelled copies must end with their child processes, must not be installed incompletely or reported as a success,
// and uncompressed disk images can be cancelled as well.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { openPath } from "../../src/kernel/file/fd.ts";
import { copyRaw } from "../../src/worker/image/write-raw.ts";
import { isRoot } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { count, filesIn, finished, ImageHost } from "./image-host.ts";
import { FaultyServer } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const FILES = 6000;
const MEMBERS = 3000;
const DISK_BYTES = 96 << 20;
/** The number of cancellations that must come before the end of the work, and the maximum of attempts. */
const IN_TIME = 2;
const TRIES = 40;
const SRC = join(import.meta.dir, "../../src");

describe.skipIf(!isRoot)(`cancelling${needsRoot}`, () => {
  const server = new FaultyServer();

  for (const parent of ["/var/tmp", "/dev/shm"]) {
    describe(`in ${parent}`, () => {
      const host = new ImageHost(parent);
      const tree = join(host.path, "tree");
      mkdirSync(tree);
      for (let i = 0; i < FILES; i++) writeFileSync(join(tree, `f${i}`), `content of ${i}`);
      const disk = join(host.path, "disk");
      writeFileSync(disk, randomBytes(DISK_BYTES));
      const members = Array.from({ length: MEMBERS }, (_, i) => ({ name: `f${i}`, data: `content of ${i}` }));
      server.pages["t.tar.gz"] = { body: gzipSync(archive(...members)), headers: { ETag: '"t"' } };
      server.pages["d.raw"] = { body: readFileSync(disk), headers: { ETag: '"d"' } };

      const start = (program: string, args: readonly string[]) => host.start(program, args);
      const working = (label: string) => {
        const entry = host.entries().find((name) => name.startsWith(`.#${label}`));
        return entry === undefined ? null : join(host.pool, entry);
      };

      /**
       * Cancels a worker once it `hasBegun`. The worker may end first: it is repeated until enough
       * cancellations were in time. Each time, `expectWhole` or `expectNone` has to hold.
       */
      async function cancelSometimes(
        begin: () => ReturnType<typeof start>,
        hasBegun: () => boolean,
        { expectWhole, expectNone }: { expectWhole: () => void; expectNone: () => void },
      ): Promise<void> {
        let inTime = 0;
        for (let tries = 0; inTime < IN_TIME; tries++) {
          expect(tries).toBeLessThan(TRIES);
          const child = begin();
          const end = finished(child);
          while (child.exitCode === null && !hasBegun()) await new Promise((resolve) => setImmediate(resolve));
          child.kill("SIGTERM");
          const { code, log } = await end;
          if (code === 0) expectWhole();
          else {
            inTime++;
            expect([code, log]).toEqual([4, expect.stringContaining("Transfer aborted.")]);
            expectNone();
          }
          expect(host.lockFiles()).toEqual([]);
        }
      }

      test.each([1, 1000])("a cancelled copy of a directory is complete or absent (at %i files)", async (files) => {
        await cancelSometimes(
          () => start("systemd-import-fs", ["run", tree, "copy"]),
          () => count(working("fs") ?? "") >= files,
          {
            expectNone: () => expect(host.entries()).toEqual([]),
            expectWhole: () => {
              expect(filesIn(join(host.pool, "copy"))).toBe(FILES);
              host.clear();
            },
          },
        );
        host.clear();
      });

      test("a cancelled copy of a cached download is complete or absent", async () => {
        const pull = (name: string) => ["tar", "--verify=no", "--settings=no", server.url("t.tar.gz"), name];
        expect((await host.run("systemd-pull", pull("first"))).code).toBe(0);
        const before = host.entries();
        for (const files of [1, 1000]) {
          await cancelSometimes(
            () => start("systemd-pull", pull("second")),
            () => count(working("tar") ?? "") >= files,
            {
              expectNone: () => expect(host.entries()).toEqual(before),
              expectWhole: () => {
                expect(count(join(host.pool, "second"))).toBe(MEMBERS);
                host.clear("second");
              },
            },
          );
        }
        host.clear();
      });

      test("import, export and copy of a disk image that is not compressed can be cancelled", async () => {
        const copies = (name: string, before: string[]) => ({
          expectNone: () => expect(host.entries()).toEqual(before),
          expectWhole: () => {
            expect(readFileSync(join(host.pool, name)).equals(readFileSync(disk))).toBe(true);
            host.clear(name);
          },
        });
        const isBegun = (label: string) => () => working(label) !== null;
        const importing = () => start("systemd-import", ["raw", disk, "disk"]);
        await cancelSometimes(importing, isBegun("raw"), copies("disk.raw", []));
        host.clear();
        expect((await finished(importing())).code).toBe(0);
        const exporting = () => start("systemd-export", ["raw", "disk", join(host.pool, "out")]);
        await cancelSometimes(exporting, isBegun("export"), copies("out", ["disk.raw"]));
        const pull = (name: string) => ["raw", "--verify=no", "--settings=no", server.url("d.raw"), name];
        host.clear();
        expect((await host.run("systemd-pull", pull("first"))).code).toBe(0);
        const copying = () => start("systemd-pull", pull("second"));
        await cancelSometimes(copying, isBegun("raw"), copies("second.raw", host.entries()));
        host.clear();
      });

      test("a copy of a disk image reports progress and yields to the event loop", async () => {
        using source = openPath(disk, "read");
        const target = join(host.path, "copy");
        writeFileSync(target, "");
        using to = openPath(target, "read-write");
        const reached: number[] = [];
        let turns = 0;
        const timer = setInterval(() => turns++, 0);
        await copyRaw(source, to, (bytes) => reached.push(bytes));
        clearInterval(timer);
        expect(readFileSync(target).equals(readFileSync(disk))).toBe(true);
        expect(reached.at(-1)).toBe(DISK_BYTES);
        expect(reached.length).toBeGreaterThan(1);
        expect(turns).toBeGreaterThan(0);
      });
    });
  }

  test("an abandoned image is never installed, also when its clean-up fails", () => {
    const host = new ImageHost();
    const script = `
      const { Stage, openImageRoot } = await import("${SRC}/worker/image/stage.ts");
      const { abandonAll, abandonWithUs } = await import("${SRC}/worker/program/abandon.ts");
      const root = openImageRoot("${host.pool}");
      const options = { force: true, readOnly: false, sync: false, locks: null };
      const attempt = (act) => { try { act(); return "done"; } catch (error) { return error.errnoName; } };
      const [first, second] = [Stage.tree(root, "tar", false), Stage.tree(root, "tar", false)];
      abandonWithUs({ [Symbol.dispose]() { throw new Error("no"); } });
      first[Symbol.dispose]();
      console.log(attempt(() => first.install("first", options)));
      abandonAll();
      console.log(attempt(() => second.install("second", options)));
      console.log(attempt(() => Stage.tree(root, "tar", false)));
      console.log(attempt(() => abandonAll()));`;
    const { stdout } = Bun.spawnSync([process.execPath, "-e", script]);
    expect(stdout.toString()).toBe("ECANCELED\nECANCELED\nECANCELED\ndone\n");
    expect(host.entries()).toEqual([]);
  });
});
