// machined install --nss on trees of files.
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Host } from "../../../src/setup/host.ts";
import { addWord, installNss, uninstallNss } from "../../../src/setup/nss.ts";

const DEBIAN = `# comment
passwd:         files systemd
group:          files systemd
shadow:         files
hosts:          files resolve [!UNAVAIL=return] dns # last
networks:       files
`;

/** A tree that has the distribution's module already: what is tested is the configuration. */
function tree(files: Record<string, string>): Host {
  const root = mkdtempSync(join(tmpdir(), "machined-nss-"));
  for (const [path, text] of Object.entries({ "/usr/lib/libnss_mymachines.so.2": "theirs", ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  mkdirSync(join(root, "usr/local/lib/machined"), { recursive: true });
  return new Host(root);
}

const read = (host: Host, path: string) => readFileSync(host.locate(path), "utf8");

test("the word is put before the network's services, once, and nowhere else", () => {
  const after = addWord(DEBIAN);
  expect(after).toBe(
    DEBIAN.replace("passwd:         files systemd", "passwd:         files mymachines systemd")
      .replace("group:          files systemd", "group:          files mymachines systemd")
      .replace("hosts:          files resolve", "hosts:          files mymachines resolve"),
  );
  expect(addWord(after)).toBe(after);
  expect(addWord("hosts: files\n#hosts: dns\nhosts:\n")).toBe("hosts: files mymachines\n#hosts: dns\nhosts:\n");
});

test("what was changed is restored to the byte, also after installing twice", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN });
  installNss(host, () => {});
  installNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(addWord(DEBIAN));
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(DEBIAN);
  uninstallNss(host, () => {});
  rmSync(host.root, { recursive: true });
});

test("what was taken out by hand since is put back by installing again", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN });
  installNss(host, () => {});
  writeFileSync(host.locate("/etc/nsswitch.conf"), `${DEBIAN}netgroup: nis\n`);
  installNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(`${addWord(DEBIAN)}netgroup: nis\n`);
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(`${DEBIAN}netgroup: nis\n`);
  rmSync(host.root, { recursive: true });
});

test("an edit that was made in between stays; only our word goes", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN });
  installNss(host, () => {});
  const edited = `${read(host, "/etc/nsswitch.conf")}netgroup: nis\n`;
  writeFileSync(host.locate("/etc/nsswitch.conf"), edited);
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(`${DEBIAN}netgroup: nis\n`);
  rmSync(host.root, { recursive: true });
});

test("the distribution's module stays, and without a module built in a missing one is an error", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN, "/usr/lib/libc.so.6": "" });
  installNss(host, () => {});
  uninstallNss(host, () => {});
  expect(read(host, "/usr/lib/libnss_mymachines.so.2")).toBe("theirs");
  rmSync(host.locate("/usr/lib/libnss_mymachines.so.2"));
  expect(() => installNss(host, () => {})).toThrow("without a C compiler");
  rmSync(host.root, { recursive: true });
});
