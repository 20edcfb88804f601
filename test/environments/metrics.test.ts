// Metrics, targets and the inventory in a booted host, read by the real programs: promtool, Prometheus, Ansible.
// Control groups are of version 1 in the older system, where this host has them, and of version 2 in the others, so
// that the two together have every metric.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DAEMON_METRICS } from "../../src/stats/daemon-metrics.ts";
import { MACHINE_METRICS } from "../../src/stats/machine-metrics.ts";
import { sampleName } from "../../src/stats/metrics.ts";
import { Bed, isStock, tree } from "../lib/bed.ts";
import { hasCgroupV1 } from "../lib/cgroups.ts";
import { dashboardQueries } from "../lib/dashboard.ts";
import { parseOpenMetrics } from "../lib/openmetrics.ts";
import { havePrograms, leaveOut } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

const CGROUPS = tree === "bookworm" && hasCgroupV1 ? "v1" : "v2";
/** Metrics that the kernel does not provide in a bed, by the version of control groups; nothing limits the machine. */
const MISSING = {
  v1: ["swap_bytes", "memory_limit_bytes", "pressure_waiting_seconds"],
  v2: ["memory_bytes", "memory_limit_bytes", "swap_bytes", "tasks", "io_read_bytes", "io_written_bytes"],
}[CGROUPS].map((name) => `machined_machine_${name}`);

const hasNats = !isStock && havePrograms("the fleet for Prometheus and Ansible", "nats-server");

const TCP = "http://127.0.0.1:9975";
const PROMETHEUS = "http://127.0.0.1:9090/api/v1";

/** deb1 has the programs of the host, Python among them. */
const START = `
mkdir -p /etc/systemd/nspawn /etc/machined
printf '[Files]\\nBindReadOnly=/usr\\n' > /etc/systemd/nspawn/deb1.nspawn`;

const UNIT_GROUP = "/machine.slice/systemd-nspawn@deb1.service";
const OWN_GROUPS = ["cpuacct", "memory", "pids", "blkio"].map((name) => `/sys/fs/cgroup/${name}${UNIT_GROUP}`);

/** systemd in a bed makes no groups in hierarchies of version 1: this script makes those that it makes on a host. */
const ACCOUNT = `
for group in ${OWN_GROUPS.join(" ")}; do
  mkdir -p $group
  for pid in $(find /sys/fs/cgroup/systemd$(systemctl show -P ControlGroup systemd-nspawn@deb1.service) -name cgroup.procs -exec cat {} +); do
    echo $pid > $group/cgroup.procs
  done
done`;

/** The groups are visible in the whole machine, and would outlive the bed. */
const END_ACCOUNTING = `
systemctl stop systemd-nspawn@deb1.service
for group in ${OWN_GROUPS.join(" ")}; do
  until [ ! -s $group/cgroup.procs ]; do sleep .1; done
  rmdir $group
  rmdir $(dirname $group) || true
done`;

const CONFIGURATION = `
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: machined
    static_configs:
      - targets: ["127.0.0.1:9975"]
  - job_name: by-http
    http_sd_configs:
      - url: "${TCP}/sd?port=9111"
        refresh_interval: 1s
  - job_name: by-file
    file_sd_configs:
      - files: ["/srv/machines.json"]
        refresh_interval: 1s
  - job_name: fleet
    file_sd_configs:
      - files: ["/srv/fleet.json"]
        refresh_interval: 1s
`;

/** Sends each query to Prometheus; prints a line of JSON for each answer. */
const ASK = `
import json, sys, urllib.parse, urllib.request
for query in json.load(sys.stdin):
    url = "${PROMETHEUS}/query?" + urllib.parse.urlencode({"query": query})
    try:
        reply = json.load(urllib.request.urlopen(url))
    except urllib.error.HTTPError as error:
        reply = json.load(error)
    print(json.dumps(reply))
`;

interface Answer {
  readonly status: string;
  readonly data?: { readonly result: readonly { readonly value: readonly [number, string] }[] };
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

describe.skipIf(isStock)(
  isStock ? "metrics (left out: a feature of machined)" : `metrics, control groups ${CGROUPS}`,
  () => {
    let bed: Bed;

    /** Runs a script in the bed, encoded, because `$$` and `${…}` would be replaced on the way. */
    const run = (script: string) => bed.run(`bash -o pipefail -ec "$(base64 -d <<<'${base64(script)}')"`);

    const ask = async (queries: readonly string[]): Promise<Answer[]> => {
      const lines = await run(`echo ${base64(JSON.stringify(queries))} | base64 -d > /tmp/queries
      python3 -c "$(echo ${base64(ASK)} | base64 -d)" < /tmp/queries`);
      return lines.split("\n").map((line) => JSON.parse(line) as Answer);
    };

    beforeAll(async () => {
      const nats = hasNats ? ["--bind-ro", "/usr/sbin/nats-server:/srv/nats-server"] : [];
      const groups = CGROUPS === "v1" ? ["--cgroup", "v1"] : [];
      bed = await Bed.boot("metrics", ["prometheus", "ansible-core"], [...groups, ...nats]);
      await bed.install();
      await run(START);
      await bed.startContainer("deb1");
      if (CGROUPS === "v1") await run(ACCOUNT);
      await run("until machinectl list | grep -q 'deb1 .*[0-9a-f][.:]'; do sleep .1; done");
    }, GUARD_MS);

    afterAll(async () => {
      try {
        if (CGROUPS === "v1") await run(END_ACCOUNTING);
      } finally {
        await bed.stop();
      }
    }, GUARD_MS);

    test(
      "promtool accepts the text format, and the OpenMetrics text is valid",
      async () => {
        const socket = "curl -s --unix-socket /run/systemd/machine/metrics";
        expect(await run(`${socket} http://localhost/metrics | promtool check metrics 2>&1`)).toBe("");
        expect(await run("machinectl metrics | promtool check metrics 2>&1")).toBe("");
        const text = await run(`${socket} -H 'Accept: application/openmetrics-text' http://localhost/metrics`);
        const families = parseOpenMetrics(`${text}\n`);
        const all = [...MACHINE_METRICS, ...DAEMON_METRICS].map(({ name }) => name);
        expect(all.filter((name) => !families.has(name))).toEqual(all.filter((name) => MISSING.includes(name)));
      },
      GUARD_MS,
    );

    test(
      "metrics of a machine equal the files of its unit's control group",
      async () => {
        const files =
          CGROUPS === "v1"
            ? { cpu: `cat /sys/fs/cgroup/cpuacct${UNIT_GROUP}/cpuacct.usage`, divisor: 1e9 }
            : {
                cpu: "sed -n 's/^usage_usec //p' /sys/fs/cgroup$(systemctl show -P ControlGroup systemd-nspawn@deb1.service)/cpu.stat",
                divisor: 1e6,
              };
        const [before, shown, after] = (
          await run(`${files.cpu}
        now=$(date +%s.%N)
        is_newer() { machinectl metrics | awk -v now=$now '$1 == "machined_sample_timestamp_seconds" && $2 + 0 > now + 0 { found = 1 } END { exit !found }'; }
        until is_newer; do sleep .1; done
        machinectl metrics | sed -n 's/^machined_machine_cpu_seconds_total{machine="deb1"} //p'
        ${files.cpu}`)
        )
          .split("\n")
          .map(Number);
        expect(shown).toBeGreaterThanOrEqual((before ?? 0) / files.divisor - 1e-6);
        expect(shown).toBeLessThanOrEqual((after ?? 0) / files.divisor + 1e-6);
      },
      GUARD_MS,
    );

    test.skipIf(CGROUPS !== "v1")(
      `metrics that the kernel does not provide for a machine are left out${CGROUPS === "v1" ? "" : " (left out: control groups of version 1 alone)"}`,
      async () => {
        await run(`systemd-run -q --unit=plain sleep 100000
        machinectl register plain --leader=$(systemctl show -P MainPID plain.service)`);
        expect(await run("cut -d: -f2,3 /proc/$(systemctl show -P MainPID plain.service)/cgroup")).toContain(
          "cpuacct:/\n",
        );
        const lines = await run("machinectl metrics | grep 'machine=\"plain\"'; systemctl stop plain.service");
        expect(lines).toContain("machined_machine_info");
        expect(lines).not.toContain("machined_machine_cpu_seconds_total");
      },
      GUARD_MS,
    );

    test(
      "TCP is served only after the socket is enabled, and not by a process of root",
      async () => {
        expect(await run("systemctl is-enabled machined-metrics.socket machined-metrics-textfile.timer || true")).toBe(
          "disabled\ndisabled",
        );
        expect(await run(`curl -s ${TCP}/metrics || echo $?`)).toBe("7");
        await run("systemctl enable --now machined-metrics.socket 2>/dev/null");
        expect(await run(`curl -s ${TCP}/metrics | grep -c '^machined_machine_info{machine="deb1"'`)).toBe("1");
        expect(await run(`curl -s -o /dev/null -w '%{http_code}' ${TCP}/nothing`)).toBe("404");
        const users = await run(`ps -o user= -p $(systemctl show -P MainPID machined-metrics.service)`);
        expect(users).toMatch(/^machined/);
      },
      GUARD_MS,
    );

    test(
      "Prometheus scrapes the socket, finds machines by HTTP and by a file, and answers every query of the dashboard",
      async () => {
        await run(`echo ${base64(CONFIGURATION)} | base64 -d > /etc/prometheus/prometheus.yml
        promtool check config /etc/prometheus/prometheus.yml
        until machinectl inventory prometheus-sd | grep -q targets; do sleep .1; done
        machinectl inventory prometheus-sd --port=9112 /srv/machines.json
        systemctl restart prometheus`);
        const targets = await waitFor(async () => {
          const listed = await run(`curl -sf ${PROMETHEUS}/targets | jq -r '.data.activeTargets[]
          | [.labels.job, .labels.instance, .labels.machine // "", .labels.class // "", .health] | join(" ")' | sort`);
          if (!listed.includes("by-http") || !listed.includes("by-file") || listed.includes("unknown"))
            throw new Error(listed);
          return listed.split("\n");
        }, "targets of all jobs");
        // Its address changes when it gets one by DHCP.
        expect(targets).toEqual([
          expect.stringMatching(/^by-file [\d.]+:9112 deb1 container down$/),
          expect.stringMatching(/^by-http [\d.]+:9111 deb1 container down$/),
          "machined 127.0.0.1:9975   up",
        ]);
        const missing = [...MACHINE_METRICS].filter(({ name }) => MISSING.includes(name)).map(sampleName);
        const isMissing = (query: string) => missing.some((name) => query.includes(name));
        const queries = dashboardQueries();
        for (const { title, query } of queries.filter((one) => isMissing(one.query))) {
          leaveOut(`panel '${title}'`, `the kernel does not account for it with control groups ${CGROUPS}: ${query}`);
        }
        const asked = queries.filter(({ query }) => !isMissing(query));
        // Rates need two scrapes with calls and traffic between them.
        await waitFor(async () => {
          await run("machinectl list >/dev/null; machinectl exec deb1 true");
          const answers = await ask(asked.map(({ query }) => query));
          const without = asked.filter((_one, index) => {
            const results = answers[index]?.data?.result ?? [];
            return (
              answers[index]?.status !== "success" || !results.some(({ value }) => Number.isFinite(Number(value[1])))
            );
          });
          if (without.length > 0) throw new Error(without.map(({ title, query }) => `${title}: ${query}`).join("\n"));
        }, "numbers for all queries");
        expect(asked.length).toBeGreaterThan(15);
      },
      GUARD_MS,
    );

    test(
      "the timer updates a file for the node exporter",
      async () => {
        const file = "/var/lib/prometheus/node-exporter/machined.prom";
        await run(`mkdir -p /var/lib/prometheus/node-exporter; chown prometheus: /var/lib/prometheus/node-exporter
        systemctl start machined-metrics-textfile.timer
        until [ -s ${file} ]; do sleep .1; done; systemctl stop machined-metrics-textfile.timer`);
        expect(
          await run(`promtool check metrics < ${file} 2>&1; stat -c '%a %U' ${file}; ls -A $(dirname ${file})`),
        ).toBe("644 root\nmachined.prom");
        expect(await run(`grep -c '^machined_machine_info{machine="deb1"' ${file}`)).toBe("1");
      },
      GUARD_MS,
    );

    test(
      "Ansible pings a container, copies into it and runs commands as its users, without ssh and network",
      async () => {
        // Ansible requires that its output is a blocking pipe.
        const ansible = (words: string) =>
          run(`ansible -i /usr/local/lib/machined/machined-inventory ${words} </dev/null 2>&1 | cat`);
        expect(await ansible("all -m ping")).toContain('"ping": "pong"');
        expect(await ansible("containers -m copy -a 'content=hello dest=/root/copied'")).toContain("deb1 | CHANGED");
        expect(await run("cat /var/lib/machines/deb1/root/copied")).toBe("hello");
        expect(await ansible("deb1 -u testuser -m command -a 'id -un'")).toEndWith(
          "deb1 | CHANGED | rc=0 >>\ntestuser",
        );
        expect(await ansible("deb1 -m raw -a 'exit 3' || true")).toContain("rc=3");
        const listed = JSON.parse(
          await run("ansible-inventory -i /usr/local/lib/machined/machined-inventory --list </dev/null | cat"),
        );
        expect(listed.containers.hosts).toEqual(["deb1"]);
      },
      GUARD_MS,
    );

    test.skipIf(!hasNats)(
      "Prometheus and Ansible read the machines of the fleet, with their hosts",
      async () => {
        await run(`printf 'listen: "127.0.0.1:4222"\\njetstream { store_dir: "/root/nats" }\\n' >/root/nats.conf
        systemd-run -q --unit=nats /srv/nats-server -c /root/nats.conf
        printf '[Fleet]\\nUrl=nats://127.0.0.1:4222\\nHost=bed\\n' >/etc/machined/fleet.conf
        until machined fleet setup >/dev/null 2>&1; do sleep .1; done
        systemctl enable -q --now machined-fleet.service
        until machinectl --fleet inventory prometheus-sd | grep -q targets; do sleep .1; done
        machinectl --fleet inventory prometheus-sd --port 9113 /srv/fleet.json
        promtool check config /etc/prometheus/prometheus.yml
        printf '#!/bin/sh\\nexec machinectl --fleet inventory ansible "$@"\\n' >/srv/fleet-inventory
        chmod +x /srv/fleet-inventory`);
        await waitFor(async () => {
          const labels = `[.labels.job, .labels.instance, .labels.host // "", .labels.machine // "", .health] | join(" ")`;
          const found = await run(`curl -sf ${PROMETHEUS}/targets | jq -r '.data.activeTargets[] | ${labels}'`);
          expect(found).toMatch(/^fleet [\d.]+:9113 bed deb1 down$/m);
        }, "the target of the fleet");
        const listed = JSON.parse(await run("ansible-inventory -i /srv/fleet-inventory --list </dev/null | cat"));
        expect([listed.containers.hosts, listed.host_bed.hosts]).toEqual([["bed/deb1"], ["bed/deb1"]]);
        const variables = JSON.parse(
          await run("ansible-inventory -i /srv/fleet-inventory --host bed/deb1 </dev/null | cat"),
        );
        expect(variables).toMatchObject({ machined_host: "bed", ansible_ssh_common_args: "-o ProxyJump=bed" });
        expect(variables.ansible_host).toMatch(/^[\d.]+$/);
        await run("systemctl disable -q --now machined-fleet.service; systemctl stop nats");
      },
      GUARD_MS,
    );

    test(
      "without machined's daemon the same series are served; uninstalling leaves no unit and no open port",
      async () => {
        const names = (text: string) =>
          text
            .split("\n")
            .filter((line) => line.startsWith("machined_machine_"))
            .map((line) => line.replace(/ \S+$/, ""))
            .sort();
        const ours = names(await run("machinectl metrics"));
        expect(ours.length).toBeGreaterThan(3);
        await bed.uninstall();
        expect(names(await run("/srv/machined/machined machinectl metrics"))).toEqual(ours);
        expect(
          await run(`find /etc/systemd /usr/local -name '*machined-metrics*'; curl -s ${TCP}/metrics || echo $?`),
        ).toBe("7");
      },
      GUARD_MS,
    );
  },
);
