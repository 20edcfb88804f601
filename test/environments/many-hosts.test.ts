// `-H` against real sshd: twenty on addresses of one bed, of which one has no bus, one has no machined in its $PATH,
// one does not respond, and one waits for all others.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const PORT = 2222;
const host = (number: number) => `127.0.0.${number}:${PORT}`;
const [FIRST, NO_BUS, STOCK, SLOW, LAST, DEAD] = [10, 11, 12, 13, 28, 29];
const LIVING = Array.from({ length: LAST - FIRST + 1 }, (_, index) => host(FIRST + index));
const ALL = [...LIVING, host(DEAD)].join(",");

describe.skipIf(isStock)(isStock ? "many hosts (left out: a feature of machined)" : "many hosts", () => {
  let bed: Bed;
  const run = (script: string) =>
    bed.run(`bash -c "$(base64 -d <<<'${Buffer.from(script).toString("base64")}')" bash; true`);

  beforeAll(async () => {
    bed = await Bed.boot("many-hosts", ["openssh-server"]);
    await bed.install();
    await run(`mkdir -p -m 700 /root/.ssh /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
      cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
      printf 'Host *\\nLogLevel ERROR\\n' >/root/.ssh/config
      printf '%s\\n' '#!/bin/sh' 'until [ "$(ls /run/called | wc -l)" -ge ${LAST - FIRST} ]; do sleep .1; done' \\
        'exec sh -c "$SSH_ORIGINAL_COMMAND"' >/usr/local/bin/wait-for-all
      printf '%s\\n' '#!/bin/sh' ': >/run/called/$PPID' 'exec sh -c "$SSH_ORIGINAL_COMMAND"' >/usr/local/bin/note-call
      chmod +x /usr/local/bin/*-all /usr/local/bin/note-call; mkdir -p /run/called
      for n in $(seq ${FIRST} ${LAST}); do
        unit=() sshd=(-o ForceCommand=/usr/local/bin/note-call)
        case $n in
        ${NO_BUS}) unit=(-p TemporaryFileSystem=/run/dbus) ;;
        ${STOCK}) sshd+=(-o SetEnv=PATH=/usr/bin:/bin:/usr/sbin:/sbin) ;;
        ${SLOW}) sshd=(-o ForceCommand=/usr/local/bin/wait-for-all) ;;
        esac
        systemd-run -q --unit=far-$n "\${unit[@]}" /usr/sbin/sshd -D -e -o ListenAddress=127.0.0.$n -o Port=${PORT} \\
          -o PidFile=none "\${sshd[@]}"
        until [ -n "$(ssh-keyscan -p ${PORT} 127.0.0.$n 2>/dev/null | tee -a /root/.ssh/known_hosts)" ]; do sleep .1; done
      done
      systemd-run -q --unit=web1 sleep infinity
      machinectl register web --leader=$(systemctl show -P MainPID web1) --service=test`);
  }, GUARD_MS);
  afterAll(() => bed.stop(), GUARD_MS);

  test(
    "a list of twenty hosts has the rows of all that respond, and one error line for the one that does not",
    async () => {
      const lines = await run(
        `rm -f /run/called/*; machinectl -H ${ALL} --parallel=20 list --no-legend --columns=machine,class,service`,
      );
      const rows = LIVING.map((name) => `${name} web container test`);
      expect(lines).toMatch(new RegExp(`${host(DEAD)}: ssh: connect to host .*: Connection refused`));
      expect(lines.split("\n").filter((line) => !line.startsWith(host(DEAD)))).toEqual(rows);
    },
    GUARD_MS,
  );

  test(
    "the host without a bus is reached through machined's bridge, the one without machined through systemd's",
    async () => {
      const command = `machinectl -H HOST show -P Name web; machinectl -H HOST wait --for=ended web & w=$!
        until pgrep -fx "$BRIDGE"; do sleep .1; done; kill $w`;
      for (const [number, bridge] of [
        [NO_BUS, "machined bridge"],
        [STOCK, "systemd-stdio-bridge"],
      ] as const) {
        const script = command.replaceAll("HOST", host(number)).replaceAll("$BRIDGE", bridge);
        expect(await run(script)).toMatch(/^web\n\d+$/);
        // No process of it is left when the client has ended.
        await run(`while pgrep -fx "${bridge}" >/dev/null; do sleep .1; done`);
      }
    },
    GUARD_MS,
  );

  test(
    "status, stats, images and exec work on several hosts, and a pull runs on all of them",
    async () => {
      const three = [FIRST, NO_BUS, DEAD].map(host).join(",");
      const json = (await run(`machinectl -H ${three} status web --json=short -n0 2>/dev/null`)).split("\n");
      expect(json.map((line) => JSON.parse(line))).toMatchObject([
        { host: host(FIRST), name: "web" },
        { host: host(NO_BUS), name: "web" },
        { host: host(DEAD), error: expect.stringContaining("Connection refused") },
      ]);
      const stats = JSON.parse(await run(`machinectl -H ${three} stats --delay=50ms --json=short 2>/dev/null`));
      expect(stats).toMatchObject([
        { host: host(FIRST), machine: "web", cpuUsec: expect.any(Number) },
        { host: host(NO_BUS), machine: "web", cpuUsec: expect.any(Number) },
        { host: host(DEAD), error: expect.anything() },
      ]);
      const two = [FIRST, NO_BUS].map(host);
      expect(
        (await run(`machinectl -H ${two} exec web sh -c 'echo here; exit 3' 2>/dev/null; echo $?`)).split("\n").sort(),
      ).toEqual(["3", ...two.map((name) => `${name} | here`)].sort());
      await run(`mkdir -p /srv/tree/etc /srv/tree/usr; : >/srv/tree/etc/os-release; tar -C /srv/tree -cf /srv/x.tar .`);
      const pulled = await run(
        `systemctl start systemd-importd; importctl -H ${host(NO_BUS)},${host(DEAD)} -m --verify=no pull-tar file:///srv/x.tar pulled; echo $?; machinectl -H ${two} list-images --no-legend --columns=name`,
      );
      expect(pulled).toMatch(new RegExp(`^${host(DEAD)} \\| ssh: connect to host .*: Connection refused$`, "m"));
      expect(pulled.split("\n").slice(-3)).toEqual(["1", ...two.map((name) => `${name} pulled`)]);
    },
    GUARD_MS,
  );

  test(
    "a host whose shell prints text and one that says nothing are named, and an alias of ssh's configuration is listed",
    async () => {
      const [noisy, silent, alias] = [`noisy@${host(FIRST)}`, "127.0.0.30:2223", "first"];
      await run(`chmod 1777 /run/called; useradd -m -s /bin/bash noisy; install -d -o noisy -m 700 /home/noisy/.ssh; usermod -p '*' noisy
        install -o noisy -m 600 /root/.ssh/authorized_keys /home/noisy/.ssh; sed -i '1i echo Hello' /home/noisy/.bashrc
        echo 'use IO::Socket::INET; $s = IO::Socket::INET->new(LocalAddr => "${silent}", Listen => 9); push @c, $s->accept while 1' >/root/silent.pl
        systemd-run -q --unit=silent perl /root/silent.pl
        until (: </dev/tcp/127.0.0.30/2223) 2>/dev/null; do sleep .1; done
        printf 'Host first\\n HostName 127.0.0.${LAST}\\n Port ${PORT}\\n' >>/root/.ssh/config`);
      const list = `machinectl -H ${noisy},${silent},${alias} list --no-legend --columns=machine 2>&1`;
      const lines = (await run(list)).split("\n");
      expect(lines.find((line) => line.startsWith(noisy))).toContain("the login shell of the host printed 'Hello'");
      expect(lines.find((line) => line.startsWith(silent))).toContain("timed out during banner exchange");
      expect(lines).toContain(`${alias} web`);
    },
    GUARD_MS,
  );

  test(
    "every verb ends beside hosts that accept connections and are silent, and names them",
    async () => {
      const silent = Array.from({ length: 5 }, (_, index) => `127.0.1.${index + 1}:2224`);
      await run(`printf 'Host 127.0.1.*\n ConnectTimeout 1\n' >>/root/.ssh/config
        echo 'use IO::Socket::INET; for $place (@ARGV) { next if $place ne $ARGV[-1] and fork;
          $s = IO::Socket::INET->new(LocalAddr => $place, Listen => 90); push @c, $s->accept while 1 }' >/root/several.pl
        systemd-run -q --unit=several perl /root/several.pl ${silent.join(" ")}
        for place in ${silent.join(" ")}; do until (: </dev/tcp/\${place/://}) 2>/dev/null; do sleep .1; done; done`);
      const hosts = [...silent, host(FIRST)].join(",");
      const verbs = [
        "list",
        "status web -n0",
        "show web",
        "stats",
        "list-images",
        "image-status",
        "events --until=+9s",
      ];
      const changes = ["kill -s CONT web", "start none", "clean", "exec web true", "wait --for=running web"];
      const calls = [...verbs, ...changes].map((verb) => `machinectl -H ${hosts} ${verb}`);
      for (const call of [...calls, `importctl -H ${hosts} list-transfers`]) {
        const text = await run(`${call} 2>&1; echo "status $?"`);
        expect(text, call).toMatch(/^status [1-9]/m);
        for (const place of silent) expect(text, call).toMatch(new RegExp(`^${place}.*timed out during banner`, "m"));
      }
    },
    GUARD_MS,
  );

  test(
    "shell works over ssh, and HOST/NAME terminates a machine of one host only",
    async () => {
      expect(
        await run(`machinectl -q -H ${host(FIRST)} shell .host /bin/sh -c 'echo in $SSH_CONNECTION; tty'`),
      ).toMatch(/^in\s+\/dev\/pts\/\d+$/);
      const two = [FIRST, NO_BUS].map(host).join(",");
      expect(
        await run(`machinectl -H ${two} terminate ${host(NO_BUS)}/web; echo $?; machinectl list --no-legend`),
      ).toBe("0");
    },
    GUARD_MS,
  );
});
