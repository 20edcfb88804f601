// Documents of a release: links to files that it does not contain become plain text.
import { expect, test } from "bun:test";
import { withoutDeadLinks } from "../../../install/release/links.ts";

const SHIPPED = new Set(["README.md", "docs/exec.md"]);

test("links to files of the release, to headings and to addresses stay, others become their text", () => {
  const text =
    "[a](docs/exec.md#users) [b](docs/glossary.md) [c](#top) [d](https://example.org/x) `x` [e](test/README.md)";
  const shown = "[a](docs/exec.md#users) b [c](#top) [d](https://example.org/x) `x` e";
  expect(withoutDeadLinks(text, "README.md", SHIPPED)).toBe(shown);
});

test("targets are relative to the folder of the document", () => {
  expect(withoutDeadLinks("[a](exec.md) [b](../README.md) [c](../LICENSE)", "docs/fleet.md", SHIPPED)).toBe(
    "[a](exec.md) [b](../README.md) c",
  );
});
