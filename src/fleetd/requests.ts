// Answers requests to the subjects `machined.HOST.SCOPE.VERB`. The permissions of the NATS server decide who may send
// them, the settings of this host which scopes it allows.
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import type { Log } from "../base/log.ts";
import { onOneLine } from "../base/text/control-characters.ts";
import { type Scope, tokenOf } from "../fleet/names.ts";
import { isInbox } from "../fleet/record.ts";
import { type FleetAnswer, type FleetRequest, Refused, readRequest } from "../fleet/request.ts";
import { streamCommand } from "./exec-stream.ts";
import { runVerb, VerbRun } from "./run-verb.ts";

/** How many requests of a kind run at once; more are refused. */
const PLACES: Readonly<Record<Scope | "wait", number>> = { read: 4, wait: 32, lifecycle: 4, exec: 8 };
/** The deadline of a verb in each scope. */
const DEADLINES_MS: Readonly<Record<Scope, number>> = {
  read: 30_000,
  lifecycle: 120_000,
  exec: Number.POSITIVE_INFINITY,
};
/** The size limit of an answer. The server's own limit may be lower. */
const MOST_ANSWER_BYTES = 512 << 10;

interface RequestRules {
  readonly host: string;
  readonly allow: readonly Scope[];
  readonly log: Log;
}

/** Answers the requests of one connection. */
export class RequestServer {
  readonly #nats: NatsConnection;
  readonly #rules: RequestRules;
  readonly #running: Record<Scope | "wait", number> = { read: 0, wait: 0, lifecycle: 0, exec: 0 };
  readonly #runs = new Set<VerbRun>();
  #subscription: Subscription | null = null;

  constructor(nats: NatsConnection, rules: RequestRules) {
    this.#nats = nats;
    this.#rules = rules;
  }

  /** Subscribes to the requests. Rejects when the server refuses that; resolves at the end of the connection. */
  async run(): Promise<void> {
    const subscription = this.#nats.subscribe(`machined.${tokenOf(this.#rules.host)}.*.*`, {
      // With a queue group, each request goes to one agent, also where two run for the same host.
      queue: "machined",
      callback: (error, message) => {
        if (error === null) void this.#answer(message);
      },
    });
    this.#subscription = subscription;
    const end = await subscription.closed;
    if (end instanceof Error) throw end;
  }

  /** Ends the running verbs. */
  close(): void {
    this.#subscription?.unsubscribe();
    for (const run of this.#runs) run.stop();
  }

  async #answer(message: Msg): Promise<void> {
    // Only inboxes: the permission to answer would allow the agent to publish to any subject that a request names.
    if (!isInbox(message.reply)) return;
    let answer: FleetAnswer | null;
    try {
      answer = await this.#handle(message, message.reply);
    } catch (error) {
      if (!(error instanceof Refused)) this.#rules.log.warning(`A request failed: ${(error as Error).message}`);
      answer = {
        status: 1,
        output: "",
        error:
          error instanceof Refused
            ? error.message
            : `Host '${this.#rules.host}' could not carry out the request; its journal says why (journalctl -u machined-fleet)`,
      };
    }
    if (answer === null || this.#nats.isClosed()) return;
    this.#nats.publish(message.reply, this.#encoded(answer));
  }

  #encoded(answer: FleetAnswer): string {
    const most = Math.min(MOST_ANSWER_BYTES, this.#nats.info?.max_payload ?? MOST_ANSWER_BYTES);
    const text = JSON.stringify(answer);
    const bytes = Buffer.byteLength(text);
    if (bytes <= most) return text;
    const error = `The answer has ${bytes} bytes, more than the limit of ${most}: name fewer machines`;
    return JSON.stringify({ status: 1, output: "", error });
  }

  async #handle(message: Msg, reply: string): Promise<FleetAnswer | null> {
    const request = readRequest(message.subject, message.data);
    const { scope, verb } = request;
    const { allow, host, log } = this.#rules;
    if (!allow.includes(scope)) {
      throw new Refused(`Host '${host}' does not allow '${scope}' (Allow= in its fleet.conf)`);
    }
    const kind = verb === "wait" ? "wait" : scope;
    if (this.#running[kind] >= PLACES[kind]) {
      throw new Refused(`Host '${host}' runs ${PLACES[kind]} requests of this kind already: try again`);
    }
    if (scope !== "read") log.info(`Asked over NATS: ${describe(request)} (answer to ${reply})`);
    this.#running[kind]++;
    try {
      return await this.#run(request, reply);
    } finally {
      this.#running[kind]--;
    }
  }

  async #run(request: FleetRequest, reply: string): Promise<FleetAnswer | null> {
    const run = new VerbRun(request);
    this.#runs.add(run);
    try {
      if (request.scope === "exec") {
        await streamCommand(this.#nats, reply, run);
        return null;
      }
      // A `wait` has its own time limit in addition.
      const more = request.verb === "wait" ? request.timeoutMs : 0;
      return await runVerb(run, DEADLINES_MS[request.scope] + more, MOST_ANSWER_BYTES);
    } finally {
      this.#runs.delete(run);
    }
  }
}

function describe({ verb, machines, command }: FleetRequest): string {
  const words = command.length === 0 ? "" : ` ${JSON.stringify(command).slice(0, 200)}`;
  return onOneLine(`${verb} ${machines.join(" ").slice(0, 200)}${words}`);
}
