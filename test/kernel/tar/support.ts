// Unpacks archives into temporary directories beside a canary file that must not change.
import { afterAll, expect } from "bun:test";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { Unpacker } from "../../../src/worker/untar/unpacker.ts";
import type { UntarOptions } from "../../../src/worker/untar/untar.ts";

interface Unpacked {
  readonly top: string;
  readonly error: (Error & { errnoName?: string }) | null;
}

/** A scratch directory with a canary in it, for one test file; it is removed after its tests. */
export class Sandbox {
  readonly #scratch = mkdtempSync(join(tmpdir(), "untar-test-"));
  readonly canary = join(this.#scratch, "canary");
  readonly #before: string;
  #count = 0;

  constructor() {
    afterAll(() => rmSync(this.#scratch, { recursive: true, force: true }));
    mkdirSync(this.canary);
    writeFileSync(join(this.canary, "file"), "untouched", { mode: 0o600 });
    this.#before = this.#describe();
  }

  #describe(): string {
    const file = join(this.canary, "file");
    const { mode, uid, gid, nlink, mtimeMs } = lstatSync(file);
    const directory = lstatSync(this.canary);
    const content = readFileSync(file, "utf8");
    const entries = readdirSync(this.canary);
    return JSON.stringify([mode, uid, gid, nlink, mtimeMs, content, directory.mode, directory.uid, entries]);
  }

  expectCanary(): void {
    expect(this.#describe()).toBe(this.#before);
  }

  /** Unpacks `bytes`, in pieces of `step`, into a new directory; the result stays there for the test. */
  unpack(bytes: Buffer, options: UntarOptions = {}, step = 7777): Unpacked {
    const top = join(this.#scratch, `top${this.#count++}`);
    mkdirSync(top);
    using directory = openPath(top, "directory");
    using unpacker = new Unpacker(directory, options);
    try {
      for (let at = 0; at < bytes.length; at += step) unpacker.push(bytes.subarray(at, at + step));
      unpacker.end();
      return { top, error: null };
    } catch (error) {
      return { top, error: error as Error };
    }
  }
}
