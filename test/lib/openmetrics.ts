// A strict parser of OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/) for the types that this
// project uses: gauge, counter, info, histogram.

interface Family {
  readonly name: string;
  type: string;
  unit: string;
  help: string;
  readonly samples: Sample[];
}

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The suffixes that may follow a family's name in the names of its samples, by type. */
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  gauge: [""],
  counter: ["_total", "_created"],
  info: ["_info"],
  histogram: ["_bucket", "_sum", "_count", "_created"],
};

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const DESCRIPTOR = new RegExp(`^# (TYPE|UNIT|HELP) (${NAME}) (.*)$`);
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?inf|nan)$/i;

function fail(line: string, why: string): never {
  throw new Error(`Not OpenMetrics: ${why}: ${line}`);
}

function labelsOf(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== ""; ) {
    const [whole, name, value, comma] = LABEL.exec(rest) ?? fail(line, "a label that is none");
    if (name === undefined || value === undefined || Object.hasOwn(labels, name)) fail(line, "a label twice");
    labels[name] = value.replace(/\\(.)/g, (_all, character) => (character === "n" ? "\n" : character));
    rest = rest.slice(whole.length);
    if (comma === "," && rest === "") fail(line, "a comma behind the last label");
  }
  return labels;
}

function numberOf(text: string, line: string): number {
  if (!NUMBER.test(text)) fail(line, "a value that is no number");
  if (/inf/i.test(text)) return text.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return Number(text);
}

/** Parses a whole exposition; returns its families by name. Throws if it violates the specification. */
export function parseOpenMetrics(text: string): Map<string, Family> {
  if (!text.endsWith("# EOF\n")) throw new Error("Not OpenMetrics: the end is missing");
  const families = new Map<string, Family>();
  const series = new Set<string>();
  let current = null as Family | null;
  for (const line of text.slice(0, -"# EOF\n".length).split("\n").slice(0, -1)) {
    if (line.startsWith("#")) {
      const [, keyword, name = "", value = ""] = DESCRIPTOR.exec(line) ?? fail(line, "no descriptor");
      if (current?.name !== name) {
        if (families.has(name)) fail(line, "a family that is cut in two");
        current = { name, type: "", unit: "", help: "", samples: [] };
        families.set(name, current);
      }
      if (current.samples.length > 0) fail(line, "a descriptor behind its samples");
      const key = keyword === "TYPE" ? "type" : keyword === "UNIT" ? "unit" : "help";
      if (current[key] !== "") fail(line, "a descriptor twice");
      current[key] = value;
      continue;
    }
    const [, name = "", labelText, number = ""] = SAMPLE.exec(line) ?? fail(line, "no sample");
    if (current === null) fail(line, "a sample without its family");
    const allowed = SUFFIXES[current.type] ?? fail(line, `the type '${current.type}'`);
    const family = current.name;
    if (!allowed.some((suffix) => name === family + suffix)) fail(line, "a sample of another family");
    const sample = {
      name,
      labels: labelText === undefined ? {} : labelsOf(labelText, line),
      value: numberOf(number, line),
    };
    const id = seriesOf(sample);
    if (series.has(id)) fail(line, "a series twice");
    series.add(id);
    if (current.type === "counter" && !(sample.value >= 0)) fail(line, "a counter below 0");
    if (current.type === "info" && sample.value !== 1) fail(line, "an info that is not 1");
    current.samples.push(sample);
  }
  for (const family of families.values()) checkFamily(family);
  return families;
}

function checkFamily(family: Family): void {
  const { name, unit, type } = family;
  if (unit !== "" && !name.endsWith(`_${unit}`)) fail(name, "a name without its unit");
  if (type === "histogram") checkHistogram(family);
}

/**
 * Throws unless the buckets of each set of labels are consecutive, sorted and cumulative, and the last one is +Inf and
 * equals the count.
 */
function checkHistogram({ name, samples }: Family): void {
  const groups = new Map<string, Sample[]>();
  let last = "";
  for (const sample of samples) {
    const { le: _le, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    if (key !== last && groups.has(key)) fail(name, "a histogram that is cut in two");
    groups.set(key, [...(groups.get(key) ?? []), sample]);
    last = key;
  }
  for (const group of groups.values()) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => {
      const le = labels["le"] ?? "";
      if (!/^(\d+\.\d+|\+Inf)$/.test(le)) fail(name, `the bound '${le}'`);
      return le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le);
    });
    const isSorted = (values: readonly number[]) =>
      values.every((value, at) => at === 0 || value >= (values[at - 1] ?? 0));
    if (!isSorted(bounds) || !isSorted(buckets.map(({ value }) => value))) fail(name, "buckets out of order");
    const count = group.find((sample) => sample.name === `${name}_count`)?.value;
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY || buckets.at(-1)?.value !== count) fail(name, "no last bucket");
    if (!group.some((sample) => sample.name === `${name}_sum`)) fail(name, "no sum");
  }
}

/** Returns `name{a="b"}` with the labels sorted by name. */
function seriesOf({ name, labels }: Pick<Sample, "name" | "labels">): string {
  const list = Object.keys(labels)
    .sort()
    .map((key) => `${key}=${JSON.stringify(labels[key])}`)
    .join(",");
  return `${name}{${list}}`;
}

/** Returns the value of a series such as `name{a="b"}`. Throws if there is none. */
export function valueIn(families: ReadonlyMap<string, Family>, wanted: string): number {
  for (const { samples } of families.values()) {
    for (const sample of samples) if (seriesOf(sample) === wanted) return sample.value;
  }
  throw new Error(`There is no series ${wanted}`);
}
