import { expect, test } from "bun:test";
import { settingsOf } from "../../../../src/worker/oci/settings.ts";

const of = (config: object) => settingsOf(Buffer.from(JSON.stringify({ config })));

test.each([
  ["SIGINT", "SIGINT"],
  ["9", "9"],
  ["SIGRTMIN+3", "SIGRTMIN+3"],
  [undefined, "SIGTERM"],
  ["", "SIGTERM"],
  ["SIGINT\nBind=/", "SIGTERM"],
  ["rm -rf", "SIGTERM"],
])(
  "an image with the stop signal %j gets KillSignal=%s: SIGTERM where it is missing or invalid",
  (StopSignal, signal) => {
    expect(of({ StopSignal })).toBe(`[Exec]\nBoot=no\nKillSignal=${signal}\n`);
  },
);

test("an image whose configuration does not say how to run it gets no settings file", () => {
  expect(settingsOf(Buffer.from("{}"))).toBeNull();
});

/** Reads words as systemd-nspawn does (252 and 262): quotes end with the same quote, a backslash has no meaning. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, "$1$2"),
  );
}

test("systemd-nspawn reads the command and the variables unchanged, with quotes and backslashes", () => {
  const command = ["/bin/sh", "-c", "say \"hi\" \\ 'x'", '"', `"'`, "trailing\\", "a\tb", "%n $X", ""];
  const Env = ['A=say "hi"', "B=\\d+\\"];
  const lines = of({ Env, Entrypoint: command.slice(0, 2), Cmd: command.slice(2) })?.split("\n") ?? [];
  const valuesOf = (key: string) => lines.filter((line) => line.startsWith(key)).map((line) => line.slice(key.length));
  expect(wordsOf(valuesOf("Parameters=")[0] ?? "")).toEqual(command);
  expect(valuesOf("Environment=").flatMap(wordsOf)).toEqual(Env);
});

test("a command with a word that a settings file cannot have is left out as a whole, and other values alone", () => {
  const config = { Cmd: ["sh", "-c", "a\nb", "rm"], Env: ["A=1", "B=2\n[Files]\nBind=/"], WorkingDir: "/x\\" };
  expect(of(config)).toBe('[Exec]\nBoot=no\nKillSignal=SIGTERM\nEnvironment="A=1"\n');
  expect(of({ Entrypoint: ["sh"], Cmd: [1] })).toBe("[Exec]\nBoot=no\nKillSignal=SIGTERM\n");
});
