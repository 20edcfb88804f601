// `machinectl exec` and `stats` on a kernel of their own, which has all controllers of version 2 and mounts them as
// hosts do (nsdelegate). Emulated, that takes minutes: it is no part of `npm test`.
import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { tree } from "../lib/bed.ts";
import { BED } from "../lib/host-suite.ts";
import { TOP } from "../lib/run-tests.ts";

const DIST = process.env["MACHINED_DIST"] ?? join(TOP, "dist");
/** An idle host with two cores needs four minutes for the emulation. */
const LIMIT_SECONDS = 3600;
const UNIT = "/sys/fs/cgroup/machine.slice/systemd-nspawn@deb1.service";

/** Each answer is printed as `NAME<TAB>VALUE`, its lines joined by spaces. */
const SCRIPT = `
say() { printf '%s\\t%s\\n' "$1" "$(tr '\\n\\t' '  ' | sed 's/ *$//')"; }
booted() { case $(systemctl -M deb1 is-system-running 2>/dev/null) in running|degraded) ;; *) false;; esac; }
/srv/machined/machined install --now >/dev/null
systemctl start systemd-nspawn@deb1.service; until booted; do sleep 1; done
grep cgroup2 /proc/self/mountinfo | say mount
machinectl exec deb1 cat /proc/self/cgroup | say cgroup
FACTS='^(CapBnd|NoNewPrivs|Seccomp|Seccomp_filters):'
machinectl exec deb1 grep -E "$FACTS" /proc/self/status | say rights-of-command
grep -E "$FACTS" /proc/$(machinectl show -P Leader deb1)/status | say rights-of-leader
systemctl set-property --runtime systemd-nspawn@deb1.service MemoryMax=300M MemorySwapMax=0 TasksMax=300
machinectl exec deb1 tail /dev/zero; echo $? | say bomb
sed -n 's/^oom_kill //p' ${UNIT}/memory.events | say killed
systemctl is-active systemd-nspawn@deb1.service | say machine
told() { machinectl events --no-follow --since=@0 --type=resource --json=short | jq -r '"\\(.event) \\(.machine)"' | sort -u; }
until told | grep -q oom; do sleep .1; done; told | say events
machinectl exec deb1 sh -c 'exit 9'; echo $? | say next
machinectl stats --json=short | say stats
cat ${UNIT}/memory.current | say memory
cat ${UNIT}/pids.current | say tasks
find /sys/fs/cgroup -name '.machined-exec-*' | say left
machinectl exec --detach deb1 sleep 5555 >/dev/null
machinectl terminate deb1; while pgrep -fx 'sleep 5555' >/dev/null; do sleep .1; done; echo gone | say detached
`;

const answers = new Map<string, string>();

beforeAll(async () => {
  const files = ["--push", `${join(DIST, "machined")}:/srv/machined/machined`];
  const command = [BED, "vm", tree, "--timeout", String(LIMIT_SECONDS), "--inner", "deb1", ...files];
  const child = Bun.spawn([...command, "--", "bash", "-c", SCRIPT], { stdout: "pipe", stderr: "inherit" });
  const [output, code] = await Promise.all([child.stdout.text(), child.exited]);
  if (code !== 0) throw new Error(`The virtual machine ended with ${code}: ${output}`);
  for (const line of output.split("\n")) {
    const [name, value] = line.split("\t");
    if (name !== undefined && value !== undefined) answers.set(name, value);
  }
}, LIMIT_SECONDS * 1000);

test("a command is below the machine's own cgroup, although the host delegates its namespaces", () => {
  expect(answers.get("mount")).toContain("nsdelegate");
  expect(answers.get("cgroup")).toMatch(/^0::\/\.machined-exec-\d+-0$/);
  expect(answers.get("left")).toBe("");
});

test("a command has the leader's capabilities and system call filters", () => {
  expect(answers.get("rights-of-command")).toBe(answers.get("rights-of-leader") ?? "");
  expect(answers.get("rights-of-leader")).toContain("Seccomp: 2");
});

test("the memory of a command counts for the machine, and only the command is killed when it takes too much", () => {
  expect(answers.get("bomb")).toBe("137");
  expect(Number(answers.get("killed"))).toBeGreaterThan(0);
  expect(answers.get("machine")).toBe("active");
  expect(answers.get("next")).toBe("9");
  expect(answers.get("events")).toBe("oom deb1");
});

test("stats shows memory, its limit, and tasks", () => {
  const [row] = JSON.parse(answers.get("stats") ?? "[]");
  expect(row).toMatchObject({ machine: "deb1" });
  expect(Object.keys(row)).toEqual(expect.arrayContaining(["memoryBytes", "tasks"]));
  const files = Number(answers.get("memory"));
  expect(Math.abs(row.memoryBytes - files) / files).toBeLessThan(0.2);
  expect(Math.abs(row.tasks - Number(answers.get("tasks")))).toBeLessThanOrEqual(2);
});

test("a detached command ends with its machine", () => {
  expect(answers.get("detached")).toBe("gone");
});
