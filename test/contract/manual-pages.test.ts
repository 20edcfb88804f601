// The manual pages say what the tables say: who may call a method, and how an option is written.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OWN_INTERFACES } from "../../src/api/own-interfaces.ts";
import { IMPORTCTL_OPTIONS } from "../../src/cli/program/importctl-options.ts";
import { OPTIONS } from "../../src/cli/program/options.ts";
import { TOP } from "../lib/run-tests.ts";

/** Returns a page without font escapes. */
function plainPage(name: string): string {
  const text = readFileSync(join(TOP, "install/man", name), "utf8");
  return text
    .replace(/\\f[BIRP]/g, "")
    .replaceAll("\\&...", "…")
    .replaceAll("\\-", "-");
}

test("io.machined(7) says of each method whether everybody, root alone or a permission of polkit may call it", () => {
  const page = plainPage("io.machined.7");
  for (const { methods } of OWN_INTERFACES) {
    for (const [name, { access }] of Object.entries(methods)) {
      const [, section = ""] = page.split(`\n.SS ${name}\n`);
      const [about = ""] = section.split("\n.");
      expect([name, about.includes("Everyone may call it.")]).toEqual([name, access === "everyone"]);
      expect([name, about.includes("\nRoot and the user")]).toEqual([name, access === "privileged"]);
    }
  }
});

const CLIENTS = { machinectl: OPTIONS, importctl: IMPORTCTL_OPTIONS };
for (const [client, options] of Object.entries(CLIENTS)) {
  test(`${client}(1) has each option that --help has, and its value as there`, () => {
    const page = plainPage(`${client}.1`);
    for (const [key, { hidden, type, valueHint = "", isValueOptional }] of Object.entries(options)) {
      if (hidden === true || key.length === 1) continue;
      const value = isValueOptional === true ? `[=${valueHint}]` : type === "string" ? `=${valueHint}` : "";
      expect(page).toMatch(new RegExp(`^\\.TP\\n(?:-.*, )?--${RegExp.escape(`${key}${value}`)}$`, "m"));
    }
  });
}
