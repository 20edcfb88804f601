// Pulls of container images that are killed before each of their changes to the directory of images: an image that has
// its name has its layers, its settings and its configuration; after a sweep, there are none of these without it.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isRoot } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { ImageHost } from "./image-host.ts";
import { layerOf, ociImage, publishOci, registryRules } from "./oci-support.ts";
import { FaultyServer } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const MAIN = join(import.meta.dir, "../../src/main.ts");
const can = isRoot && havePrograms("pulls of container images that are killed at each step", "strace");
const reason = can ? "" : isRoot ? " (left out: no strace here)" : needsRoot;
/** More changes of a kind than any pull makes in one thread. */
const MANY = 80;

describe.skipIf(!can)(`pulls of container images that are killed at each step${reason}`, () => {
  const host = new ImageHost();
  const server = new FaultyServer();
  const base = layerOf({ name: "etc/", type: "5" }, { name: "etc/file", data: "text" });
  const top = layerOf({ name: "etc/", type: "5" }, { name: "etc/other", data: "more" });
  const image = ociImage([base, top]);
  const reference = publishOci(server, "web", image);
  const other = publishOci(server, "other", ociImage([base]));
  const env = {
    PATH: process.env["PATH"] ?? "",
    SYSTEMD_IMPORT_SYNC: "no",
    MACHINED_IMAGE_ROOT: host.path,
    MACHINED_OCI_REGISTRIES: registryRules(host.path, server),
  };
  /** Whether images are stacks of layers or trees, as older releases of systemd-nspawn need them. */
  let form = { suffix: ".mstack", variable: "1" };
  const environment = () => ({ ...env, MACHINED_OCI_STACK: form.variable });
  const worker = (program: string, ...words: string[]) => [process.execPath, MAIN, program, ...words];
  const pull = (from: string, ...options: string[]) =>
    worker("systemd-pull", "oci", `--image-root=${host.pool}`, "--verify=no", ...options, from, "web");

  async function run(words: readonly string[]): Promise<void> {
    const child = Bun.spawn([...words], { env: environment(), stdio: ["ignore", "ignore", "pipe"] });
    const text = await child.stderr.text();
    if ((await child.exited) !== 0) throw new Error(`${words.join(" ")} failed: ${text}`);
  }

  /** Runs a pull and kills it before its call of that number; returns whether it was killed. */
  async function killedBefore(call: string, number: number, words: readonly string[]): Promise<boolean> {
    const inject = `inject=${call}:signal=KILL:when=${number}`;
    const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject];
    const child = Bun.spawn([...strace, ...words], { env: environment(), stdio: ["ignore", "ignore", "pipe"] });
    const text = await child.stderr.text();
    const status = await child.exited;
    const isKilled = child.signalCode === "SIGKILL" || status === 137;
    if (!isKilled && status !== 0) throw new Error(`${words.join(" ")} failed: ${text}`);
    return isKilled;
  }

  const has = (name: string) => existsSync(join(host.pool, name));

  /** What a sweep must not leave: only parts of downloads are kept, for the next pull. */
  const leftovers = () => host.entries().filter((name) => name.startsWith(".#") && !name.startsWith(".#pull-"));
  const configuration = () => readFileSync(join(host.pool, "web.oci-config"));
  /** Whether the image has the file of the upper layer. */
  const hasTop = () =>
    ["", ...readdirSync(join(host.pool, `web${form.suffix}`))].some((layer) =>
      has(join(`web${form.suffix}`, layer, "etc/other")),
    );
  const isThere = () => has(`web${form.suffix}`);

  /** The layers of the image that are not in the pool, and the side files that are missing. */
  function missing(): string[] {
    const image = join(host.pool, `web${form.suffix}`);
    const links = readdirSync(image, { withFileTypes: true }).filter((entry) => entry.isSymbolicLink());
    const dangling = links.filter(({ name }) => !existsSync(join(image, name))).map(({ name }) => name);
    const sides = ["web.nspawn", "web.oci-config"].filter((name) => !has(name));
    return [...dangling, ...sides];
  }

  const forms = [
    { suffix: ".mstack", variable: "1" },
    { suffix: "", variable: "0" },
  ];
  const each = (calls: string[]) => forms.flatMap((one) => calls.map((call) => [call, one.suffix, one] as const));

  test.each(each(["renameat2", "unlinkat"]))(
    "before each %s: an image '%s' is whole or not there",
    async (call, _suffix, one) => {
      form = one;
      let kills = 0;
      for (let isKilled = true; isKilled; kills += isKilled ? 1 : 0) {
        host.clear();
        isKilled = await killedBefore(call, kills + 1, pull(reference));
        if (isThere()) expect([call, kills, ...missing()]).toEqual([call, kills]);
        await run(worker("systemd-import-sweep", host.pool));
        if (isThere()) expect([call, kills, ...missing()]).toEqual([call, kills]);
        else expect([call, kills, has("web.nspawn"), has("web.oci-config")]).toEqual([call, kills, false, false]);
        expect(leftovers()).toEqual([]);
        // What is left is no obstacle.
        await run(pull(reference, "--force"));
        expect(missing()).toEqual([]);
        if (kills > MANY) throw new Error("more calls than expected");
      }
      expect(kills).toBeGreaterThan(1);
    },
  );

  test.each(each(["renameat2"]))(
    "before each %s: an image '%s' that is replaced is the old or the new one",
    async (call, _suffix, one) => {
      form = one;
      let [kills, replaced] = [0, 0];
      for (let isKilled = true; isKilled; kills += isKilled ? 1 : 0) {
        host.clear();
        await run(pull(other));
        isKilled = await killedBefore(call, kills + 1, pull(reference, "--force"));
        await run(worker("systemd-import-sweep", host.pool));
        expect([call, kills, ...missing()]).toEqual([call, kills]);
        const isNew = configuration().equals(image.blobs[0]?.bytes ?? Buffer.alloc(0));
        if (isNew) replaced++;
        expect([call, kills, hasTop()]).toEqual([call, kills, isNew]);
        expect(leftovers()).toEqual([]);
        if (kills > MANY) throw new Error("more calls than expected");
      }
      expect([kills > 2, replaced > 1, replaced <= kills]).toEqual([true, true, true]);
    },
  );
});
