// Lists in a booted host: columns of a real container, with our daemon and the distribution's, as root and as another
// user; and the JSON of every verb against docs/json.md.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { documentedSchemas, schemaErrors } from "../lib/json-schema.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

let bed: Bed;

const SCHEMAS = documentedSchemas();

/** Arguments for each verb that docs/json.md describes; each call prints one document or more. */
const RUNS: Readonly<Record<string, readonly string[]>> = {
  "machinectl list": ["list", "list --all --columns=all"],
  "machinectl status": ["status deb1", "status .host"],
  "machinectl show": ["show", "show deb1"],
  "machinectl stats": [
    "stats --delay=100ms",
    "stats --delay=100ms --columns=all",
    "stats --delay=20ms --filter=name=x",
  ],
  "machinectl list-images": ["list-images", "list-images --all --columns=all"],
  "machinectl events": ["events --no-follow --since=@0"],
  "machinectl doctor": ["doctor", "doctor deb1"],
  "machinectl exec": ["exec --detach deb1 true"],
  "machinectl logs": ["logs deb1 -n 5", "logs .host -n 5"],
  "machinectl image-status": ["image-status", "image-status deb1"],
  "machinectl show-image": ["show-image", "show-image deb1"],
  "machinectl clean": ["clean"],
  "importctl list-transfers": ["list-transfers", "list-transfers --columns=all", "list-transfers --filter=local=slow"],
  "importctl list-images": ["list-images", "list-images --columns=all"],
};

describe.skipIf(isStock)(isStock ? "lists (left out: a feature of machined)" : "lists", () => {
  const OURS = "/srv/machined/machined";

  beforeAll(async () => {
    bed = await Bed.boot("lists");
    await bed.startContainer("deb1");
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  /** The columns of the container that must be the same with every daemon. */
  async function facts(client: string): Promise<void> {
    const template = "'{{name}} {{image}} {{unit}} {{leader}} {{owner}} {{hostname}} {{class}} {{os}}'";
    const leader = await bed.run("machinectl show -p Leader --value deb1");
    expect(await bed.run(`${client} list --template=${template}`)).toBe(
      `deb1 deb1 systemd-nspawn@deb1.service ${leader} root deb1 container debian`,
    );
    const [uptimeUsec, memory = ""] = (await bed.run(`${client} list --template='{{uptime}} {{memory}}'`)).split(" ");
    expect(Number(uptimeUsec)).toBeGreaterThan(0);
    // A bed may have no memory controller; `stats` reads the files of all cgroup hierarchies.
    const counted = await bed.run(`${client} stats --delay=10ms --template='{{memory}}'`);
    expect(memory === "").toBe(counted === "");
    const [listed, measured] = [Number(memory), Number(counted)];
    expect(Math.abs(listed - measured)).toBeLessThanOrEqual(Math.max(listed, measured) / 4);
  }

  test(
    "machined's client prints all columns of a container with the distribution's daemon",
    async () => facts(`${OURS} machinectl`),
    GUARD_MS,
  );

  test(
    "with machined's daemon the columns are the same, also for another user, except those that only root can read",
    async () => {
      await bed.install();
      await facts("machinectl");
      const asUser = "setpriv --reuid=65534 --regid=65534 --clear-groups machinectl";
      const template = "'{{name}} {{unit}} {{owner}} [{{hostname}}]'";
      expect(await bed.run(`${asUser} list --template=${template}`)).toBe("deb1 systemd-nspawn@deb1.service root []");
      expect(await bed.run(`${asUser} list --columns=name,class --no-legend --sort=-name`)).toBe("deb1 container");
    },
    GUARD_MS,
  );

  test(
    "the host name is the current one of the container",
    async () => {
      await bed.run("machinectl exec deb1 hostname renamed-inside");
      expect(await bed.run("machinectl list --template={{hostname}}")).toBe("renamed-inside");
      await bed.run("machinectl exec deb1 hostname deb1");
    },
    GUARD_MS,
  );

  test(
    "an empty list of transfers prints nothing, or an empty array as JSON",
    async () => {
      expect(await bed.run("importctl list-transfers --json=short")).toBe("");
      expect(await bed.run("importctl list-transfers --json=short --json-version=2")).toBe("[]");
      expect(await bed.run("importctl list-transfers --json=short --filter=local=x")).toBe("[]");
      expect(await bed.run("importctl list-transfers --sort=id")).toBe("No transfers.");
    },
    GUARD_MS,
  );

  test(
    "every verb prints the JSON that docs/json.md describes, with a machine, an image and a running transfer",
    async () => {
      expect(Object.keys(RUNS).sort()).toEqual([...SCHEMAS.keys()].sort());
      await bed.run(`systemd-run -q --unit=slow sh -c 'sleep infinity | importctl -m import-tar - slow'
        listed() { importctl list-transfers --no-legend | grep -q slow; }; wait_for listed`);
      for (const [name, lines] of Object.entries(RUNS)) {
        const [first = {}, second = first] = SCHEMAS.get(name) ?? [];
        const [client] = name.split(" ");
        for (const line of lines) {
          for (const [version, schema] of [first, second].entries()) {
            // The exit status of doctor is 1 if it finds a problem.
            const call = `${client} --json=short --json-version=${version + 1} -q ${line}`;
            const text = await bed.run(`${call} || [ $? = 1 ]`);
            const documents = text.split("\n").map((one) => JSON.parse(one));
            expect([line, documents.flatMap((one) => schemaErrors(schema, one))]).toEqual([line, []]);
          }
        }
      }
      expect(await bed.run("importctl list-transfers --template='{{local}} {{type}} {{class}}'")).toBe(
        "slow import-tar machine",
      );
      await bed.run(
        "importctl cancel-transfer $(importctl list-transfers --template={{id}}); systemctl stop slow || true",
      );
    },
    GUARD_MS,
  );
});
