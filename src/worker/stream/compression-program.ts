// xz, bzip2, lz4 and some zstd by the host's programs, as children: they use every processor, and a crash of a decoder
// ends the child, not this process. They are searched on the host's path only, before any foreign file is touched
// (GHSA-x86f-5xw2-fm2r).

import { write as writeAsync } from "node:fs";
import { promisify } from "node:util";
import { ErrnoError } from "../../base/error.ts";
import { causeOf } from "../../base/text/signal-cause.ts";
import type { Compression } from "../../base/vocabulary/compression.ts";
import { type Fd, setNonblocking } from "../../kernel/file/fd.ts";
import { openPipe, widenPipe } from "../../kernel/process/pipe.ts";
import { type Chunks, patiently, readChunks } from "./archive.ts";
import { giveBack } from "./chunk-memory.ts";

const HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** The memory of a decoder: a dictionary of 128 MiB, and its other data. */
const XZ_MEMORY = "--memlimit-decompress=136MiB";
/** The messages of programs that need more memory than allowed. */
const MEMORY_COMPLAINT = /memory usage limit|Memory usage limit/;

interface Program {
  readonly name: string;
  readonly decode: readonly string[];
  readonly encode: readonly string[];
}

interface Found {
  readonly path: string;
  readonly program: Program;
}

interface Format {
  /** The fastest first. */
  readonly programs: readonly Program[];
  /** The names of packages of such a program in distributions. */
  readonly packages: string;
}

const FORMATS: Readonly<Record<Exclude<Compression, "uncompressed" | "gzip">, Format>> = {
  xz: {
    programs: [{ name: "xz", decode: ["-dc", "-T0", "-q", XZ_MEMORY], encode: ["-c", "-6", "-T0", "-q"] }],
    packages: "xz-utils or xz",
  },
  bzip2: {
    programs: [
      { name: "lbzip2", decode: ["-dc"], encode: ["-c", "-9"] },
      { name: "pbzip2", decode: ["-dc"], encode: ["-c", "-9"] },
      { name: "bzip2", decode: ["-dc"], encode: ["-c", "-9"] },
    ],
    packages: "bzip2, or lbzip2 for more than one processor",
  },
  lz4: { programs: [{ name: "lz4", decode: ["-dc", "-q"], encode: ["-c", "-q"] }], packages: "lz4" },
  zstd: { programs: [{ name: "zstd", decode: ["-dc", "-q"], encode: ["-c", "-3", "-T0", "-q"] }], packages: "zstd" },
};

type ProgramFormat = keyof typeof FORMATS;

function lookFor(format: ProgramFormat, path: string): Found | null {
  for (const program of FORMATS[format].programs) {
    const found = Bun.which(program.name, { PATH: path });
    if (found !== null) return { path: found, program };
  }
  return null;
}

/** Whether this host has a program for a format. */
export function hasProgram(format: ProgramFormat): boolean {
  return lookFor(format, HOST_PATH) !== null;
}

/**
 * Returns the path of the program for a format. Throws EPROTONOSUPPORT, with the package to install, where there is
 * none.
 */
export function findProgram(format: ProgramFormat, path = HOST_PATH): Found {
  const found = lookFor(format, path);
  if (found !== null) return found;
  throw new ErrnoError(
    "EPROTONOSUPPORT",
    `This host has no program for ${format} data. Install ${FORMATS[format].packages} (the name of the package).`,
  );
}

/**
 * Returns the content of a compressed stream. Throws EBADMSG when the program reports that it is damaged, EIO when a
 * signal ends the program.
 */
export function decodeByProgram(source: Chunks, format: ProgramFormat): Chunks {
  const { path, program } = findProgram(format);
  return run([path, ...program.decode], source, (complaint) => damagedBy(format, complaint));
}

/** Returns a compressed stream of the given content. Throws EIO when the program fails. */
export function encodeByProgram(source: Chunks, format: ProgramFormat): Chunks {
  const { path, program } = findProgram(format);
  return run([path, ...program.encode], source, (complaint) => {
    return new ErrnoError("EIO", `'${path}' failed to compress${lastLineOf(complaint)}`);
  });
}

/** Returns a pipe whose ends both block, with a large buffer where the user's limit allows that. */
function largePipe(): [read: Fd, write: Fd] {
  const [read, write] = openPipe();
  setNonblocking(read, "off");
  widenPipe(read);
  return [read, write];
}

/**
 * The number of programs that run. The engine has few threads for reading and writing, and a pipe that blocks holds
 * one: only the first program may, since several could hold all of them and wait for each other.
 */
let running = 0;

/** Passes data through a program; `failureOf` makes the error from its complaint. */
async function* run(
  command: string[],
  source: Chunks,
  failureOf: (complaint: string) => ErrnoError,
): AsyncGenerator<Buffer> {
  const [childInput, input] = largePipe();
  const [output, childOutput] = largePipe();
  const child = Bun.spawn(command, {
    env: { PATH: HOST_PATH },
    stdio: [childInput.number, childOutput.number, "pipe"],
  });
  if (running++ > 0) for (const end of [input, output]) setNonblocking(end);
  childInput.close();
  childOutput.close();
  const complaint = child.stderr.text();
  const fed = feed(source, input);
  fed.catch(() => child.kill("SIGKILL"));
  try {
    yield* readChunks(output);
    await fed;
    const status = await child.exited;
    // A killed decoder says nothing about the data.
    if (child.signalCode !== null)
      throw new ErrnoError("EIO", `'${command[0]}' was ended by ${causeOf(child.signalCode)}`);
    // bzip2 only warns of garbage after the end of the stream.
    if (status !== 0 || (await complaint) !== "") throw failureOf(await complaint);
  } finally {
    running--;
    child.kill("SIGKILL");
    output.close();
  }
}

const writeLater = promisify(writeAsync);

/** Writes everything to the child. Ignores that the child closes its end early: its exit status has the reason. */
async function feed(source: Chunks, input: Fd): Promise<void> {
  using end = input;
  for await (const chunk of source) {
    for (let done = 0; done < chunk.length; ) {
      try {
        const write = () => writeLater(end.number, chunk, done, chunk.length - done, null);
        done += (await patiently(write)).bytesWritten;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EPIPE") return;
        throw error;
      }
    }
    giveBack(chunk);
  }
}

/** Returns the last line of a complaint after a colon; nothing where there is none. */
function lastLineOf(complaint: string): string {
  const text = complaint.trim().split("\n").at(-1) ?? "";
  return text === "" ? "" : `: ${text}`;
}

function damagedBy(format: ProgramFormat, complaint: string): ErrnoError {
  if (MEMORY_COMPLAINT.test(complaint)) {
    const limit = "Compressed data (xz) needs a dictionary of more than 128M, which is the limit";
    return new ErrnoError("EFBIG", `${limit}${lastLineOf(complaint)}`);
  }
  return new ErrnoError("EBADMSG", `Compressed data (${format}) is damaged or truncated${lastLineOf(complaint)}`);
}
