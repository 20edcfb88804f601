// The pages that are served over HTTP at /run/systemd/machine/metrics: `/metrics` for Prometheus, `/sd` for its service
// discovery.
import { readdirSync } from "node:fs";
import { version } from "../../../package.json";
import { type CallCounts, DURATION_BOUNDS } from "../../ipc/call-counts.ts";
import { type HttpAnswer, type HttpRequest, plainAnswer } from "../../ipc/http/server.ts";
import { openFilesLimit, type Peers } from "../../ipc/peers.ts";
import { statPath } from "../../kernel/file/fd.ts";
import type { DaemonSource, MachineSource } from "../../stats/metrics.ts";
import { acceptedFormat, FORMATS, type Format, metricsText } from "../../stats/text.ts";
import type { Daemon } from "../action/daemon.ts";
import type { MachineUsage, Sample, Sampler } from "./sampler.ts";
import { discoveredTargets, portOf } from "./service-discovery.ts";
import type { Streams } from "./streams.ts";

interface PageSources {
  readonly daemon: Daemon;
  readonly sampler: Sampler;
  readonly streams: Streams;
  readonly counts: CallCounts;
  readonly peers: Peers;
}

/** The pages of one sample, formatted at the first request. */
interface Page {
  readonly sample: Sample;
  readonly bodies: Partial<Record<Format, Uint8Array>>;
}

export class MetricsPage {
  readonly #sources: PageSources;
  readonly #startedSeconds = (Date.now() - process.uptime() * 1000) / 1000;
  #page: Page | null = null;

  constructor(sources: PageSources) {
    this.#sources = sources;
  }

  answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer> {
    switch (request.path) {
      case "/metrics":
        return this.#metrics(acceptedFormat(request.accept));
      case "/sd":
        return this.#targets(request);
      default:
        return plainAnswer(404, "Not Found: there are /metrics and /sd");
    }
  }

  async #metrics(format: Format): Promise<HttpAnswer> {
    const sample = await this.#sources.sampler.sample();
    if (this.#page?.sample !== sample) this.#page = { sample, bodies: {} };
    const { bodies } = this.#page;
    bodies[format] ??= Buffer.from(this.#text(sample, format));
    return { status: 200, type: FORMATS[format], body: bodies[format] };
  }

  #text(sample: Sample, format: Format): string {
    const machines = sample.machines.map(sourceOf);
    return metricsText(machines, this.#daemonSource(sample, machines), format);
  }

  async #targets({ query }: HttpRequest): Promise<HttpAnswer> {
    const port = portOf(query.get("port"));
    if (port === null) return plainAnswer(400, "port is not between 1 and 65535");
    const { daemon } = this.#sources;
    const body = Buffer.from(`${JSON.stringify(await discoveredTargets(daemon, port))}\n`);
    return { status: 200, type: "application/json", body };
  }

  #daemonSource(sample: Sample, machines: readonly MachineSource[]): DaemonSource {
    const { daemon, streams, counts, peers } = this.#sources;
    const { user, system } = process.cpuUsage();
    return {
      version,
      machines,
      sampledSeconds: Number(sample.realtimeUsec) / 1e6,
      samplingSeconds: Math.round(sample.durationMs * 1000) / 1e6,
      calls: counts.methods,
      durationBounds: DURATION_BOUNDS,
      durations: counts.durations,
      operations: daemon.operations.size,
      connections: peers.connections,
      streams: streams.size,
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      openFiles: openFiles(),
      mostOpenFiles: openFilesLimit(),
      startedSeconds: this.#startedSeconds,
    };
  }
}

function sourceOf({ machine, usage }: MachineUsage): MachineSource {
  const { name, facts } = machine;
  const started = machine.startedAt;
  return {
    name,
    class: facts.class,
    service: facts.service,
    startedSeconds: started === null ? null : Number(started.realtimeUsec) / 1e6,
    usage,
  };
}

/** Since Linux 6.2 the directory's size is the number of its entries; before, they are counted. */
function openFiles(): number {
  return statPath("/proc/self/fd").size || readdirSync("/proc/self/fd").length;
}
