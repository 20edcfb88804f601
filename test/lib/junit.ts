// Parses the JUnit files of `bun test`, with only as much XML as these need.

interface TestCase {
  readonly name: string;
  readonly file: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

const TESTCASE = /<testcase ([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g;
const ENTITIES: Readonly<Record<string, string>> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&amp;": "&",
};

/** Returns all test cases of a file. */
export function parseJunit(xml: string): TestCase[] {
  return [...xml.matchAll(TESTCASE)].map((match) => {
    const attributes = match[1] ?? "";
    const body = match[3] ?? "";
    const group = attribute(attributes, "classname");
    const name = attribute(attributes, "name");
    const outcome = /<failure|<error/.test(body) ? "failed" : body.includes("<skipped") ? "skipped" : "passed";
    return { name: group === "" ? name : `${group} > ${name}`, file: attribute(attributes, "file"), outcome };
  });
}

/** Returns the test files with their durations in seconds, the slowest first. */
export function parseDurations(xml: string): { readonly file: string; readonly seconds: number }[] {
  const suites = [...xml.matchAll(/<testsuite ([^>]*)>/g)].map((match) => match[1] ?? "");
  return suites
    .filter((attributes) => attribute(attributes, "name") === attribute(attributes, "file"))
    .map((attributes) => ({ file: attribute(attributes, "file"), seconds: Number(attribute(attributes, "time")) }))
    .sort((a, b) => b.seconds - a.seconds);
}

function attribute(text: string, name: string): string {
  const value = new RegExp(`(?:^| )${name}="([^"]*)"`).exec(text)?.[1] ?? "";
  return value.replace(/&(?:lt|gt|quot|apos|amp);/g, (entity) => ENTITIES[entity] ?? entity);
}
