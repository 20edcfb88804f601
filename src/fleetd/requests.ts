// Answers requests under `machined.HOST.SCOPE.VERB`. Who may send them is decided by the permissions of NATS; what this host
// allows at all by its own settings.
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { onOneLine } from "../base/control-characters.ts";
import type { Log } from "../base/log.ts";
import { type Scope, tokenOf } from "../fleet/names.ts";
import { isInbox } from "../fleet/record.ts";
import { type FleetAnswer, type FleetRequest, Refused, readRequest } from "../fleet/request.ts";
import { streamCommand } from "./exec-stream.ts";
import { runVerb, VerbRun } from "./run-verb.ts";

/** How many requests of a kind run at once; more are refused. */
const PLACES: Readonly<Record<Scope | "wait", number>> = { read: 4, wait: 32, lifecycle: 4, exec: 8 };
/** How long a verb may take. */
const DEADLINES_MS: Readonly<Record<Scope, number>> = {
  read: 30_000,
  lifecycle: 120_000,
  exec: Number.POSITIVE_INFINITY,
};
/** Of an answer. The server's own limit may be lower. */
const MOST_ANSWER_BYTES = 512 << 10;

interface RequestRules {
  readonly host: string;
  readonly allow: readonly Scope[];
  readonly log: Log;
}

/** The answers over one connection. */
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

  /** Subscribes. Rejects when the server refuses that, and resolves at the end of the connection. */
  async run(): Promise<void> {
    const subscription = this.#nats.subscribe(`machined.${tokenOf(this.#rules.host)}.*.*`, {
      // A second agent of the same host does not do everything twice.
      queue: "machined",
      callback: (error, message) => {
        if (error === null) void this.#answer(message);
      },
    });
    this.#subscription = subscription;
    const end = await subscription.closed;
    if (end instanceof Error) throw end;
  }

  /** Ends what runs. */
  close(): void {
    this.#subscription?.unsubscribe();
    for (const run of this.#runs) run.stop();
  }

  async #answer(message: Msg): Promise<void> {
    // An agent may publish to what is asked to answer to: so only to inboxes.
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
    const error = `The answer has ${bytes} bytes, and ${most} are possible: name fewer machines`;
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
      // A turn of `wait` has its own limit.
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
