// The log of events: cursors, how much is kept, and what the next daemon reads.
import { afterAll, beforeEach, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IoMachinedEvents } from "../../../../src/api/varlink/io-machined-events.ts";
import { EVENTS } from "../../../../src/base/vocabulary/event.ts";
import { EventLog } from "../../../../src/machined/events/log.ts";
import { Reader } from "../../../../src/machined/events/reader.ts";

const directory = mkdtempSync(join(tmpdir(), "event-log-"));
let path: string;
let warnings: string[] = [];
let count = 0;
const admin = { info: () => {}, debug: () => {}, warning: (text: string) => warnings.push(text) };
const ALL = { cursor: null, sinceUsec: 0, names: null, types: null, follows: false };

beforeEach(() => {
  path = join(directory, `events-${count++}`);
  warnings = [];
});
afterAll(() => rmSync(directory, { recursive: true }));

function opened(): EventLog {
  const log = new EventLog(path, admin);
  log.open();
  return log;
}

function start(log: EventLog, machine: string, leader = 100): void {
  log.append({ type: "machine", event: "started", machine, leader });
}

function end(log: EventLog, machine: string): void {
  log.append({ type: "machine", event: "ended", machine, how: "exited", status: 0 });
}

/** The events that a reader gets, in short form: the machine's name, or the event about the log. */
function read(log: EventLog, wanted: Partial<ConstructorParameters<typeof Reader>[1]> = {}): string[] {
  let isDone = false;
  const reader = new Reader(log, { ...ALL, ...wanted }, () => {
    isDone = true;
  });
  const seen: string[] = [];
  for (let text = reader.next(); text !== null; text = reader.next()) {
    const { type, event, machine, count: number } = JSON.parse(text);
    seen.push(type === "log" ? [event, number].filter((word) => word !== undefined).join(" ") : machine);
  }
  expect(isDone).toBe(true);
  return seen;
}

const cursors = (log: EventLog) =>
  Array.from({ length: log.next - log.oldest }, (_, i) => log.cursorOf(log.oldest + i));

test("a reader starts now, at a time, or after a cursor, and gets only the names and types that it asks for", () => {
  const log = opened();
  for (const name of ["a", "b", "c"]) start(log, name);
  expect(read(log)).toEqual(["begin", "a", "b", "c"]);
  expect(read(log, { sinceUsec: null })).toEqual(["begin"]);
  expect(read(log, { cursor: cursors(log)[0] as string })).toEqual(["begin", "b", "c"]);
  expect(read(log, { names: new Set(["b"]) })).toEqual(["begin", "b"]);
  expect(read(log, { types: new Set(["address"]) })).toEqual(["begin"]);
  for (const cursor of ["", "x", log.cursorOf(3).replace(/3$/, "9"), log.cursorOf(3).replace(/-1-/, "-2-")]) {
    expect(() => read(log, { cursor })).toThrow("cursor is not valid");
  }
});

test("the last 10 000 events are kept, and a later reader gets the number of events that it missed", () => {
  const log = opened();
  start(log, "first");
  const [cursor] = cursors(log);
  for (let i = 0; i < 25_000; i++) start(log, `m${i}`);
  expect(log.next - log.oldest).toBe(10_000);
  const seen = read(log, { cursor: cursor as string });
  expect(seen.slice(0, 3)).toEqual(["begin", "missed 15000", "m15000"]);
  expect(seen.length).toBe(10_002);
  expect(read(log).slice(0, 2)).toEqual(["begin", "m15000"]);
});

test("events that are no longer among the newest are read as they were appended, by several readers at a time", () => {
  const log = opened();
  const names = Array.from({ length: 3000 }, (_, i) => `"\\n\u00e9\u{1f600} ${i}`);
  for (const [i, name] of names.entries()) {
    if (i % 2 === 0) log.append({ type: "image", event: "added", image: name });
    else start(log, name, i);
  }
  const follower = { ...ALL, follows: true };
  const readers = [0, 700, 1400].map((seen) => new Reader(log, { ...follower, cursor: log.cursorOf(seen) }, () => {}));
  for (const reader of readers) reader.next();
  for (let i = 0; i < 1600; i++) {
    for (const [k, reader] of readers.entries()) {
      const { machine, image } = JSON.parse(reader.next() ?? "null");
      expect(machine ?? image).toBe(names[i + 700 * k]);
    }
  }
  const only = new Reader(log, { ...ALL, names: new Set([names[5] as string]), types: new Set(["machine"]) }, () => {});
  only.next();
  expect(JSON.parse(only.next() ?? "null")).toMatchObject({ machine: names[5], leader: 5 });
  expect(only.next()).toBeNull();
});

test("the next daemon continues the log, its cursors and the list of running machines", () => {
  const first = opened();
  for (let i = 0; i < 12_000; i++) start(first, `m${i}`);
  for (let i = 0; i < 11_000; i++) end(first, `m${i}`);
  const old = first.cursorOf(first.next - 3);
  first.close();
  const second = opened();
  expect(second.oldest).toBe(first.oldest);
  expect(second.running.size).toBe(1000);
  start(second, "later");
  expect(read(second, { cursor: old })).toEqual(["begin", "m10998", "m10999", "later"]);
  expect(new Set(cursors(second)).size).toBe(10_000);
  second.close();
  expect(opened().running.get("later")).toBe(100);
});

test("after a kill the next daemon knows the leader of a machine whose service has a line separator in its name", () => {
  const killed = opened();
  killed.append({ type: "machine", event: "started", machine: "m", service: "a\u2028b\u2029c", leader: 100 });
  killed.flush();
  expect(opened().running.get("m")).toBe(100);
});

test("the next daemon knows which machines are paused, also where the events about them are no longer kept", () => {
  const tell = (log: EventLog, event: "paused" | "resumed", machine: string) =>
    log.append({ type: "machine", event, machine });
  const first = opened();
  for (const machine of ["a", "b", "c"]) {
    start(first, machine);
    tell(first, "paused", machine);
  }
  tell(first, "resumed", "b");
  end(first, "c");
  for (let i = 0; i < 25_000; i++) {
    end(first, `m${i}`);
    if (i % 5000 === 0) first.flush();
  }
  first.close();
  expect([...opened().paused]).toEqual(["a"]);
});

test("after a kill no cursor is used for two events, and an incomplete line is ignored", () => {
  const killed = opened();
  start(killed, "written");
  killed.close();
  const stored = readFileSync(path, "utf8");
  start(killed, "told but not written");
  const told = killed.cursorOf(2);
  writeFileSync(path, `${stored}{"cursor":"12`);
  const next = opened();
  start(next, "after");
  expect(read(next, { cursor: told })).toEqual(["begin", "after"]);
  expect(read(next)).toEqual(["begin", "written", "after"]);
  expect(next.cursorOf(2)).not.toBe(told);
});

test("from files that overlap, because a daemon was killed while it rotated them, each event is read once", () => {
  const first = opened();
  for (const name of ["a", "b", "c"]) start(first, name);
  first.close();
  copyFileSync(path, `${path}.old`);
  const log = opened();
  start(log, "d");
  expect(read(log)).toEqual(["begin", "a", "b", "c", "d"]);
});

test("a reader whose cursor belongs to a lost log gets 'missed'", () => {
  const gone = opened();
  start(gone, "a");
  const cursor = gone.cursorOf(1);
  rmSync(path);
  const log = opened();
  start(log, "b");
  expect(read(log, { cursor })).toEqual(["begin", "missed", "b"]);
});

test("an invalid file starts a new log", () => {
  for (const text of [
    "",
    "\n",
    "nonsense\n",
    '{"log":1}\n',
    '{"log":"x","epoch":1,"next":1,"running":{}}\n{"cursor":"y"}\n',
  ]) {
    writeFileSync(path, text);
    const log = opened();
    start(log, "a");
    expect(read(log)).toEqual(["begin", "a"]);
    log.close();
  }
});

test("the size of the files is limited", () => {
  const log = opened();
  for (let round = 0; round < 7; round++) {
    for (let i = 0; i < 6000; i++) start(log, `machine-${i}`);
    // As the timer calls it.
    log.flush();
  }
  log.close();
  const lines = [path, `${path}.old`].map((file) => readFileSync(file, "utf8").split("\n").length);
  expect(Math.max(...lines)).toBeLessThan(17_000);
  expect(opened().next - opened().oldest).toBe(10_000);
});

test("daemons that log nothing do not let the file grow, and each has an epoch of its own", () => {
  const first = opened();
  for (let i = 0; i < 3000; i++) start(first, `machine-${i}`);
  first.close();
  const { size } = statSync(path);
  const epochs = Array.from({ length: 5 }, () => {
    const log = opened();
    const [, epoch] = log.cursorOf(log.next).split("-");
    log.close();
    return epoch;
  });
  expect(epochs).toEqual(["2", "3", "4", "5", "6"]);
  expect(statSync(path).size).toBe(size);
  expect(opened().running.size).toBe(3000);
});

test.each([3, 300])(
  "what a daemon appends after a start is read by the next one, also after kills (%i events)",
  (each) => {
    const names: string[] = [];
    for (let round = 0; round < 12; round++) {
      const log = opened();
      for (let i = 0; i < each; i++) {
        names.push(`m${round}-${i}`);
        start(log, names.at(-1) as string);
      }
      if (round > 0) {
        names.push(`m${round - 1}-0`);
        end(log, names.at(-1) as string);
      }
      if (round % 3 === 0) log.flush();
      else log.close();
      expect(read(log)).toEqual(["begin", ...names]);
    }
    const log = opened();
    expect(log.running.size).toBe(12 * each - 11);
    expect(read(log)).toEqual(["begin", ...names]);
    // The next daemon need not read what the others have written.
    expect(readFileSync(path, "utf8").match(/^\{"log"/gm)?.length).toBeGreaterThan(12);
  },
);

test("events that cannot be written cause a warning, are kept, and are written later", () => {
  mkdirSync(path);
  const log = opened();
  start(log, "a");
  log.flush();
  expect(warnings.length).toBeGreaterThan(0);
  // What was written of a new file takes no room from others until then.
  expect(existsSync(`${path}.new`)).toBe(false);
  rmSync(path, { recursive: true });
  log.flush();
  expect(existsSync(path)).toBe(true);
  log.close();
  expect(read(opened())).toEqual(["begin", "a"]);
});

/** Lets no file be opened for writing while `act` runs. */
function withoutDescriptors<Result>(act: () => Result): Result {
  const opening = spyOn(fs, "openSync").mockImplementation(() => {
    throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
  });
  try {
    return act();
  } finally {
    opening.mockRestore();
  }
}

test.each([
  ["continue", (_stored: string) => {}],
  ["make", (stored: string) => writeFileSync(path, stored.replace(/^.*"machine":"b".*\n/m, ""))],
])("a daemon that has no descriptor at first to %s the file loses no earlier event", (_, change) => {
  const first = opened();
  for (const name of ["a", "b", "c", "d"]) start(first, name);
  first.close();
  change(readFileSync(path, "utf8"));
  const second = withoutDescriptors(() => {
    const log = opened();
    start(log, "e");
    log.flush();
    return log;
  });
  expect(warnings.join()).toContain("EMFILE");
  const expected = read(second);
  expect(expected.slice(-3)).toEqual(["c", "d", "e"]);
  second.flush();
  start(second, "f");
  second.close();
  expect(read(opened())).toEqual([...expected, "f"]);
});

test("a daemon that ends with no event after it could not open the file opens it at its end", () => {
  const first = opened();
  start(first, "a");
  first.close();
  const second = withoutDescriptors(opened);
  const place = second.cursorOf(second.next);
  second.close();
  const third = opened();
  expect(third.cursorOf(third.next)).not.toBe(place);
  expect(read(third)).toEqual(["begin", "a"]);
});

test("a file that was removed is made again when it is full", () => {
  const log = opened();
  rmSync(path);
  for (let i = 0; i < 10_000; i++) start(log, `m${i}`);
  log.flush();
  start(log, "lost in the turn");
  log.flush();
  start(log, "later");
  log.flush();
  log.close();
  expect(read(opened()).slice(-2)).toEqual(["lost in the turn", "later"]);
});

test("the documentation lists exactly the fields of events", () => {
  const page = readFileSync(join(import.meta.dir, "../../../../docs/events.md"), "utf8");
  const rows = (heading: string) => (page.split(`## ${heading}`)[1] ?? "").split("\n## ")[0]?.match(/^\| `.*$/gm) ?? [];
  const documented = rows("Fields").map((row) => row.split("`")[1]);
  expect(documented.toSorted()).toEqual(Object.keys(IoMachinedEvents.methods.Subscribe.out).toSorted());
  const events = rows("Events").map((row) => [row.split("`")[1], row.split("`")[3]].join(" "));
  const known = Object.entries(EVENTS).flatMap(([type, names]) => names.map((name) => `${type} ${name}`));
  expect(events.toSorted()).toEqual(known.toSorted());
});
