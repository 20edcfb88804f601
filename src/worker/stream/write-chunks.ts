// Writing chunks to a descriptor of any kind.
import { write as writeAsync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { type Fd, statFd } from "../../kernel/file/fd.ts";
import { widenPipe } from "../../kernel/process/pipe.ts";
import { type Chunks, patiently } from "./archive.ts";

const writeLater = promisify(writeAsync);

/** Writes everything to `file`: at once to a regular file, on another thread to a file that may block. */
export async function writeStream(source: Chunks, file: Fd): Promise<void> {
  const isRegular = statFd(file).kind === "regular";
  if (!isRegular) widenPipe(file);
  for await (const chunk of source) {
    for (let done = 0; done < chunk.length; ) {
      done += isRegular
        ? writeSync(file.number, chunk, done, chunk.length - done, null)
        : await patiently(
            async () => (await writeLater(file.number, chunk, done, chunk.length - done, null)).bytesWritten,
          );
    }
  }
}
