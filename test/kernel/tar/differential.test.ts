// Compares machined's reader and writer of archives with GNU tar and bsdtar: a tree that one packs and another unpacks
// is the same, in nanoseconds, holes and attributes, as far as the format can express it. Otherwise, the result has to
// be that of the other program for its own archive.
import { describe, expect, setDefaultTimeout } from "bun:test";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { tarChunks } from "../../../src/worker/tar/pack.ts";
import { Unpacker } from "../../../src/worker/untar/unpacker.ts";
import { havePrograms, type TestProgram } from "../../lib/programs.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { isRoot, rootTest } from "../support.ts";
import { describeTree, makeEverything, run, treeDirectory } from "../tree-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = treeDirectory();
let count = 0;

function fresh(): string {
  const path = join(scratch, `${count++}`);
  mkdirSync(path);
  return path;
}

/** A random tree that depends on the seed: names short and long, sizes around the blocks of archives, holes, links. */
const RANDOM = `
import os, random, sys
top, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
os.chdir(top)
letters = "abcdefghij -_.+äß漢"
def name(): return "".join(random.choice(letters) for _ in range(random.choice([1, 3, 8, 20, 60]))).strip(".- ") + str(random.randrange(10**6))
directories, files = ["."], []
for _ in range(300):
    path = os.path.join(random.choice(directories[-30:]), name())
    kind = random.random()
    if kind < 0.2:
        os.mkdir(path); directories.append(path)
    elif kind < 0.3 and files: os.link(random.choice(files), path)
    elif kind < 0.4: os.symlink(random.choice(["x", "../" * random.randrange(60) + "x", "y" * 150]), path)
    else:
        with open(path, "wb") as f:
            for _ in range(random.choice([0, 1, 1, 1, 3])):
                f.write(os.urandom(random.choice([1, 511, 512, 513, 4096, 10240, 70000])))
                if random.random() < 0.2: f.seek(random.choice([4096, 1 << 20]), 1)
            f.truncate(f.tell())
        files.append(path)
        if random.random() < 0.2: os.setxattr(path, "user." + name(), os.urandom(random.choice([0, 5, 3000])))
for path in directories[1:] + files:
    os.chown(path, random.choice([0, 1000, 65534, 2097152, 4294967293]), random.choice([0, 8, 100000]))
    os.chmod(path, random.choice([0o644, 0o755, 0o600, 0o2755, 0o4711, 0o1777, 0]))
for path in files + directories[::-1]: os.utime(path, ns=(1, random.randrange(10**18, 2 * 10**18)))
`;

/** MACHINED_TREES=N: the number of random trees. */
const SEEDS = Array.from({ length: Number(process.env["MACHINED_TREES"] ?? 1) }, (_, index) => index + 1);

/** Makes a tree and writes it to disk: before that, not every file system reports the holes. */
function made(make: (top: string) => void): string {
  const top = fresh();
  make(top);
  run("sync", "-f", top);
  return top;
}

const SHAPES: Readonly<Record<string, (top: string) => void>> = {
  "one of everything": (top) => {
    rmSync(top, { recursive: true });
    makeEverything(top);
    // An archive cannot contain a socket.
    rmSync(join(top, "socket"));
  },
  ...Object.fromEntries(
    SEEDS.map((seed) => [`random tree ${seed}`, (top: string) => void run("python3", "-c", RANDOM, top, `${seed}`)]),
  ),
};

type Extract = (archive: string, top: string) => void;

interface Archiver {
  readonly program: TestProgram;
  /** Options by format. With "some", the format cannot express everything, and the program's own result is expected. */
  readonly formats: Readonly<Record<string, { readonly options: readonly string[]; readonly says: "all" | "some" }>>;
  /** Whether the target directory gets the metadata of the archive's top directory. */
  readonly keepsTop: boolean;
  readonly create: (archive: string, top: string, options: readonly string[]) => void;
  readonly extract: Extract;
}

const GNU_KEEP = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"];
/** bsdtar needs a locale to read names as UTF-8. */
const BSDTAR = ["env", "LC_ALL=C.UTF-8", "bsdtar"] as const;
const BSD_KEEP = ["--xattrs", "--acls", "--numeric-owner"];

const ARCHIVERS: readonly Archiver[] = [
  {
    program: "tar",
    formats: {
      pax: { options: ["--format=pax"], says: "some" },
      ...Object.fromEntries(
        ["0.0", "0.1", "1.0"].map((version) => [
          `pax, sparse ${version}`,
          { options: ["--format=pax", "--sparse", `--sparse-version=${version}`], says: "all" as const },
        ]),
      ),
      "GNU, sparse": { options: ["--format=gnu", "--sparse"], says: "some" },
    },
    keepsTop: true,
    create: (archive, top, options) => {
      const keep = options.includes("--format=gnu") ? ["--numeric-owner"] : GNU_KEEP;
      run("tar", ...options, ...keep, "-C", top, "-cf", archive, ".");
    },
    extract: (archive, top) => void run("tar", ...GNU_KEEP, "-C", top, "-xpf", archive),
  },
  {
    program: "bsdtar",
    formats: {
      pax: { options: ["--format=pax"], says: "all" },
      "GNU's": { options: ["--format=gnutar"], says: "some" },
    },
    keepsTop: false,
    create: (archive, top, options) => void run(...BSDTAR, ...options, ...BSD_KEEP, "-C", top, "-cf", archive, "."),
    extract: (archive, top) => void run(...BSDTAR, ...BSD_KEEP, "-C", top, "-xpf", archive),
  },
];

function createOurs(archive: string, top: string): void {
  using tree = openPath(top, "directory");
  const file = openSync(archive, "w");
  for (const chunk of tarChunks(tree)) writeSync(file, chunk);
  closeSync(file);
}

const extractOurs: Extract = (archive, top) => {
  using tree = openPath(top, "directory");
  using unpacker = new Unpacker(tree);
  const bytes = readFileSync(archive);
  // Pieces of an odd size: the result must not depend on where the archive is cut.
  for (let at = 0; at < bytes.length; at += 99_991) unpacker.push(bytes.subarray(at, at + 99_991));
  unpacker.end();
};

/** The lines that only one of the two descriptions has. */
function difference(ours: string, theirs: string, keepsTop = true): string[] {
  const [a, b] = [ours.split("\n"), theirs.split("\n")];
  if (!keepsTop) for (const lines of [a, b]) lines.shift();
  const only = (lines: string[], others: string[], mark: string) => {
    const known = new Set(others);
    return lines.filter((line) => !known.has(line)).map((line) => mark + line);
  };
  return [...only(a, b, "< "), ...only(b, a, "> ")];
}

function extracted(archive: string, extract: Extract): string {
  const top = fresh();
  extract(archive, top);
  const found = describeTree(top);
  run("rm", "-rf", top);
  return found;
}

for (const { program, formats, create, extract, keepsTop } of ARCHIVERS) {
  const isThere = havePrograms(`the comparison with ${program}`, program);
  describe.skipIf(!isThere || !isRoot)(`${program} and machined`, () => {
    for (const [shape, make] of Object.entries(SHAPES)) {
      for (const [format, { options, says }] of Object.entries(formats)) {
        rootTest(
          `I88 I89 I90 I91 ${shape}: machined unpacks the ${format} archive of ${program} to ${says === "all" ? "the original tree" : "the tree that the program makes of it"}`,
          () => {
            const top = fresh();
            make(top);
            const archive = join(scratch, "archive.tar");
            create(archive, top, options);
            const wanted = says === "all" ? describeTree(top) : extracted(archive, extract);
            expect(difference(extracted(archive, extractOurs), wanted, says === "all" || keepsTop)).toEqual([]);
          },
        );
      }
      rootTest(`I118 I122 ${shape}: ${program} and machined unpack machined's archive to the original tree`, () => {
        const top = made(make);
        const archive = join(scratch, "archive.tar");
        createOurs(archive, top);
        const before = describeTree(top);
        expect(difference(extracted(archive, extractOurs), before)).toEqual([]);
        expect(difference(extracted(archive, extract), before, keepsTop)).toEqual([]);
      });
    }
  });
}
