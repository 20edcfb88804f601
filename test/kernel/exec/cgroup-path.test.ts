// Which cgroups the program that enters machines computes from the texts of /proc/PID/cgroup.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { runC } from "../support.ts";

const SOURCES = join(import.meta.dir, "../../../src/exec/enter");

/**
 * Calls machine_cgroup() for texts of the v2 hierarchy: the leader's, and this process's as both namespaces show it.
 */
function program(rows: readonly (readonly [leader: string, here: string, there: string])[]): string {
  const calls = rows.map((texts) => `print(${texts.map((path) => JSON.stringify(`0::${path}\n`)).join(", ")});`);
  return `
#include "${SOURCES}/cgroup-path.c"
struct request request;
struct leader leader;
void say(const char *format, ...) { (void) format; }
void fail_at_leader(const char *attempt) { (void) attempt; _exit(1); }
ssize_t read_file(int at, const char *path, char *text, size_t size) { (void) at; (void) path; (void) text; (void) size; return -1; }
static struct cgroup_texts texts;
static void print(const char *leader, const char *here, const char *there) {
        char own[PATH_MAX], root[PATH_MAX];
        texts.is_own = true;
        strcpy(texts.absolute, leader); strcpy(texts.here, here); strcpy(texts.there, there);
        if (machine_cgroup(&texts, "", own, root)) printf("%s %s\\n", own, root);
        else printf("invisible\\n");
}
int main(void) { ${calls.join(" ")} }
`;
}

test("a cgroup's name may begin with two dots; only the component '..' leads out of the namespace", () => {
  const printed = runC(
    program([
      ["/m/payload/init", "/us", "/../../us"],
      ["/..m/payload/init", "/us", "/../../us"],
      ["/m/payload/init", "/..us", "/../../..us"],
      ["/../m", "/us", "/../us"],
      ["/..", "/us", "/../us"],
      ["/m/payload/init", "/../us", "/../../us"],
    ]),
  );
  if (printed === null) return;
  expect(printed.split("\n")).toEqual([
    "/m/payload/init /m/payload",
    "/..m/payload/init /..m/payload",
    "/m/payload/init /m/payload",
    "invisible",
    "invisible",
    "/m/payload/init /m/payload/init",
    "",
  ]);
});
