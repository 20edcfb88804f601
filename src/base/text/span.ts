// Time spans as users write them (systemd.time(7), "Parsing Time Spans").

const SPAN_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  sec: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Parses a time span such as `90` (seconds), `1.5s`, `2min 30s`. Returns milliseconds; undefined for an invalid text.
 */
export function parseSpanMs(text: string): number | undefined {
  let total = 0;
  const rest = text.trim().replace(/(\d+(?:\.\d+)?)\s*([a-z]*)\s*/g, (whole, number: string, unit: string) => {
    const factor = SPAN_UNITS_MS[unit === "" ? "s" : unit];
    if (factor === undefined) return whole;
    total += Number(number) * factor;
    return "";
  });
  return text.trim() !== "" && rest === "" ? Math.round(total) : undefined;
}
