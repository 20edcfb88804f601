// `machinectl run` in a bed, with a registry and a web server in the bed: images with and without an init, commands,
// clean-up, and runs without the network.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const onlyOurs = isStock ? " (left out: a feature of machined)" : "";
const PORT = 8000;
const REGISTRY = `127.0.0.1:${PORT}`;

/** Writes an image of one layer to files in the layout of a registry's URLs. */
const PUBLISH = `
import sys, json, hashlib, os, gzip
name, layer, config = sys.argv[1:4]
base = '/root/www/v2/' + name
for folder in ('/manifests', '/blobs'):
    os.makedirs(base + folder, exist_ok=True)
def sha(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()
def put(kind, data):
    open(base + '/blobs/' + sha(data), 'wb').write(data)
    return {'mediaType': 'application/vnd.oci.image.' + kind, 'digest': sha(data), 'size': len(data)}
tar = open(layer, 'rb').read()
machine = {'x86_64': 'amd64', 'aarch64': 'arm64'}[os.uname().machine]
root = {'type': 'layers', 'diff_ids': [sha(tar)]}
config = put('config.v1+json', json.dumps({'architecture': machine, 'os': 'linux', 'config': json.loads(config), 'rootfs': root}).encode())
layers = [put('layer.v1.tar+gzip', gzip.compress(tar, 1))]
kind = 'application/vnd.oci.image.manifest.v1+json'
manifest = {'schemaVersion': 2, 'mediaType': kind, 'config': config, 'layers': layers}
open(base + '/manifests/1', 'w').write(json.dumps(manifest))
`;

const CONFIG = {
  Entrypoint: ["/bin/sh", "-c"],
  Cmd: ['echo "entry  $GREETING"; exec sleep 100000'],
  User: "app",
  WorkingDir: "/work",
  Env: ["GREETING=hello world"],
};

const SERVE = `systemd-run -q --unit=www python3 -m http.server ${PORT} --bind 127.0.0.1 -d /root/www
  wait_for curl -sf http://${REGISTRY}/ > /dev/null`;

const PREPARE = `
  cd /root; mkdir -p www /etc/systemd/oci-registry tree/bin tree/etc tree/work tree/tmp tree/usr
  echo '{"defaultProtocol":"http"}' > '/etc/systemd/oci-registry/registry.127.0.0.1%3A${PORT}.oci-registry'
  cp /bin/busybox tree/bin/; for name in sh echo cat sleep id pwd kill; do ln -s busybox tree/bin/$name; done
  printf 'root:x:0:0::/root:/bin/sh\\napp:x:7:8::/home:/bin/sh\\n' > tree/etc/passwd; touch tree/etc/os-release
  tar -C tree -cf tree.tar .; tar -C /var/lib/machines/deb1 -cf deb.tar .
  python3 publish.py small tree.tar '${JSON.stringify(CONFIG)}'; python3 publish.py whole deb.tar '{}'; rm deb.tar
  gzip -c tree.tar > www/mini.tar.gz; (cd www; sha256sum mini.tar.gz > SHA256SUMS)
  ${SERVE}`;

describe.skipIf(isStock)(`run${onlyOurs}`, () => {
  let bed: Bed;

  beforeAll(async () => {
    bed = await Bed.boot("run");
    await bed.install();
    await bed.inner("deb1");
    await bed.run(`base64 -d <<<'${Buffer.from(PUBLISH).toString("base64")}' > /root/publish.py`);
    await run(PREPARE);
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  function run(script: string): Promise<string> {
    const wrapped = Buffer.from(script).toString("base64");
    return bed.run(`eval "$(base64 -d <<<'${wrapped}')"`);
  }

  const SMALL = `oci:${REGISTRY}/small:1`;
  const NOTHING_LEFT = `gone() { ! ls -A /var/lib/machines | grep -q "$1" && [ -z "$(ls -A /run/machined-run)" ]; }`;
  /** The service manager removes a unit's runtime directory after it has reported the end of the job that stops it. */
  const UNITS_GONE = `wait_for sh -c '[ -z "$(ls -A /run/machined-run)" ]'`;

  test(
    "a command in an image without an init has streams, user, directory, variables and exit status; no files are left of it",
    async () => {
      const output = await run(`
        ${NOTHING_LEFT}; machinectl run -q --rm --name=once ${SMALL} no-such-program 2> /dev/null; echo "$?"
        echo input | machinectl run --rm --name=once ${SMALL} sh -c 'cat; id -u; pwd; echo $GREETING; echo error >&2; exit 7' 2> /root/error
        echo "$?"; cat /root/error
        machinectl run --rm ${SMALL} /nonexistent 2> /dev/null; echo "$?"
        machinectl run --rm ${SMALL} /etc/passwd 2> /dev/null; echo "$?"
        machinectl run --rm ${SMALL} sh -c 'kill -9 $$'; echo "$?"
        machinectl run --rm -E A=b --uid=root --chdir=/tmp ${SMALL} sh -c 'id -u; pwd; echo $A'
        ${UNITS_GONE}
        if gone once; then echo nothing; else ls -A /var/lib/machines /run/machined-run; journalctl -n 30; fi
        machinectl list-images --no-legend | grep -c small-1-`);
      expect(output).toBe("127\ninput\n7\n/work\nhello world\n7\nerror\n127\n126\n137\n0\n/tmp\nb\nnothing\n1");
    },
    GUARD_MS,
  );

  test(
    "an image without an init runs its own program, as the image's user, until it is ended",
    async () => {
      const output = await run(`${NOTHING_LEFT}
        name=$(machinectl run --rm ${SMALL} 2> /dev/null); echo "$name" | tr -d 0-9a-f
        wait_for sh -c "journalctl -q -o cat -u machined-run-$name.service | grep -x 'entry  hello world'"
        machinectl exec "$name" sh -c 'cat /proc/[0-9]*/comm' | grep -x sleep
        machinectl terminate "$name"; wait_for gone "$name"; echo nothing`);
      expect(output).toBe("smll---\nentry  hello world\nsleep\nnothing");
    },
    GUARD_MS,
  );

  test(
    "an image with an init is booted: name and address are printed, a command runs in the booted system",
    async () => {
      const whole = `oci:${REGISTRY}/whole:1`;
      expect(await run(`machinectl run -q --name=web ${whole} 2> /dev/null`)).toMatch(/^web \d+\.\d+\.\d+\.\d+$/);
      expect(await run("machinectl exec web systemctl is-system-running")).toMatch(/running|degraded/);
      await run("machinectl poweroff web; machinectl wait --for=ended web");
      const output = await run(`machinectl run --rm ${whole} sh -c 'systemctl is-system-running; exit 3'; echo $?`);
      expect(output).toMatch(/^(running|degraded)\n3$/);
      expect(await run("machinectl list --no-legend; ls -A /run/machined-run")).toBe("");
    },
    GUARD_MS,
  );

  test(
    "--rm removes the machine also when the client or nspawn is killed",
    async () => {
      const output = await run(`${NOTHING_LEFT}
        machinectl run --rm --name=k1 ${SMALL} sleep 100000 2> /dev/null & client=$!
        wait_for sh -c 'machinectl exec k1 sh -c "cat /proc/*/cmdline" 2> /dev/null | tr "\\0" " " | grep -q "sleep 100000"'
        ls -A /var/lib/machines | grep -o '^k1' | head -1
        kill -9 $client; wait $client 2> /dev/null; wait_for gone k1; echo nothing
        machinectl run --rm --name=k2 ${SMALL}
        kill -9 $(systemctl show -P MainPID machined-run-k2.service); wait_for gone k2; echo nothing
        machinectl list --no-legend`);
      expect(output.replace(/^.*Killed.*\n/gm, "")).toBe("k1\nnothing\nk2\nnothing");
    },
    GUARD_MS,
  );

  test(
    "an existing image of the same name is not replaced",
    async () => {
      const output = await run(`machinectl run --rm --name=deb1 ${SMALL} id; echo $?
        [ -d /var/lib/machines/deb1/usr ] && echo there`);
      expect(output).toContain("There is an image 'deb1' already: give the machine another name with --name=");
      expect(output).toMatch(/125\nthere$/);
    },
    GUARD_MS,
  );

  test(
    "run takes the URL of a tar file, a local image, a terminal, and options of nspawn",
    async () => {
      const url = `http://${REGISTRY}/mini.tar.gz`;
      expect(await run(`machinectl run -q --rm --verify=checksum ${url} id -u 2> /dev/null`)).toBe("0");
      expect(await run("machinectl run --rm deb1 sh -c 'cat /proc/1/comm; id -u'")).toBe("systemd\n0");
      const options = "--bind=/root/tree:/work --nspawn-option=--hostname=other --network=none";
      expect(
        await run(
          `machinectl run --rm ${options} ${SMALL} sh -c 'ls() { echo *; }; ls; cat /proc/net/dev | grep -c :'`,
        ),
      ).toBe("bin etc tmp usr work\n1");
      const inTerminal = `machinectl run --rm -t ${SMALL} sh -c "[ -t 0 ] && echo terminal; exit 5"`;
      expect(
        await run(`script -qec '${inTerminal}' /dev/null < /dev/null | tr -d '\\r'; echo "\${PIPESTATUS[0]}"`),
      ).toContain("terminal\n");
    },
    GUARD_MS,
  );

  test(
    "without the network, local images run, and the error for a missing one names it",
    async () => {
      const output = await run(`systemctl stop www
        machinectl run --rm ${SMALL} echo again; echo $?
        machinectl run --pull=never oci:${REGISTRY}/other id 2>&1; echo $?
        ${SERVE}`);
      expect(output).toBe(
        `again\n0\nImage '${REGISTRY}/other' does not exist locally, and --pull=never forbids to pull it\n125`,
      );
    },
    GUARD_MS,
  );

  test(
    "a short name is looked up in registries.conf, and --pull=always pulls again",
    async () => {
      const output = await run(`mkdir -p /etc/containers/registries.conf.d
        printf '[aliases]\\n"tool" = "${REGISTRY}/small"\\n' > /etc/containers/registries.conf.d/a.conf
        machinectl run --rm tool:1 echo alias 2> /dev/null
        printf 'unqualified-search-registries = ["${REGISTRY}"]\\n' > /etc/containers/registries.conf
        machinectl run --rm small:1 echo search 2> /dev/null
        machinectl run --rm --pull=always small:1 echo pulled 2>&1 | grep -e Created -e pulled | cut -c1-17
        rm -r /etc/containers`);
      expect(output).toBe("alias\nsearch\nCreated new local\npulled");
    },
    GUARD_MS,
  );

  test(
    "an interrupt while an image is pulled cancels the transfer",
    async () => {
      const output = await run(`
        socat TCP-LISTEN:8001,fork,reuseaddr EXEC:'sleep 100000' 2> /dev/null & server=$!
        wait_for sh -c 'ss -ltn | grep -q :8001'
        machinectl run --verify=no http://127.0.0.1:8001/never.tar > /dev/null 2>&1 & client=$!
        wait_for sh -c 'importctl list-transfers --no-legend | grep -q never'
        kill -TERM $client; wait $client; echo "status $?"
        importctl list-transfers --no-legend; kill $server; machinectl list-images --no-legend | grep never || echo none`);
      expect(output).toMatch(/status 1\n(No transfers.\n)?none$/);
    },
    GUARD_MS,
  );

  test(
    "users need polkit's permission",
    async () => {
      const asNobody = (words: string) => `setpriv --reuid=65534 --regid=65534 --clear-groups machinectl ${words}`;
      expect(await run(`${asNobody(`run --rm --no-ask-password ${SMALL} id`)} < /dev/null; echo $?`)).toMatch(/\n125$/);
      const output = await run(`
        cat > /etc/polkit-1/rules.d/10-test.rules <<'RULES'
polkit.addRule(function(action, subject) {
  if (subject.user == "nobody" && /^org.freedesktop.(machine1|import1|systemd1)[.]/.test(action.id)) return polkit.Result.YES;
});
RULES
        systemctl restart polkit.service
        ${asNobody(`run --rm ${SMALL} sh -c 'echo served; exit 4'`)} < /dev/null; echo $?; rm /etc/polkit-1/rules.d/10-test.rules`);
      expect(output).toBe("served\n4");
    },
    GUARD_MS,
  );

  test(
    "a machine that ends as soon as it is ready, before it is registered, is an error; its program may be a script",
    async () => {
      const output = await run(`program=/usr/local/bin/systemd-vmspawn
        printf '#!/bin/sh\\n[ "$1" = --help ] || systemd-notify --ready\\n' > $program; chmod 755 $program
        timeout 100 machinectl run -V --rm --name=brief deb1; echo $?; rm $program
        ${NOTHING_LEFT}; wait_for gone brief`);
      expect(output).toBe(
        "Machine 'brief' has ended: 'journalctl --unit=machined-run-brief.service' shows what it wrote\n1",
      );
    },
    GUARD_MS,
  );

  test("run refuses what it does not support, with the reason", async () => {
    expect(await run("machinectl run --rm --name=nb --bind=/nope deb1 true 2>&1 || :")).toMatch(
      /^Cannot run image 'deb1' as machine 'nb': Failed to [^\n]*\/nope/,
    );
    // journald knows the unit of what comes by a stream, also after the end of the process.
    expect(await run("journalctl -q -o cat _TRANSPORT=stdout _SYSTEMD_UNIT=machined-run-nb.service")).toMatch(
      /^Failed to [^\n]*\/nope/m,
    );
    expect(await run("machinectl run -V --port=80 deb1 || :")).toBe("--port= is for containers: leave it or -V out");
    // Without systemd-vmspawn, or because a tree of a container has no kernel.
    expect(await run("machinectl run -V deb1 || :")).toMatch(
      /^Cannot run image 'deb1' as machine 'deb1': (.*systemd-vmspawn\(1\) is not installed|[\s\S]*specify one with --linux=)/,
    );
    expect(await run("machinectl run http://127.0.0.1/what || :")).toContain("does not say whether it is a tar file");
    expect(await run("machinectl run --network=moon deb1 || :")).toBe("Failed to parse --network= value: moon");
    expect(await run("machinectl run Not/An_Image! || :")).toContain("There is no local image 'Not/An_Image!'");
  });
});
