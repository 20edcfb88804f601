// Images pushed to Debian's docker-registry on a booted host: what skopeo and machined pull from it, logins of root and
// of users, and the distribution's daemon, which cannot push.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const OURS = "/usr/local/bin/importctl --class=machine";
const OPEN = "127.0.0.1:5055";
const CLOSED = "127.0.0.1:5056";
/** The password "secret", as htpasswd -B writes it. */
const HASH = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
const LOGIN = Buffer.from("me:secret").toString("base64");
const RULE = `polkit.addRule(function(action, subject) {
  if (subject.user == "joe" && action.id == "org.freedesktop.import1.export" && action.lookup("type") == "push-oci" &&
      action.lookup("remote").indexOf("${CLOSED}/") == 0) return polkit.Result.YES;
});`;
const reason = isStock ? " (left out: about our daemon)" : "";

const PREPARE = `
  cd /root
  start() {
    printf 'version: 0.1\\nstorage: {filesystem: {rootdirectory: /var/lib/reg%s}}\\nhttp: {addr: "127.0.0.1:%s"}\\n%s\\n' $1 $1 "$2" > $1.yml
    systemd-run -q --unit=registry-$1 docker-registry serve /root/$1.yml
    mkdir -p /etc/systemd/oci-registry
    echo '{"defaultProtocol":"http"}' > /etc/systemd/oci-registry/registry.127.0.0.1%3A$1.oci-registry
    wait_for curl -s -o /dev/null http://127.0.0.1:$1/v2/
  }
  echo 'me:${HASH}' > htpasswd
  start 5055; start 5056 'auth: {htpasswd: {realm: here, path: /root/htpasswd}}'
  useradd -m joe; mkdir -p /etc/polkit-1/rules.d
  base64 -d <<<'${Buffer.from(RULE).toString("base64")}' > /etc/polkit-1/rules.d/10-push.rules
  chmod 644 /etc/polkit-1/rules.d/10-push.rules; systemctl restart polkit
  mkdir -p /var/lib/machines/web/etc /var/lib/machines/web/d; cd /var/lib/machines/web
  echo web > etc/a; ln etc/a d/b; ln -s ../etc/a d/l; mkfifo d/f; mknod d/n c 1 3; mknod d/k b 7 99
  truncate -s 9M d/holes; echo x >> d/holes; head -c 3000000 /dev/urandom > d/noise; echo 1 > 'd/ü ö'
  setfattr -n user.note -v hello etc/a; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 etc/a
  setfacl -m u:1234:rx,m::rx d/noise; chmod 4751 d/holes; chmod 1777 d; chown -h 7:8 d/l d/f; chown 1000:2000 d
  touch -hd '1999-01-02 03:04:05.123456789' d/l etc/a
  cp -a /var/lib/machines/web /var/lib/machines/web2; cd /var/lib/machines/web2
  rm d/f; rm d/k; mkdir d/k; echo 2 > d/k/in; echo more >> 'd/ü ö'; chmod 700 etc`;

let bed: Bed;

beforeAll(async () => {
  if (isStock) return;
  bed = await Bed.boot("registry", ["docker-registry", "skopeo", "polkitd", "acl", "curl"]);
  await bed.install();
  await bed.run(PREPARE);
}, TIMEOUT_MS);

afterAll(() => bed?.stop(), GUARD_MS);

/** All metadata and contents of a tree: kinds, modes, owners, times, links, attributes, access control lists. */
const facts = (path: string) =>
  bed.run(`cd ${path}; find . -printf '%p %y %m %U:%G %l ' '(' -type d -o -printf '%n ' ')' -printf '%T@\\n' | sort
    find . -type f -exec sha256sum {} + | sort -k2; stat -c '%n %t:%T' d/n; stat -c %i etc/a d/b | uniq | wc -l
    find . -print0 | sort -z | xargs -0 getfattr -P -h -d -m '^(user|security.capability)' -e hex 2>/dev/null
    find . ! -type l -print0 | sort -z | xargs -0 getfacl -P -n`);

/** Pulls an image with machined, as one tree also where nspawn supports stacks; returns its path. */
const pulled = (tag: string) =>
  bed.run(`MACHINED_OCI_STACK=no /usr/local/lib/machined/systemd-pull oci --image-root=/root/pulled ${OPEN}/team/web:${tag} t${tag} \
    2>/dev/null; echo /root/pulled/t${tag}`);

const oursTest = test.skipIf(isStock);

oursTest(
  `a pushed tree is the same when skopeo or machined pulls it, and is not uploaded twice${reason}`,
  async () => {
    const output = await bed.run(`${OURS} push-oci web ${OPEN}/team/web:1`);
    expect(output).toMatch(/Sending layer sha256:/);
    await bed.run(`skopeo copy -q --src-tls-verify=false docker://${OPEN}/team/web:1 oci:/root/out:1
      mkdir -p /root/un; tar --acls --xattrs --xattrs-include='*' -xpf $(ls -S /root/out/blobs/sha256/* | head -1) -C /root/un`);
    const whole = await facts("/var/lib/machines/web");
    expect(whole).toContain("user.note=0x68656c6c6f");
    expect(await facts("/root/un")).toBe(whole);
    expect(await facts(await pulled("1"))).toBe(whole);
    const stored = () => bed.run("journalctl -u registry-5055 -o cat | grep -c 'PUT /v2/team/web/blobs' || true");
    const before = await stored();
    expect(await bed.run(`${OURS} push-oci web ${OPEN}/team/web:1`)).toContain("has layer sha256:");
    expect([Number(before) > 0, await stored()]).toEqual([true, before]);
  },
  TIMEOUT_MS,
);

oursTest(
  `a layer that another repository of the registry has is mounted there, and skopeo pulls it${reason}`,
  async () => {
    const output = await bed.run(`${OURS} push-oci web ${OPEN}/other/web:1`);
    expect(output).toMatch(/has linked layer sha256:\w+ from its repository 'team\/web'/);
    await bed.run(`skopeo copy -q --src-tls-verify=false docker://${OPEN}/other/web:1 oci:/root/mounted:1
      mkdir /root/un2; tar --acls --xattrs --xattrs-include='*' -xpf $(ls -S /root/mounted/blobs/sha256/* | head -1) -C /root/un2`);
    expect(await facts("/root/un2")).toBe(await facts("/var/lib/machines/web"));
    // The configuration is the only blob that was sent.
    const sent = await bed.run("journalctl -u registry-5055 -o cat | grep -c 'PUT /v2/other/web/blobs'");
    expect(sent.trim()).toBe("1");
    await bed.run(`${OURS} pull-oci ${OPEN}/other/web:1 seen; ${OURS} push-oci seen ${OPEN}/third/web:1`);
    expect(await facts(await pulled("1"))).toBe(await facts("/var/lib/machines/web"));
  },
  TIMEOUT_MS,
);

oursTest(
  `with a base image only the difference is pushed as a layer, and the pulled tree is the same${reason}`,
  async () => {
    const output = await bed.run(`${OURS} push-oci --base=web web2 ${OPEN}/team/web:2`);
    expect(output).toMatch(/has layer sha256:.*already[\s\S]*Sending layer/);
    expect(await facts(await pulled("2"))).toBe(await facts("/var/lib/machines/web2"));
  },
  TIMEOUT_MS,
);

oursTest(
  `an image that was pulled can be pushed again${reason}`,
  async () => {
    await bed.run(`${OURS} pull-oci ${OPEN}/team/web:2 got; ${OURS} push-oci got ${OPEN}/team/web:3`);
    expect(await facts(await pulled("3"))).toBe(await facts("/var/lib/machines/web2"));
  },
  TIMEOUT_MS,
);

oursTest(
  `root's login is used for root only: a user who may push needs its own${reason}`,
  async () => {
    const put = (home: string) => `mkdir -p ${home}/.config/containers
      echo '{"auths":{"${CLOSED}":{"auth":"${LOGIN}"}}}' > ${home}/.config/containers/auth.json`;
    const push = `${OURS} push-oci web ${CLOSED}/web`;
    const asUser = (user: string, command: string) =>
      `cd /; setpriv --reuid ${user} --regid ${user} --clear-groups env -i HOME=/home/${user} ${command}`;
    const refused = await bed.exec(push);
    expect(refused).toMatchObject({ code: 1, output: expect.stringContaining("requires a login") });
    await bed.run(`${put("/root")}; chmod 600 /root/.config/containers/auth.json; HOME=/root ${push}`);
    // The daemon reads root's login for root only, not for a user.
    const denied = await bed.exec(asUser("nobody", push).replaceAll("--regid nobody", "--regid nogroup"));
    expect(denied).toMatchObject({ code: 1, output: expect.stringContaining("access denied") });
    const elsewhere = await bed.exec(asUser("joe", `${OURS} push-oci web ${OPEN}/web`));
    expect(elsewhere).toMatchObject({ code: 1, output: expect.stringContaining("access denied") });
    const without = await bed.exec(asUser("joe", push));
    expect(without).toMatchObject({ code: 1, output: expect.stringContaining("requires a login") });
    const foreign = await bed.exec(asUser("joe", `REGISTRY_AUTH_FILE=/root/.config/containers/auth.json ${push}`));
    expect(foreign).toMatchObject({ code: 1, output: expect.stringContaining("requires a login") });
    await bed.run(`${put("/home/joe")}; ${asUser("joe", push)}`);
  },
  TIMEOUT_MS,
);

oursTest(
  `a push leaves no files, and with the distribution's daemon the error says that it cannot push${reason}`,
  async () => {
    expect(await bed.run("cd /var/lib/machines; ls -A | grep '^\\.#' | grep -v '\\.lck$' || true")).toBe("");
    await bed.run("machined uninstall --now");
    const { code, output } = await bed.exec(`/srv/machined/machined importctl -m push-oci web ${OPEN}/team/web:1`);
    expect([code, output]).toEqual([1, expect.stringContaining("The transfer daemon of this host cannot push images")]);
  },
  TIMEOUT_MS,
);
