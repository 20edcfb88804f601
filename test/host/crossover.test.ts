// The everyday checks with programs of both: the distribution's machinectl with machined's daemons, and machined's
// machinectl with the distribution's daemons.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock, tree } from "../lib/bed.ts";
import { smoke, smokeChecks } from "../lib/smoke.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { failsWithStock } from "./smoke-exceptions.ts";

const CHECK_TIMEOUT_MS = GUARD_MS;

/** The result of a check that only tests the daemon does not depend on the client. */
const ASKS_NO_CLIENT = /-M$|^getent-|^(userdbctl|gdbus|python-dbus|ps-machine|image-os-release-raw)$/;
const CHECKS = smokeChecks().filter((name) => !ASKS_NO_CLIENT.test(name));

interface Mixture {
  readonly title: string;
  readonly label: string;
  /** The commands that set it up, with the executable at /srv/machined/machined. */
  readonly script: string;
  readonly exceptions: Readonly<Record<string, string>>;
}

const OURS = "/usr/local/bin/machinectl /usr/local/bin/importctl";

const MIXTURES: readonly Mixture[] = [
  {
    title: "the distribution's machinectl with our daemons",
    label: "their-client",
    script: `/srv/machined/machined install --now && rm -f ${OURS} && [[ $(machinectl --version) != *machined* ]]`,
    exceptions: {},
  },
  {
    title: "machined's machinectl with the distribution's daemons",
    label: "our-client",
    script: `for name in ${OURS}; do ln -s /srv/machined/machined $name; done && [[ $(machinectl --version) == *machined* ]]`,
    exceptions: failsWithStock[tree],
  },
];

describe.each(MIXTURES)("$title", ({ label, script, exceptions }) => {
  let bed: Bed;

  beforeAll(async () => {
    if (isStock) return;
    bed = await Bed.boot(label);
    await bed.run(script);
  }, GUARD_MS);

  afterAll(() => bed?.stop(), GUARD_MS);

  for (const name of CHECKS) {
    const reason = isStock ? "needs machined's client or daemon" : exceptions[name];
    const title = reason === undefined ? name : `${name} (left out: ${reason})`;
    test.skipIf(reason !== undefined)(
      title,
      async () => expect(await smoke(bed.name, name)).toBe(`PASS ${name}`),
      CHECK_TIMEOUT_MS,
    );
  }
});
