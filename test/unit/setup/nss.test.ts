// machined install --nss on trees of files.
import { expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { hashOfFile } from "../../../src/setup/disk.ts";
import { Host } from "../../../src/setup/host.ts";
import { writeManifest } from "../../../src/setup/manifest.ts";
import { addWord, installNss, renewNss, uninstallNss } from "../../../src/setup/nss.ts";
import { uninstall } from "../../../src/setup/uninstall.ts";
import { isRoot } from "../../lib/daemon.ts";

const MODULE = "/usr/lib/libnss_mymachines.so.2";
const DEBIAN = `# comment
passwd:         files systemd
group:          files systemd
shadow:         files
hosts:          files resolve [!UNAVAIL=return] dns # last
networks:       files
`;

/** A tree that has the distribution's NSS module already, so that only the configuration changes. */
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

test("the word 'mymachines' is inserted before services of the network, once, and in no other lines", () => {
  const after = addWord(DEBIAN);
  expect(after).toBe(
    DEBIAN.replace("passwd:         files systemd", "passwd:         files mymachines systemd")
      .replace("group:          files systemd", "group:          files mymachines systemd")
      .replace("hosts:          files resolve", "hosts:          files mymachines resolve"),
  );
  expect(addWord(after)).toBe(after);
  expect(addWord("hosts: files\n#hosts: dns\nhosts:\n")).toBe("hosts: files mymachines\n#hosts: dns\nhosts:\n");
});

test.each([
  ["  hosts: files dns", "  hosts: files mymachines dns"],
  ["hosts : files dns", "hosts : files mymachines dns"],
  ["hosts:files\tdns  # c", "hosts:files\tmymachines dns  # c"],
  ["hosts: files dns[!UNAVAIL=return]", "hosts: files mymachines dns[!UNAVAIL=return]"],
  ["hosts: files [ NOTFOUND = return ]dns", "hosts: files [ NOTFOUND = return ]mymachines dns"],
  ["group: files [SUCCESS=merge]  ", "group: files [SUCCESS=merge] mymachines  "],
])("a line as the C library reads it (%p) gets the word, and loses it again", (line, wanted) => {
  expect(addWord(line)).toBe(wanted);
  const host = tree({ "/etc/nsswitch.conf": line });
  installNss(host, () => {});
  writeFileSync(host.locate("/etc/nsswitch.conf"), `${read(host, "/etc/nsswitch.conf")}\nnetgroup: nis\n`);
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(`${line}\nnetgroup: nis\n`);
  rmSync(host.root, { recursive: true });
});

test("a line that names the module with an action beside it has the word already", () => {
  const line = "hosts: files mymachines[SUCCESS=return] dns";
  expect(addWord(line)).toBe(line);
});

test("databases without a line are named, and are not said to have the word", () => {
  const host = tree({ "/etc/nsswitch.conf": "hosts: files mymachines\ngroup: # none\n" });
  const said: string[] = [];
  installNss(host, (line) => said.push(line));
  expect(said.filter((line) => line.includes("nsswitch.conf"))).toEqual([
    `left     ${host.root}/etc/nsswitch.conf: it has no services for passwd, group`,
  ]);
  rmSync(host.root, { recursive: true });
});

test("a link to the file stays a link, and what it leads to is changed and restored", () => {
  const host = tree({ "/etc/authselect/nsswitch.conf": DEBIAN });
  symlinkSync("/etc/authselect/nsswitch.conf", host.locate("/etc/nsswitch.conf"));
  installNss(host, () => {});
  expect(read(host, "/etc/authselect/nsswitch.conf")).toBe(addWord(DEBIAN));
  uninstallNss(host, () => {});
  expect(read(host, "/etc/authselect/nsswitch.conf")).toBe(DEBIAN);
  expect(lstatSync(host.locate("/etc/nsswitch.conf")).isSymbolicLink()).toBe(true);
  rmSync(host.root, { recursive: true });
});

test("uninstalling restores the file unchanged, also after installing twice", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN });
  installNss(host, () => {});
  installNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(addWord(DEBIAN));
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(DEBIAN);
  uninstallNss(host, () => {});
  rmSync(host.root, { recursive: true });
});

test("installing again adds the word where the administrator has removed it", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN });
  installNss(host, () => {});
  writeFileSync(host.locate("/etc/nsswitch.conf"), `${DEBIAN}netgroup: nis\n`);
  installNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(`${addWord(DEBIAN)}netgroup: nis\n`);
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(`${DEBIAN}netgroup: nis\n`);
  rmSync(host.root, { recursive: true });
});

test("uninstalling keeps an edit of the administrator and removes only the word", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN });
  installNss(host, () => {});
  const edited = `${read(host, "/etc/nsswitch.conf")}netgroup: nis\n`;
  writeFileSync(host.locate("/etc/nsswitch.conf"), edited);
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(`${DEBIAN}netgroup: nis\n`);
  rmSync(host.root, { recursive: true });
});

test("in a file that was edited, lines that had the word before the installation keep it", () => {
  const mixed = DEBIAN.replace("group:          files", "group:          files mymachines");
  const host = tree({ "/etc/nsswitch.conf": mixed });
  installNss(host, () => {});
  writeFileSync(host.locate("/etc/nsswitch.conf"), `${read(host, "/etc/nsswitch.conf")}netgroup: nis\n`);
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(`${mixed}netgroup: nis\n`);
  rmSync(host.root, { recursive: true });
});

test("in a file that was edited, the word is removed with its actions, and comments stay", () => {
  const host = tree({ "/etc/nsswitch.conf": "hosts: files dns # before mymachines was there\n" });
  installNss(host, () => {});
  const edited = "hosts: files mymachines [NOTFOUND=continue] dns # before mymachines was there\n";
  writeFileSync(host.locate("/etc/nsswitch.conf"), edited);
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe("hosts: files dns # before mymachines was there\n");
  rmSync(host.root, { recursive: true });
});

test("a word that was removed from one line by hand and added again by installing is removed from all lines", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN });
  installNss(host, () => {});
  const edited = read(host, "/etc/nsswitch.conf").replace("passwd:         files mymachines", "passwd:         files");
  writeFileSync(host.locate("/etc/nsswitch.conf"), edited);
  installNss(host, () => {});
  uninstallNss(host, () => {});
  expect(read(host, "/etc/nsswitch.conf")).toBe(DEBIAN);
  rmSync(host.root, { recursive: true });
});

test.each(["null", "[]", "7", '{"library":7,"nsswitch":null}', '{"library":null,"nsswitch":{"before":7}}', "{"])(
  "an invalid record (%s) is an error that names it and says what helps, and nothing is changed",
  (text) => {
    const host = tree({ "/etc/nsswitch.conf": DEBIAN, "/usr/local/lib/machined/nss.json": text });
    for (const act of [installNss, uninstallNss])
      expect(() => act(host, () => {})).toThrow("move it away, and remove mymachines from /etc/nsswitch.conf yourself");
    expect(read(host, "/etc/nsswitch.conf")).toBe(DEBIAN);
    rmSync(host.root, { recursive: true });
  },
);

/** Calls `act` as the executable that contains a module would. */
function withModule(text: string, act: () => void): void {
  const name = "NSS_MODULE";
  Object.defineProperty(globalThis, name, { value: btoa(text), configurable: true });
  try {
    act();
  } finally {
    Reflect.deleteProperty(globalThis, name);
  }
}

/** A host on which the executable has put its own module. */
function treeWithOwnModule(text: string): Host {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN, "/usr/lib/libc.so.6": "" });
  rmSync(host.locate(MODULE));
  withModule(text, () => installNss(host, () => {}));
  return host;
}

test("an update replaces the module that an earlier installation has made, and uninstalling removes the new one", () => {
  const host = treeWithOwnModule("old");
  withModule("new", () => renewNss(host, () => {}));
  expect(read(host, MODULE)).toBe("new");
  const said: string[] = [];
  withModule("new", () => renewNss(host, (line) => said.push(line)));
  expect(said).toEqual([]);
  uninstallNss(host, () => {});
  expect(existsSync(host.locate(MODULE))).toBe(false);
  rmSync(host.root, { recursive: true });
});

test("an update that was interrupted before it replaced the module is completed, or undone by uninstalling", () => {
  const interrupt = (host: Host) => {
    withModule("new", () => renewNss(host, () => {}));
    writeFileSync(host.locate(MODULE), "old");
  };
  const [completed, undone] = [treeWithOwnModule("old"), treeWithOwnModule("old")];
  for (const host of [completed, undone]) interrupt(host);
  withModule("newer", () => renewNss(completed, () => {}));
  expect(read(completed, MODULE)).toBe("newer");
  uninstallNss(undone, () => {});
  expect(existsSync(undone.locate(MODULE))).toBe(false);
  for (const host of [completed, undone]) rmSync(host.root, { recursive: true });
});

test("an update leaves a module of others, one that was changed, and one that was removed", () => {
  const host = treeWithOwnModule("old");
  writeFileSync(host.locate(MODULE), "theirs");
  withModule("new", () => renewNss(host, () => {}));
  expect(read(host, MODULE)).toBe("theirs");
  rmSync(host.locate(MODULE));
  withModule("new", () => renewNss(host, () => {}));
  expect(existsSync(host.locate(MODULE))).toBe(false);
  withModule("", () => renewNss(host, () => {}));
  rmSync(host.root, { recursive: true });
});

test("the distribution's module stays; a missing one is an error when the executable contains no module", () => {
  const host = tree({ "/etc/nsswitch.conf": DEBIAN, "/usr/lib/libc.so.6": "" });
  installNss(host, () => {});
  uninstallNss(host, () => {});
  expect(read(host, "/usr/lib/libnss_mymachines.so.2")).toBe("theirs");
  rmSync(host.locate("/usr/lib/libnss_mymachines.so.2"));
  expect(() => installNss(host, () => {})).toThrow("without a C compiler");
  rmSync(host.root, { recursive: true });
});

test.skipIf(!isRoot)(
  "nsswitch.conf is restored also on a full disk, on which only the removal of the files makes room",
  () => {
    const disk = mkdtempSync(join(tmpdir(), "machined-disk-"));
    const command = (...words: string[]) => expect(Bun.spawnSync(words).exitCode).toBe(0);
    command("mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", disk);
    try {
      for (const path of ["etc", "usr/lib", "usr/local/lib/machined"]) mkdirSync(join(disk, path), { recursive: true });
      const host = new Host(disk);
      writeFileSync(host.locate("/etc/nsswitch.conf"), DEBIAN);
      writeFileSync(host.locate(MODULE), "theirs");
      installNss(host, () => {});
      expect(read(host, "/etc/nsswitch.conf")).toContain("mymachines");
      const path = "/usr/local/lib/machined/machined";
      writeFileSync(host.locate(path), Buffer.alloc(512 << 10, 1));
      const own = { kind: "directory", path: "/usr/local/lib/machined" } as const;
      writeManifest(host, [own, { kind: "file", path, sha256: hashOfFile(host.locate(path)) }]);
      expect(() => writeFileSync(join(disk, "full"), Buffer.alloc(2 << 20, 1))).toThrow("ENOSPC");
      uninstall({ host, now: false, say: () => {} });
      expect([read(host, "/etc/nsswitch.conf"), existsSync(host.locate(own.path))]).toEqual([DEBIAN, false]);
    } finally {
      command("umount", "-l", disk);
      rmSync(disk, { recursive: true });
    }
  },
);
