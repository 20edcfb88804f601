// KEY=VALUE files: plain lines are read in one step; what looks almost like one is read as systemd reads it.
import { expect, test } from "bun:test";
import { parseEnvFile } from "../../../../src/base/text/env-file.ts";

test.each([
  ["A=b\nC=d", { A: "b", C: "d" }],
  ['A="b c"\nC=""\nD=\n', { A: "b c", C: "", D: "" }],
  // Several lines in quotes are one value.
  ['A="b\nC=d"\nE=f', { A: "b\nC=d", E: "f" }],
  // Quoted and other parts of one value.
  [`A="b"c\nD=e'f g'h`, { A: "bc", D: "ef gh" }],
  ['A="b \\" c"\nD=e\\ f', { A: 'b " c', D: "e f" }],
  ["A=b \nC=d\te  \n", { A: "b", C: "d\te" }],
  [" A=b\n\tC=d\r\nE=f\r", { A: "b", C: "d", E: "f" }],
  ["A=b\\\nc\nD=e", { A: "bc", D: "e" }],
  ["# A=b\n;C=d\nE=f # g\n", { E: "f # g" }],
  ["1A=b\nA B=c\nno assignment\nC=d", { C: "d" }],
  ["A=b\nA=c", { A: "c" }],
  ["A=b=c\nÄ=b\nE=ä", { A: "b=c", E: "ä" }],
])("the assignments of %j", (text, assignments) => {
  expect(Object.fromEntries(parseEnvFile(text))).toEqual(assignments);
});
