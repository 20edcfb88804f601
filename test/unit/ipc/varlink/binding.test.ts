// Types: `@ts-expect-error` fails the type check (`npm run types`) where the line below it compiles.
import { expect, test } from "bun:test";
import { defineVarlinkInterface } from "../../../../src/api/varlink-table.ts";
import { bindVarlink, Reply, type VarlinkHandlers } from "../../../../src/ipc/varlink/binding.ts";

const TABLE = defineVarlinkInterface({
  name: "a.b",
  doc: "",
  types: { Color: ["red", "green"], Point: { x: "int", label: "?string" } },
  methods: {
    Paint: { in: { color: "Color", at: "?[]Point" }, out: { count: "int" }, access: "everyone", doc: "" },
    Watch: { in: {}, out: { line: "?string" }, more: "supported", access: "everyone", doc: "" },
    Described: { in: {}, out: {}, unimplemented: true, access: "everyone", doc: "" },
  },
  notes: { fields: {}, errors: {} },
  errors: {},
});
type Bound = VarlinkHandlers<typeof TABLE>;
type Paint = Bound["Paint"];

const HANDLERS: Bound = {
  Paint: (_call, { color, at = [] }) => ({ count: at.length + (color === "red" ? 1 : 0) }),
  Watch: (call) => {
    call.emit({ line: "a" });
  },
};

test("a table is bound to one handler for each method; a method that is only described needs no handler", () => {
  expect(Object.keys(bindVarlink(TABLE, HANDLERS).handlers)).toEqual(["Paint", "Watch"]);
});

test("a missing handler and a handler without a method do not compile", () => {
  // @ts-expect-error Watch is missing
  bindVarlink(TABLE, { Paint: HANDLERS.Paint });
  // @ts-expect-error the table has no method Erase
  bindVarlink(TABLE, { ...HANDLERS, Erase: () => ({}) });
});

test("a parameter of another name or type does not compile", () => {
  const wrong: readonly Paint[] = [
    // @ts-expect-error it is no parameter of the method
    (_call, { colour }) => ({ count: Number(colour) }),
    // @ts-expect-error it is no value of the enumeration
    (_call, { color }) => ({ count: color === "blue" ? 1 : 0 }),
    // @ts-expect-error it is optional
    (_call, { at }) => ({ count: at.length }),
    // @ts-expect-error an integer can be text or a bigint
    (_call, { at }): { count: number } => ({ count: at?.[0]?.x ?? 0 }),
    // @ts-expect-error the parameter is declared with another type
    (_call, { color }: { color: number }) => ({ count: color }),
  ];
  expect(wrong.length).toBe(5);
});

test("a reply without a required field, of another type, or of several parts without `more` does not compile", () => {
  const wrong: readonly Paint[] = [
    // @ts-expect-error the count is missing
    () => ({}),
    // @ts-expect-error the count is no text
    () => ({ count: "1" }),
    // @ts-expect-error nothing is returned
    () => {},
    // @ts-expect-error the method has one reply
    () => ({ [Reply.many]: [{ count: 1 }] }),
  ];
  const right: Bound["Watch"] = () => ({ [Reply.many]: [{ line: "a" }, {}] });
  expect([wrong.length, right instanceof Function]).toEqual([4, true]);
  const emits: Bound["Watch"] = (call) => {
    // @ts-expect-error a line is text
    call.emit({ line: 1 });
  };
  expect(emits).toBeInstanceOf(Function);
});
