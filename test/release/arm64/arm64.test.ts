// The executable for arm64 on a host of x64, under the emulator qemu-user: without a kernel of arm64, and without
// systemd. docs/release.md names what the emulator cannot show.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { unpackBun } from "../../../install/release/bun-package.ts";
import { Bed } from "../../lib/bed.ts";
import { ARM64_KERNEL_TESTS } from "../../lib/release.ts";
import { TOP } from "../../lib/run-tests.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";

const PACKAGES = ["qemu-user", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];
const EXECUTABLE = "/srv/machined/machined-linux-arm64";
const HERE = "/srv/tree/test/release/arm64";
const PLACE = "/root/host/usr/lib/aarch64-linux-gnu";

const scratch = mkdtempSync(join(tmpdir(), "machined-arm64-"));
let bed: Bed;

beforeAll(async () => {
  const bun = unpackBun("@oven/bun-linux-aarch64", scratch);
  const folders = ["--bind-ro", `${TOP}:/srv/tree`, "--bind-ro", `${dirname(bun)}:/srv/bun`];
  bed = await Bed.boot("arm64", PACKAGES, folders);
  await bed.run(`bash ${HERE}/prepare.sh`);
}, GUARD_MS);

afterAll(async () => {
  await bed.stop();
  rmSync(scratch, { recursive: true });
}, GUARD_MS);

test("the executable is an arm64 program and starts", async () => {
  expect(await bed.run(`/root/arm64 ${EXECUTABLE} --version`)).toContain("machined ");
  expect((await bed.exec(`${EXECUTABLE} --version`)).output).toContain("cannot execute");
});

test(
  "its daemon and client work, an image is imported, and its NSS module finds a machine",
  async () => {
    await bed.run(`mkdir -p /root/host/etc ${PLACE}; cp /etc/nsswitch.conf /root/host/etc; touch ${PLACE}/libc.so.6
      /root/arm64 ${EXECUTABLE} install --root=/root/host --nss
      cp ${PLACE}/libnss_mymachines.so.2 /usr/lib/aarch64-linux-gnu/; cp /root/host/etc/nsswitch.conf /etc
      aarch64-linux-gnu-gcc -o /root/lookup ${HERE}/lookup.c`);
    const lines = (await bed.run(`/root/arm64 bash ${HERE}/session.sh ${EXECUTABLE}`)).split("\n");
    expect(lines).toContain("name: 192.0.2.10");
    expect(lines).toContain("import: ID=imported");
    expect(lines).toContain("end: 0 machines");
    expect(lines.find((line) => line.startsWith("list: "))).toMatch(/^list: web +container .*192\.0\.2\.10/);
  },
  GUARD_MS,
);

test(
  "the steps of npm run try work",
  async () => {
    // The Bun that runs this test, at the path where npm has installed it.
    const bun = join("/srv/tree", relative(TOP, realpathSync(process.execPath)));
    expect(await bed.run(`/root/arm64 ${bun} /srv/tree/install/try.ts ${EXECUTABLE}`)).toContain("Everything worked.");
  },
  GUARD_MS,
);

describe("of the kernel layer", () => {
  test.each(ARM64_KERNEL_TESTS.map((name) => [name]))(
    "the test %s passes",
    async (name) => {
      const { code, output } = await bed.exec(`cd /srv/tree; export PATH=/root/bin:$PATH
        /root/arm64 /srv/bun/bun test --timeout=${GUARD_MS} ./test/kernel/${name}.test.ts`);
      expect(output).toMatch(/^ *[1-9]\d* pass$/m);
      expect(output).toMatch(/^ *0 fail$/m);
      expect(code).toBe(0);
    },
    GUARD_MS,
  );
});
