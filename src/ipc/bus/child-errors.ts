// The standard error of a child whose other end is not trusted: ssh(1) passes on what the other host writes there. On a
// terminal it is printed with control characters escaped. The child gets a terminal of its own for it, because ssh(1)
// shows some prompts ("Confirm user presence") on a terminal only.
import { type Watch, watch } from "../../kernel/event/poller.ts";
import { readSome } from "../../kernel/file/byte-io.ts";
import { type Fd, setNonblocking } from "../../kernel/file/fd.ts";
import { openPipe } from "../../kernel/process/pipe.ts";
import { isTerminal } from "../../kernel/terminal/is-terminal.ts";
import { printError } from "../../kernel/terminal/print.ts";
import { openPty, openPtyPeer } from "../../kernel/terminal/pty.ts";

/** Returns the end that we read, and the child's. */
function openEnds(): [ours: Fd, theirs: Fd] {
  try {
    const { master } = openPty();
    try {
      setNonblocking(master);
      return [master, openPtyPeer(master)];
    } catch (error) {
      master.close();
      throw error;
    }
  } catch {
    // No devpts, or no terminal is left in it.
    return openPipe();
  }
}

/**
 * How long a child's last words are waited for: a terminal delivers them later than they are written, and a process
 * that the child leaves behind (ssh's ControlPersist) keeps it open.
 */
const LAST_WORDS_MS = 100;

/**
 * What may be the beginning of an end of line. Programs on the way add one carriage return each; a longer run comes
 * from a host that wants us to hold it. The patterns begin where a run does: else they would try each of its
 * characters, which takes quadratic time.
 */
const INCOMPLETE = /(?<!\r)\r{1,16}$/;
const END_OF_LINE = /(?<!\r)\r+\n/g;

/** Replaces the ends of lines by those of our terminal: ssh(1) and terminals add carriage returns. */
export class LineEnds {
  #rest = "";

  /** Takes the next part of a text; returns what can be printed of it, and of what was left of the parts before. */
  take(text: string): string {
    const whole = this.#rest + text;
    this.#rest = INCOMPLETE.exec(whole)?.[0] ?? "";
    return whole.slice(0, whole.length - this.#rest.length).replace(END_OF_LINE, "\n");
  }

  /** Returns what is left at the end of the text. */
  rest(): string {
    const rest = this.#rest;
    this.#rest = "";
    return rest;
  }
}

export class ChildErrors {
  /** The child's standard error, for its start. */
  readonly stderr: number | "inherit";
  #ours: Fd | null = null;
  #theirs: Fd | null = null;
  #watch: Watch | null = null;
  readonly #decoder = new TextDecoder();
  readonly #lineEnds = new LineEnds();
  readonly #ended = Promise.withResolvers<void>();
  readonly #atExit = () => this.#flush();

  /** Where standard error is no terminal, the child inherits it: it is read by a program. */
  constructor() {
    if (!isTerminal(2)) {
      this.stderr = "inherit";
      return;
    }
    [this.#ours, this.#theirs] = openEnds();
    this.stderr = this.#theirs.number;
  }

  /** Prints from now on what the child writes; to be called when it was started. */
  follow(): void {
    this.#theirs?.close();
    this.#theirs = null;
    if (this.#ours === null) return;
    this.#watch = watch(this.#ours, { read: true }, () => this.#flush());
    process.on("exit", this.#atExit);
  }

  /** Prints what the child has written, before a message about its end, which it waits for a moment. */
  async finish(): Promise<void> {
    if (this.#ours === null) return;
    const timer = setTimeout(this.#ended.resolve, LAST_WORDS_MS);
    await this.#ended.promise;
    clearTimeout(timer);
    this.#flush();
  }

  #flush(): void {
    while (this.#ours !== null) {
      const part = this.#read(this.#ours);
      if (part === null) return;
      if (part.length === 0) this.close();
      else this.#print(this.#decoder.decode(part, { stream: true }));
    }
  }

  /** Ends the printing. */
  close(): void {
    this.#watch?.stop();
    this.#theirs?.close();
    this.#ours?.close();
    this.#theirs = this.#ours = null;
    process.off("exit", this.#atExit);
    this.#print(this.#decoder.decode());
    printError(this.#lineEnds.rest());
    this.#ended.resolve();
  }

  /** Returns the next bytes, none at the end; null where there are none yet. */
  #read(ours: Fd): Buffer | null {
    try {
      return readSome(ours);
    } catch {
      return Buffer.alloc(0); // EIO: nobody has the terminal open any more
    }
  }

  #print(text: string): void {
    printError(this.#lineEnds.take(text));
  }
}
