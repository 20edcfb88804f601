// An export must not replace a directory with its content, and handles files, links, fifos and devices.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { isRoot } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { mountFull } from "../lib/full-file-system.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { finished, ImageHost } from "./image-host.ts";

setDefaultTimeout(GUARD_MS);

const MAIN = join(import.meta.dir, "../../src/main.ts");

describe.skipIf(!isRoot)(`the target of an export${needsRoot}`, () => {
  const host = new ImageHost();
  const content = Buffer.alloc(300_000, "image");
  writeFileSync(join(host.pool, "disk.raw"), content);
  mkdirSync(join(host.pool, "tree"));
  writeFileSync(join(host.pool, "tree/file"), "of the tree");
  const out = join(host.path, "out");
  mkdirSync(out);
  const at = (name: string) => join(out, name);
  const exported = (path: string, kind = "raw") =>
    host.run("systemd-export", [kind, kind === "raw" ? "disk" : "tree", path]);

  test.each(["raw", "tar"])("a directory is not replaced (%s)", async (kind) => {
    mkdirSync(at(`directory-${kind}/inner`), { recursive: true });
    writeFileSync(at(`directory-${kind}/inner/kept`), "kept");
    const { code, log } = await exported(at(`directory-${kind}`), kind);
    expect([code, log]).toEqual([1, expect.stringContaining("it is a directory")]);
    expect(readFileSync(at(`directory-${kind}/inner/kept`), "utf8")).toBe("kept");
  });

  test("a file is replaced when the export is complete, and its owner and permissions stay", async () => {
    writeFileSync(at("file"), "old");
    chmodSync(at("file"), 0o640);
    chownSync(at("file"), 65534, 65534);
    const before = statSync(at("file")).ino;
    expect((await exported(at("file"))).code).toBe(0);
    const { ino, uid, gid, mode } = statSync(at("file"));
    expect([readFileSync(at("file")).equals(content), ino !== before]).toEqual([true, true]);
    expect([uid, gid, mode & 0o7777]).toEqual([65534, 65534, 0o640]);
    expect((await exported(at("new"))).code).toBe(0);
    expect(statSync(at("new")).mode & 0o7777).toBe(0o644);
  });

  test.each(["raw", "tar"])(
    "an export to a file that its caller has opened for appending keeps what is in it (%s)",
    async (kind) => {
      writeFileSync(at("log"), "before");
      const program = [
        process.execPath,
        MAIN,
        "systemd-export",
        kind,
        `--image-root=${host.pool}`,
        kind === "raw" ? "disk" : "tree",
      ];
      const env = { PATH: process.env["PATH"] ?? "", MACHINED_IMAGE_ROOT: host.path };
      const shell = Bun.spawn(["sh", "-c", 'log=$1; shift; exec "$@" >>"$log"', "sh", at("log"), ...program], {
        env,
        stderr: "ignore",
      });
      expect(await shell.exited).toBe(0);
      const after = readFileSync(at("log"));
      expect(after.subarray(0, 6).toString()).toBe("before");
      if (kind === "raw") expect(after.subarray(6).equals(content)).toBe(true);
      else expect(after.subarray(6).includes("of the tree")).toBe(true);
    },
  );

  test("links are followed, to an existing file and to a new one", async () => {
    writeFileSync(at("target"), "old");
    symlinkSync("target", at("link"));
    symlinkSync("made", at("inner"));
    symlinkSync("inner", at("dangling"));
    for (const link of ["link", "dangling"]) expect([link, (await exported(at(link))).code]).toEqual([link, 0]);
    expect([readlinkSync(at("link")), readlinkSync(at("dangling"))]).toEqual(["target", "inner"]);
    expect(readFileSync(at("target")).equals(content)).toBe(true);
    expect(readFileSync(at("made")).equals(content)).toBe(true);
    symlinkSync("loop", at("loop"));
    expect((await exported(at("loop"))).code).toBe(1);
    symlinkSync("../out", at("to-directory"));
    expect((await exported(at("to-directory"))).log).toContain("it is a directory");
  });

  test("an export waits for the reader of a fifo, and the wait can be cancelled", async () => {
    Bun.spawnSync(["mkfifo", at("fifo")]);
    const waiting = host.start("systemd-export", ["raw", "disk", at("fifo")]);
    const end = finished(waiting);
    await waitFor(() => {
      const states = Bun.spawnSync(["sh", "-c", `cat /proc/${waiting.pid}/task/*/wchan`]).stdout.toString();
      expect(states).toMatch(/wait_for_partner|fifo/);
    }, "the export to wait for a reader");
    waiting.kill("SIGTERM");
    expect((await end).code).toBe(4);
    const reader = Bun.spawn(["cat", at("fifo")], { stdout: "pipe" });
    expect((await exported(at("fifo"))).code).toBe(0);
    expect(Buffer.from(await new Response(reader.stdout).bytes()).equals(content)).toBe(true);
    expect(lstatSync(at("fifo")).isFIFO()).toBe(true);
  });

  test("an import waits for the writer of a fifo, and the wait can be cancelled", async () => {
    const fifo = at("input");
    Bun.spawnSync(["mkfifo", fifo]);
    const importing = async () => {
      const child = host.start("systemd-import", ["raw", fifo, "copy"]);
      await waitFor(() => {
        const states = Bun.spawnSync(["sh", "-c", `cat /proc/${child.pid}/task/*/wchan`]).stdout.toString();
        expect(states).toMatch(/wait_for_partner|fifo/);
      }, "the import to wait for a writer");
      return child;
    };
    const cancelled = await importing();
    cancelled.kill("SIGTERM");
    expect((await finished(cancelled)).code).toBe(4);
    const child = await importing();
    writeFileSync(fifo, content);
    expect((await finished(child)).code).toBe(0);
    expect(readFileSync(join(host.pool, "copy.raw")).equals(content)).toBe(true);
  });

  test("devices are written to, and not replaced", async () => {
    Bun.spawnSync(["mknod", at("null"), "c", "1", "3"]);
    for (const kind of ["raw", "tar"]) expect((await exported(at("null"), kind)).code).toBe(0);
    expect(lstatSync(at("null")).isCharacterDevice()).toBe(true);
    expect((await exported("/dev/full")).log).toContain("No space left on device");
    expect(lstatSync("/dev/full").isCharacterDevice()).toBe(true);
  });

  test("an export to a file system that turns out to be full when the file is closed fails", async () => {
    if (!havePrograms("exports to a full FUSE file system", "python3")) return;
    using full = await mountFull(join(host.path, "full"));
    const image = join(full.path, "image");
    for (const kind of ["raw", "tar"]) {
      const { code, log } = await exported(image, kind);
      expect([code, log]).toEqual([1, expect.stringContaining("No space left on device")]);
      expect(readdirSync(full.path)).toEqual([]);
    }
    const command = `'${process.execPath}' '${MAIN}' systemd-export tar --image-root='${host.pool}' tree >'${image}'`;
    const { exitCode, stderr } = Bun.spawnSync(["sh", "-c", command], { stderr: "pipe" });
    expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining("No space left on device")]);
  });

  test("a file that is a mount point is written to: no other file can replace it", async () => {
    writeFileSync(at("below"), "longer than nothing");
    writeFileSync(at("mounted"), "");
    const { ino } = statSync(at("below"));
    const export_ = `'${process.execPath}' '${MAIN}' systemd-export raw --image-root='${host.pool}' disk '${at("mounted")}'`;
    const script = `mount --bind '${at("below")}' '${at("mounted")}' && exec ${export_}`;
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_IMAGE_ROOT: host.path };
    expect(Bun.spawnSync(["unshare", "-m", "sh", "-c", script], { env, stderr: "ignore" }).exitCode).toBe(0);
    expect([statSync(at("below")).ino, readFileSync(at("below")).equals(content)]).toEqual([ino, true]);
    // The image itself, which would be emptied first.
    const image = join(host.pool, "disk.raw");
    const onItself = script.replace(at("below"), image);
    expect(Bun.spawnSync(["unshare", "-m", "sh", "-c", onItself], { env, stderr: "ignore" }).exitCode).toBe(1);
    expect(readFileSync(image).equals(content)).toBe(true);
  });

  test.each([
    ["in a directory that only another user may change", 0o755],
    ["of another user in a directory with the sticky bit", 0o1777],
  ])("a file %s is written to, if that is permitted", async (_, mode) => {
    for (const directory of [host.path, join(host.path, "var"), join(host.path, "var/lib"), host.pool])
      chmodSync(directory, 0o755);
    const directory = at(`of-root-${mode.toString(8)}`);
    mkdirSync(directory);
    chmodSync(directory, mode);
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_IMAGE_ROOT: host.path };
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const program = [process.execPath, MAIN, "systemd-export", "raw", `--image-root=${host.pool}`, "disk"];
    const byName = 'file=$1; shift; exec "$@" "$file"';
    const byDescriptor = 'file=$1; shift; exec "$@" >"$file"';
    // Where the sticky bit is set, many hosts forbid a shell's redirection (fs.protected_regular).
    for (const script of mode === 0o755 ? [byName, byDescriptor] : [byName]) {
      const file = join(directory, "file");
      writeFileSync(file, "old");
      chmodSync(file, 0o666);
      const command = [...nobody, "sh", "-c", script, "sh", file, ...program];
      const { exitCode } = Bun.spawnSync(command, { env, cwd: "/", stderr: "ignore" });
      expect([script, exitCode, readFileSync(file).equals(content)]).toEqual([script, 0, true]);
    }
    expect(readdirSync(directory)).toEqual(["file"]);
  });

  test("a disk image of before 1970 keeps its time when it is exported and imported", async () => {
    const old = new Date(-1500);
    writeFileSync(join(host.pool, "old.raw"), content);
    utimesSync(join(host.pool, "old.raw"), old, old);
    const results = [
      await host.run("systemd-export", ["raw", "old", at("old.raw")]),
      await host.run("systemd-import", ["raw", at("old.raw"), "again"]),
    ];
    expect(results.map(({ code }) => code)).toEqual([0, 0]);
    for (const file of [at("old.raw"), join(host.pool, "again.raw")]) expect(statSync(file).mtimeMs).toBe(-1500);
  });

  test("/dev/stdout, an open file by its name in /proc, is written to", async () => {
    const main = join(import.meta.dir, "../../src/main.ts");
    const command = `'${process.execPath}' '${main}' systemd-export raw --image-root='${host.pool}' disk /dev/stdout`;
    const { stdout } = Bun.spawnSync(["sh", "-c", `${command} | cat`]);
    expect(Buffer.from(stdout).equals(content)).toBe(true);
  });

  test("an archive begins with the tree's top, ./", async () => {
    expect((await exported(at("top.tar"), "tar")).code).toBe(0);
    const { stdout } = Bun.spawnSync(["tar", "-tPf", at("top.tar")]);
    expect(stdout.toString()).toBe("./\n./file\n");
  });

  test("a relative path of an image begins in the working directory, and an empty name is none", async () => {
    const elsewhere = join(host.path, "elsewhere");
    mkdirSync(join(elsewhere, "tree"), { recursive: true });
    writeFileSync(join(elsewhere, "tree/other"), "of another tree");
    writeFileSync(join(elsewhere, "disk.raw"), "another disk");
    const from = (name: string) => relative(process.cwd(), join(elsewhere, name));
    const tar = await host.run("systemd-export", ["tar", from("tree")]);
    expect([tar.code, tar.stdout.includes("of another tree")]).toEqual([0, true]);
    const raw = await host.run("systemd-export", ["raw", from("disk.raw")]);
    expect([raw.code, raw.stdout.toString()]).toEqual([0, "another disk"]);
    for (const kind of ["tar", "raw"]) {
      const { code, log, stdout } = await host.run("systemd-export", [kind, ""]);
      expect([code, log, stdout.length]).toEqual([1, expect.stringContaining("Image name '' is not valid."), 0]);
    }
    const pushed = await host.run("systemd-export", ["oci", "", "127.0.0.1:1/team/image:1"]);
    expect([pushed.code, pushed.log]).toEqual([1, expect.stringContaining("Image name '' is not valid.")]);
  });

  test("a tree is not imported under a name under which it would not be found", async () => {
    const archive = at("archive.tar");
    expect((await exported(archive, "tar")).code).toBe(0);
    for (const name of ["web.v", "web.mstack"]) {
      for (const args of [
        ["systemd-import", "tar", archive, name],
        ["systemd-import-fs", "run", join(host.pool, "tree"), name],
        ["systemd-pull", "tar", "--verify=no", "http://127.0.0.1:1/x.tar", name],
      ] as const) {
        const [program, ...words] = args;
        const { code, log } = await host.run(program, words);
        expect([code, log]).toEqual([1, expect.stringContaining(`Local image name '${name}' is not valid for a tree`)]);
      }
      expect((await host.run("systemd-import", ["raw", join(host.pool, "disk.raw"), name])).code).toBe(0);
      expect(existsSync(join(host.pool, `${name}.raw`))).toBe(true);
      host.clear(`${name}.raw`);
    }
  });

  test("exports leave no temporary file", () => {
    expect(Bun.spawnSync(["sh", "-c", `ls -A '${out}' | grep '^[.]#'`]).stdout.toString()).toBe("");
    expect(existsSync(at("target"))).toBe(true);
  });
});
