/** Numbers in arguments, with the words in which etcdctl refuses them: scripts look for these. */

/** A number, or why the text is none. */
export type Parsed<T> =
  | { readonly type: "ok"; readonly value: T }
  | { readonly type: "refused"; readonly reason: string };

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;
const MAX_UINT64 = 2n ** 64n - 1n;

/** A signed 64-bit integer. @param base 10, or 16 without prefix */
export function parseInt64(text: string, base: 10 | 16): Parsed<bigint> {
  return parse("ParseInt", text, base, MIN_INT64, MAX_INT64);
}

/** An unsigned 64-bit integer. */
export function parseUint64(text: string, base: 10 | 16): Parsed<bigint> {
  return parse("ParseUint", text, base, 0n, MAX_UINT64);
}

function parse(name: string, text: string, base: 10 | 16, lo: bigint, hi: bigint): Parsed<bigint> {
  const sign = lo < 0n ? "([+-]?)" : "()";
  const match = new RegExp(`^${sign}(${base === 10 ? "[0-9]+" : "[0-9a-fA-F]+"})$`).exec(text);
  const refused = (why: string): Parsed<bigint> => ({
    type: "refused",
    reason: `strconv.${name}: parsing ${JSON.stringify(text)}: ${why}`,
  });
  if (match === null) return refused("invalid syntax");
  const digits = BigInt(base === 16 ? `0x${match[2]}` : (match[2] ?? ""));
  const value = match[1] === "-" ? -digits : digits;
  return value < lo || value > hi ? refused("value out of range") : { type: "ok", value };
}

/** An int64 as a number, clamped to what is exact: beyond it a revision is a future one either way. */
export function clamped(value: bigint): number {
  const max = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(value > max ? max : value < -max ? -max : value);
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 60e3,
  h: 3600e3,
};

/** A duration as Go writes it (`1m30s`, `500ms`), ms; undefined: it is none. */
export function parseDurationMs(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, number, , unit = ""] of text.matchAll(/(\d+(\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    ms += Number(number) * (UNIT_MS[unit] ?? 0);
  }
  return ms;
}

/** A duration as Go prints it. */
export function durationText(ms: number): string {
  const trim = (value: number): string => String(Number(value.toFixed(6)));
  if (ms < 1e-3) return `${Math.round(ms * 1e6)}ns`;
  if (ms < 1) return `${trim(ms * 1e3)}µs`;
  if (ms < 1e3) return `${trim(ms)}ms`;
  const minutes = Math.floor(ms / 60e3);
  const seconds = `${trim((ms - minutes * 60e3) / 1e3)}s`;
  if (minutes === 0) return seconds;
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}

const SIZE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Bytes in powers of 1000, as etcdctl prints them: `25 kB`, `1.5 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 10) return `${bytes} B`;
  const power = Math.min(Math.floor(Math.log10(bytes) / 3 + 1e-12), SIZE_UNITS.length - 1);
  const value = Math.floor((bytes / 1000 ** power) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${SIZE_UNITS[power]}`;
}
