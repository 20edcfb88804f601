// xz, bzip2 and lz4 by the host's own programs, as children: they use every processor, and a fault in a decoder ends the
// child, not this process. They are looked for on the host's path only, before anything foreign is touched
// (GHSA-x86f-5xw2-fm2r).
import { write as writeAsync } from "node:fs";
import { promisify } from "node:util";
import { ErrnoError } from "../base/error.ts";
import { type Fd, setNonblocking } from "../kernel/fd.ts";
import { openPipe } from "../kernel/pipe.ts";
import { trySys } from "../kernel/sys.ts";
import { type Chunks, readChunks } from "./archive.ts";

const HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const XZ_MEMORY = "--memlimit-decompress=128MiB";

interface Program {
  readonly name: string;
  readonly decode: readonly string[];
  readonly encode: readonly string[];
}

/** For each format the programs that can do it, the fastest first. */
const PROGRAMS: Readonly<Record<"xz" | "bzip2" | "lz4", readonly Program[]>> = {
  xz: [{ name: "xz", decode: ["-dc", "-T0", "-q", XZ_MEMORY], encode: ["-c", "-6", "-T0", "-q"] }],
  bzip2: [
    { name: "lbzip2", decode: ["-dc"], encode: ["-c", "-9"] },
    { name: "pbzip2", decode: ["-dc"], encode: ["-c", "-9"] },
    { name: "bzip2", decode: ["-dc"], encode: ["-c", "-9"] },
  ],
  lz4: [{ name: "lz4", decode: ["-dc", "-q"], encode: ["-c", "-q"] }],
};

type Format = keyof typeof PROGRAMS;

function find(format: Format): { path: string; program: Program } {
  for (const program of PROGRAMS[format]) {
    const path = Bun.which(program.name, { PATH: HOST_PATH });
    if (path !== null) return { path, program };
  }
  const names = PROGRAMS[format].map(({ name }) => name).join(", ");
  throw new ErrnoError("EPROTONOSUPPORT", `No program for ${format} data on this host (looked for ${names})`);
}

/** The content of a compressed stream. EBADMSG when the program says that it is damaged. */
export function decodeByProgram(source: Chunks, format: Format): Chunks {
  const { path, program } = find(format);
  return run([path, ...program.decode], source, format);
}

/** A compressed stream of the given content. */
export function encodeByProgram(source: Chunks, format: Format): Chunks {
  const { path, program } = find(format);
  return run([path, ...program.encode], source, format);
}

const F_SETPIPE_SZ = 1031;
const PIPE_BYTES = 1 << 20;

/** A pipe both of whose ends wait, with room for large pieces where the user's limit allows that. */
function largePipe(): [read: Fd, write: Fd] {
  const [read, write] = openPipe();
  setNonblocking(read, "off");
  trySys("fcntl", read.number, F_SETPIPE_SZ, PIPE_BYTES);
  return [read, write];
}

async function* run(command: string[], source: Chunks, format: Format): AsyncGenerator<Buffer> {
  const [childInput, input] = largePipe();
  const [output, childOutput] = largePipe();
  const child = Bun.spawn(command, {
    env: { PATH: HOST_PATH },
    stdio: [childInput.number, childOutput.number, "pipe"],
  });
  childInput.close();
  childOutput.close();
  const complaint = child.stderr.text();
  const fed = feed(source, input);
  fed.catch(() => child.kill("SIGKILL"));
  try {
    yield* readChunks(output);
    await fed;
    // bzip2 only grumbles about garbage behind the end.
    if ((await child.exited) !== 0 || (await complaint) !== "") throw failureOf(format, await complaint);
  } finally {
    child.kill("SIGKILL");
    output.close();
  }
}

const writeLater = promisify(writeAsync);

/** Writes everything to the child. A child that closes its end early says why with its exit status. */
async function feed(source: Chunks, input: Fd): Promise<void> {
  using end = input;
  for await (const chunk of source) {
    for (let done = 0; done < chunk.length; ) {
      try {
        done += (await writeLater(end.number, chunk, done, chunk.length - done, null)).bytesWritten;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EPIPE") return;
        throw error;
      }
    }
  }
}

function failureOf(format: Format, complaint: string): ErrnoError {
  const text = complaint.trim().split("\n").at(-1) ?? "";
  return new ErrnoError(
    "EBADMSG",
    `Compressed data (${format}) is damaged or truncated${text === "" ? "" : `: ${text}`}`,
  );
}
