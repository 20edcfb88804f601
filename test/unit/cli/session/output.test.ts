import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Output, type PagerPipe } from "../../../../src/cli/session/output.ts";
import { WAIT_FOR_FULL_PIPE } from "../../../lib/full-pipe.ts";

class Refusal extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** A descriptor that accepts three bytes in each write, and fails with EAGAIN every second time. */
function slowWriter(written: string[]) {
  let calls = 0;
  return (_fd: number, bytes: Uint8Array) => {
    calls++;
    if (calls % 2 === 0) throw new Refusal("EAGAIN");
    const part = bytes.subarray(0, 3);
    written.push(Buffer.from(part).toString());
    return part.length;
  };
}

describe("Output", () => {
  test("writes everything into a descriptor that is slow and non-blocking", () => {
    const written: string[] = [];
    new Output(slowWriter(written)).write("abcdefgh");
    expect(written).toEqual(["abc", "def", "gh"]);
  });

  test("drops output silently when the reader has closed the pipe", () => {
    const tried: number[] = [];
    const output = new Output((fd) => {
      tried.push(fd);
      throw new Refusal("EPIPE");
    });
    output.write("a");
    output.write("b");
    output.writeError("c");
    expect(tried).toEqual([1, 2]);
    expect(output.failure).toBeNull();
  });

  test("keeps the errno of a failed write to stdout, but not to stderr", () => {
    const output = new Output(() => {
      throw new Refusal("ENOSPC");
    });
    output.writeError("x");
    expect(output.failure).toBeNull();
    output.write("x");
    expect(output.failure).toBe("ENOSPC");
  });

  test("writes what it held back in one piece, or at once where it is long or something else is written", async () => {
    const written: string[] = [];
    const note = (how: string) => (fd: number, bytes: Uint8Array) => {
      written.push(`${how} ${fd}: ${bytes.length > 9 ? bytes.length : Buffer.from(bytes)}`);
      return bytes.length;
    };
    const output = new Output(note("at once"), async (bytes) => note("held")(1, bytes));
    output.hold();
    output.write("a");
    output.write("b");
    expect(written).toEqual([]);
    await output.flush();
    output.write("c");
    output.hold();
    output.write("d");
    output.writeError("e");
    output.hold();
    output.write("f");
    output.writeBytes(Buffer.from("g"));
    output.hold();
    output.write("h".repeat(4000));
    output.write("i".repeat(4000));
    output.hold();
    output.write("ü".repeat(4000));
    await output.flush();
    output.hold();
    output.write("j");
    await output.close();
    expect(written).toEqual([
      ...["held 1: ab", "at once 1: c", "at once 1: d", "at once 2: e", "at once 1: f", "at once 1: g"],
      ...["at once 1: 8000", "at once 1: 8000", "held 1: j"],
    ]);
  });

  test("remembers why what it held back could not be written", async () => {
    const refused = (code: string) =>
      new Output(
        () => 0,
        () => Promise.reject(new Refusal(code)),
      );
    for (const code of ["ENOSPC", "EPIPE"]) {
      const output = refused(code);
      output.hold();
      output.write("x");
      await output.flush();
      expect([output.failure, output.isOver]).toEqual([code === "EPIPE" ? null : code, true]);
    }
  });

  test("sends both streams to the pager and waits for it", async () => {
    const shown: string[] = [];
    let closed = false;
    const output = new Output(() => {
      throw new Refusal("EIO");
    });
    const pipe: PagerPipe = {
      write: (text) => shown.push(text) > 0,
      drained: async () => {},
      close: async () => {
        closed = true;
      },
    };
    output.usePager({ start: () => pipe, takesErrors: false });
    output.write("a");
    output.writeError("b");
    await output.close();
    expect([shown, closed, output.failure]).toEqual([["a", "b"], true, null]);
  });

  test("is over when the user has quit the pager", async () => {
    const output = new Output(() => 0);
    const pipe: PagerPipe = { write: () => false, drained: async () => {}, close: async () => {} };
    output.usePager({ start: () => pipe, takesErrors: false });
    expect(output.isOver).toBe(false);
    output.write("a");
    await output.close();
    expect([output.isOver, output.failure]).toEqual([true, null]);
  });

  test("starts a pager that the user named for an error, too (C123)", async () => {
    const shown: string[] = [];
    const output = new Output(() => {
      throw new Refusal("EIO");
    });
    const pipe = { write: (text: string) => shown.push(text) > 0, drained: async () => {}, close: async () => {} };
    output.usePager({ start: () => pipe, takesErrors: true });
    output.writeError("a");
    await output.close();
    expect(shown).toEqual(["a"]);
  });

  test("starts no other pager for an error before the first output", async () => {
    const written: [number, string][] = [];
    const output = new Output((fd, bytes) => {
      written.push([fd, Buffer.from(bytes).toString()]);
      return bytes.length;
    });
    const start = () => {
      throw new Error("was started");
    };
    output.usePager({ start, takesErrors: false });
    output.write("");
    output.writeError("No machine 'nope' known\n");
    expect(output.hasPager).toBe(true);
    await output.close();
    expect(written).toEqual([[2, "No machine 'nope' known\n"]]);
  });

  test("writes to stdout if the pager cannot be started", async () => {
    const written: string[] = [];
    const output = new Output((_, bytes) => {
      written.push(Buffer.from(bytes).toString());
      return bytes.length;
    });
    output.usePager({ start: () => null, takesErrors: true });
    output.write("a");
    output.write("b");
    expect(output.hasPager).toBe(false);
    await output.close();
    expect(written).toEqual(["a", "b"]);
  });
});

describe("a process that writes four million bytes", () => {
  const script = join(import.meta.dir, "write-much.ts");
  const bun = process.execPath;

  test("delivers all of it through a slow pipe", async () => {
    const child = Bun.spawn(["sh", "-c", `"${bun}" "${script}" | { ${WAIT_FOR_FULL_PIPE}; wc -c; }`], {
      stdout: "pipe",
    });
    expect((await new Response(child.stdout).text()).trim()).toBe("4000000");
  });

  test("delivers all of it through a pipe in non-blocking mode", async () => {
    const child = Bun.spawn(["sh", "-c", `"${bun}" "${script}" nonblocking | { ${WAIT_FOR_FULL_PIPE}; wc -c; }`], {
      stdout: "pipe",
    });
    expect((await new Response(child.stdout).text()).trim()).toBe("4000000");
  });

  test("ends silently and successfully when the reader has closed the pipe", async () => {
    const command = `{ "${bun}" "${script}"; echo status=$? >&2; } | head -c 5`;
    const child = Bun.spawn(["sh", "-c", command], { stdout: "pipe", stderr: "pipe" });
    expect(await new Response(child.stdout).text()).toBe("xxxxx");
    expect(await new Response(child.stderr).text()).toBe("status=0\n");
  });
});
