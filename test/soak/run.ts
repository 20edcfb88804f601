// Hours of everyday work in a booted bed, with a sample each minute of what the daemons and the host hold. Fails if a
// command fails, if memory grows in the second half, or if anything is left at the end.
//   npm run test:soak -- --minutes=120 --bed=forky --pause=10
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "120" },
    bed: { type: "string", default: "forky" },
    /** The pause between two rounds, in seconds. */
    pause: { type: "string", default: "10" },
    /** A file for the table of samples, in Markdown. */
    table: { type: "string" },
  },
});
process.env["BED_TREE"] = values.bed;
const { Bed } = await import("../lib/bed.ts");
const { waitFor } = await import("../lib/wait-for.ts");

const MINUTES = Number(values.minutes);
const MINUTE_MS = 60_000;
/** The allowed growth of memory between the third and the last quarter. */
const GROWTH = 1.1;

type Sample = Readonly<Record<string, number>>;

/** The command that writes a script of this folder to /run/soak. The service manager would expand its variables. */
function install(name: string): string {
  return `base64 -d >/run/soak/${name} <<<${readFileSync(join(import.meta.dir, name)).toString("base64")}`;
}

/** What the work needs: a running container, a small image, and an archive on a web server. */
const PREPARE = `
  mkdir -p /var/lib/machines/small/usr/lib /srv/www /run/soak
  cp /usr/lib/os-release /var/lib/machines/small/usr/lib/
  cp -a /usr/share/doc /var/lib/machines/small/usr/
  tar czf /srv/www/small.tar.gz -C /var/lib/machines/small .
  systemd-run -q --unit=soak-www python3 -m http.server --bind 127.0.0.1 --directory /srv/www 8000
  wait_for curl -sf http://127.0.0.1:8000/small.tar.gz -o /dev/null`;

const bed = await Bed.boot("soak");

async function sample(): Promise<Sample> {
  const words = (await bed.run("bash /run/soak/sample.sh")).split(/\s+/);
  return Object.fromEntries(words.map((word) => [word.replace(/=.*/, ""), Number(word.replace(/.*=/, ""))]));
}

/** The values after the work, when both daemons have nothing to do: each must be that of before, or lower. */
const HELD = [
  "machinedFiles",
  "machinedThreads",
  "machinedChildren",
  "units",
  "stateFiles",
  "images",
  "temporaryFiles",
];

function mean(samples: readonly Sample[], name: string): number {
  return samples.reduce((sum, one) => sum + (one[name] ?? 0), 0) / samples.length;
}

function tableOf(samples: readonly Sample[]): string {
  const names = Object.keys(samples[0] ?? {});
  const row = (cells: readonly unknown[]) => `| ${cells.join(" | ")} |\n`;
  const lines = samples.map((one, minute) => row([minute, ...names.map((name) => one[name])]));
  return row(["minute", ...names]) + row(["---", ...names.map(() => "---")]) + lines.join("");
}

const faults: string[] = [];
try {
  await bed.install();
  await bed.startContainer("deb1");
  await bed.run(PREPARE);
  await bed.run(`${install("work.sh")}; ${install("sample.sh")}`);
  await bed.run("importctl list-transfers >/dev/null; machinectl list >/dev/null");
  const first = await sample();
  await bed.run(`systemd-run -q --unit=soak --setenv=SOAK_PAUSE=${values.pause} bash /run/soak/work.sh`);
  const samples: Sample[] = [];
  const endMs = performance.now() + MINUTES * MINUTE_MS;
  while (performance.now() < endMs) {
    const one = await sample();
    samples.push(one);
    console.log(
      Object.entries(one)
        .map(([name, value]) => `${name}=${value}`)
        .join(" "),
    );
    if (values.table !== undefined) writeFileSync(values.table, tableOf(samples));
    await Bun.sleep(Math.min(MINUTE_MS, Math.max(0, endMs - performance.now())));
  }
  await bed.run("touch /run/soak/stop");
  await waitFor(async () => {
    if ((await bed.exec("systemctl is-active soak.service")).code === 0) throw new Error("a round goes on");
  }, "the last round");
  const failures = await bed.run("cat /run/soak/failures 2>/dev/null || true");
  if (failures !== "") faults.push(`commands failed:\n${failures}`);
  const quarter = Math.floor(samples.length / 4);
  const [third, fourth] = [samples.slice(2 * quarter, 3 * quarter), samples.slice(3 * quarter)];
  for (const name of ["machinedMemory"]) {
    const [before, after] = [mean(third, name), mean(fourth, name)];
    console.log(`${name}: ${before.toFixed(0)} kB in the third quarter, ${after.toFixed(0)} kB in the last`);
    if (after > before * GROWTH) faults.push(`${name} grows: ${before.toFixed(0)} kB, then ${after.toFixed(0)} kB`);
  }
  try {
    await waitFor(async () => {
      const last = await sample();
      const more = HELD.filter((name) => (last[name] ?? 0) > (first[name] ?? 0));
      if (more.length > 0) throw new Error(more.map((name) => `${name}: ${first[name]} → ${last[name]}`).join(", "));
    }, "everything to be as before");
  } catch (error) {
    faults.push(String(error));
  }
} finally {
  await bed.stop();
}
for (const fault of faults) console.log(`failed: ${fault}`);
console.log(faults.length === 0 ? "1 passed, 0 failed" : `0 passed, ${faults.length} failed`);
process.exit(faults.length === 0 ? 0 : 1);
