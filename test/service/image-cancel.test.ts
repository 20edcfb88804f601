// Every transfer is cancelled at moments from its start to its end, so that each point where it waits is tried: either
// it succeeds and the image is complete, or it reports that it was aborted and nothing has changed.
// MACHINED_IMAGE_KILLS is the number of moments.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { isRoot } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { ImageHost } from "./image-host.ts";
import { expectWhole, Killable, makeVersions, transfersOf, type Version } from "./image-versions.ts";
import { FaultyServer, Scratch } from "./pull-support.ts";

const MOMENTS = Number(process.env["MACHINED_IMAGE_KILLS"] ?? 6);
setDefaultTimeout(GUARD_MS);

const ABORTED = 4;

describe.skipIf(!isRoot)(`cancelled at ${MOMENTS} moments${needsRoot}`, () => {
  const scratch = new Scratch();
  const server = new FaultyServer();
  const versions = makeVersions(scratch.path, server);
  const [first, second] = versions as [Version, Version];

  for (const parent of ["/var/tmp", "/dev/shm"]) {
    const host = new ImageHost(parent);
    for (const { name, command, kept } of transfersOf(host, server)) {
      test(`${name} in ${parent}`, async () => {
        const begin = (round: number, version: Version) => {
          const names = kept === undefined ? [] : host.entries().filter((entry) => entry.startsWith(kept));
          if (names.length > 0) host.clear(...names);
          return new Killable(name, command(round, version), host);
        };
        if (!host.entries().includes("base")) {
          const base = ["systemd-import", "tar", first.tarFile, "base"];
          expect((await new Killable("base", base, host).end(null)).code).toBe(0);
        }
        const { ran, code } = await begin(0, first).end(null);
        expect(code).toBe(0);
        let aborted = 0;
        for (let moment = 0; moment < MOMENTS; moment++) {
          const end = await begin(moment % 2, moment % 2 === 0 ? first : second).end((ran * moment) / MOMENTS);
          if (end.code !== 0 && !end.isKilled) {
            expect(end.code).toBe(ABORTED);
            aborted++;
          }
          expectWhole(host, versions, `cancelled at moment ${moment} of ${MOMENTS}`);
          if (end.isKilled) {
            // While it starts, and while it reads the file system of an import, it ends at once, and others clean up.
            if (host.entries().some((entry) => entry.startsWith(".#"))) expect(name).toStartWith("import-");
            expect((await host.run("systemd-import-sweep", [host.pool])).code).toBe(0);
          }
          expect(host.entries().filter((entry) => entry.startsWith(".#"))).toEqual([]);
          if (end.isKilled && name.startsWith("import-")) host.removeLockFiles();
          else expect(host.lockFiles()).toEqual([]);
        }
        console.log(`${name} in ${parent}: ${aborted} of ${MOMENTS} were in time`);
      });
    }
  }
});
