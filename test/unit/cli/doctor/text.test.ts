// The findings of doctor as text, at different widths of a terminal.
import { expect, test } from "bun:test";
import { findingsText } from "../../../../src/cli/doctor/text.ts";
import { readTerminal } from "../../../../src/cli/format/terminal.ts";

const { paint } = readTerminal({ TERM: "dumb" }, { stdout: false, stderr: false, columns: () => 80 });
const MEND = "systemctl enable --now a-unit-with-a-long-name.service another-unit-with-a-long-name.socket";
const FINDINGS = [
  { level: "ok", title: "message bus", what: "answers" },
  {
    level: "problem",
    title: "transfers over Varlink",
    what: "systemd-importd.socket does not listen, and nothing else does",
    why: "importctl of systemd 260 and later uses this socket",
    mend: MEND,
  },
] as const;

test("without a limit each text is on one line", () => {
  expect(findingsText(FINDINGS, { paint, columns: null })).toBe(`\
ok       message bus             answers
problem  transfers over Varlink  systemd-importd.socket does not listen, and nothing else does
         why:  importctl of systemd 260 and later uses this socket
         mend: ${MEND}
`);
});

test("on a terminal texts continue under their beginning, and commands stay on one line", () => {
  expect(findingsText(FINDINGS, { paint, columns: 80 })).toBe(`\
ok       message bus             answers
problem  transfers over Varlink  systemd-importd.socket does not listen, and
                                 nothing else does
         why:  importctl of systemd 260 and later uses this socket
         mend: ${MEND}
`);
});

test("on a narrow terminal what was found is below the title", () => {
  expect(findingsText(FINDINGS, { paint, columns: 50 })).toBe(`\
ok       message bus
         answers
problem  transfers over Varlink
         systemd-importd.socket does not listen,
         and nothing else does
         why:  importctl of systemd 260 and later
               uses this socket
         mend: ${MEND}
`);
});
