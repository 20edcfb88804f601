// A FUSE file system whose server answers FUSE_INIT and no further request. A process that accesses it sleeps
// uninterruptibly as soon as the server has read its request; even SIGKILL takes effect only when the server has ended.
// Needs root.
import { constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watch } from "../../src/kernel/event/poller.ts";
import { readSome, writeSome } from "../../src/kernel/file/byte-io.ts";
import { Fd } from "../../src/kernel/file/fd.ts";
import { unmount } from "../../src/kernel/mount/mount.ts";
import { mountFileSystem } from "./kernel-calls.ts";

const FUSE_INIT = 26;
/** struct fuse_in_header: 0 len, 4 opcode, 8 unique; struct fuse_out_header: 0 len, 4 error, 8 unique. */
const [OPCODE, UNIQUE, OUT_HEADER, INIT_OUT] = [4, 8, 16, 64];
const MAX_READ_BYTES = 1 << 17;

/** The mounted file system and its server. */
export class HungFileSystem implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "machined-hung-"));
  /** How many requests were read and not answered. */
  questions = 0;
  readonly #device: Fd;

  constructor() {
    this.#device = Fd.adopt(openSync("/dev/fuse", constants.O_RDWR | constants.O_NONBLOCK));
    const options = `fd=${this.#device.number},rootmode=40000,user_id=0,group_id=0`;
    mountFileSystem("fuse", "hung", this.path, options);
    watch(this.#device, { read: true }, () => {
      for (let question = readSome(this.#device, MAX_READ_BYTES); question !== null; ) {
        this.#hear(question);
        question = readSome(this.#device, MAX_READ_BYTES);
      }
    });
  }

  #hear(question: Buffer): void {
    if (question.readUInt32LE(OPCODE) !== FUSE_INIT) {
      this.questions++;
      return;
    }
    const answer = Buffer.alloc(OUT_HEADER + INIT_OUT);
    answer.writeUInt32LE(answer.length, 0);
    question.copy(answer, UNIQUE, UNIQUE, UNIQUE + 8);
    answer.writeUInt32LE(7, OUT_HEADER); // version 7.31
    answer.writeUInt32LE(31, OUT_HEADER + 4);
    answer.writeUInt32LE(4096, OUT_HEADER + 20); // max_write
    writeSome(this.#device, answer);
  }

  /** Ends the server; processes that wait for it get an error. */
  end(): void {
    this.#device.close();
  }

  [Symbol.dispose](): void {
    this.end();
    unmount(this.path, "lazy");
    rmSync(this.path, { recursive: true });
  }
}
