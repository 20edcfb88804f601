// `-H a,b` and `-H @FILE`: a verb on several hosts at once. This client runs once for each host; what the runs print
// becomes one output.
import type { VerbRow } from "../command-line/verb-row.ts";
import { EXIT_UNREAD } from "../exec/order.ts";
import { Failure } from "../session/failure.ts";
import { inParallel } from "../session/in-parallel.ts";
import type { Session } from "../session/session.ts";
import { hostsOf, readHostsFile, wordsFor } from "./names.ts";
import { checkedRows, printPages, printRows } from "./print.ts";
import type { HostResult } from "./result.ts";
import { EXIT_INTERRUPTED, type ManyHostsOrder, Runs } from "./runs.ts";
import { HostsTemplate } from "./template.ts";

const USUAL_PARALLEL = 16;

/** Returns the verb; where its text is passed on line by line, its JSON is merged instead. */
function withMergedJson(verb: VerbRow, { settings }: Session): VerbRow {
  // The output of a command is its own; as JSON is printed what `--detach` has started.
  const isOwn = verb.meta.name === "exec" && !settings.detach;
  const isJson = settings.json !== "off" && verb.options?.includes("json") === true && !isOwn;
  return verb.hosts === "streams" && isJson ? { ...verb, hosts: "pages" } : verb;
}

function refuse({ verb, program }: ManyHostsOrder, { settings }: Session): void {
  if (verb.hosts === undefined) {
    throw new Failure(
      `'${program.name} ${verb.meta.name}' does not work on several hosts: name one after -H, or run it there, over ssh(1)`,
    );
  }
  if (settings.iterations > 1) throw new Failure("--iterations= is for one host");
  if (settings.tty) throw new Failure("Commands on several hosts have no terminal: leave out -t");
}

/**
 * Runs a verb on the hosts that -H names; returns the exit status: 1 where a host failed, for `exec` the command's own.
 */
export async function runOnHosts(session: Session, given: ManyHostsOrder, named: string): Promise<number> {
  const verb = withMergedJson(given.verb, session);
  const order = { ...given, verb };
  const { words, options } = order;
  refuse(order, session);
  const { settings, ports, report } = session;
  const hosts = await hostsOf(named, readHostsFile);
  const runs = hosts.flatMap((host) => {
    const said = wordsFor(host, hosts, verb, words);
    return said === null ? [] : [{ host, said }];
  });
  const isGiven = options.some(({ name }) => name === "parallel");
  const template = await HostsTemplate.of(session, verb);
  const all = new Runs(session, order, hosts, template);
  const interrupt = ports.interrupted(verb.hosts === "events" ? "or-reader-left" : undefined);
  void interrupt.promise.then(() => all.stopAll());
  let results: readonly HostResult[];
  try {
    // A verb that follows does not end: with a limit, further hosts would never begin.
    const width =
      verb.hosts === "events" && settings.follow ? runs.length : isGiven ? settings.parallel : USUAL_PARALLEL;
    results = await inParallel(runs, width, ({ host, said }) => all.run(host, said));
  } finally {
    interrupt.stop();
  }
  if (all.isInterrupted && verb.hosts !== "events") return session.output.isOver ? EXIT_UNREAD : EXIT_INTERRUPTED;
  if (verb.hosts === "rows" || verb.hosts === "pages") await session.openPager();
  if (verb.hosts === "rows") results = checkedRows(session, results);
  if (verb.hosts === "rows") printRows(session, results, { hasNumbers: verb.meta.name === "stats", template });
  if (verb.hosts === "pages") results = printPages(session, verb, results);
  for (const { host, error } of results) if (error !== null) report.error(`${host}: ${error}`);
  const first = results.find(({ status }) => status !== 0)?.status ?? 0;
  return verb.hosts === "streams" || verb.meta.name === "exec" ? first : Number(first !== 0);
}
