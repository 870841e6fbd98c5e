/**
 * Counters, gauges and histograms in the text format of Prometheus (version 0.0.4). Series of a family are bounded: who
 * makes them chooses labels from a fixed set, never from what a client sends.
 */
import { assert } from "../../base/index.ts";

/** Most series of one family; more is a bug of whoever chose the labels. */
const MAX_SERIES = 2_000;

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  /** @param by how much; not below 0 */
  add(labels?: Labels, by?: number): void;
}

export interface Histogram {
  observe(value: number): void;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Lines without the family's name: suffix, labels, value. */
  samples(): Iterable<readonly [suffix: string, labels: string, value: number]>;
}

export class Registry {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string): Counter {
    const series = new Map<string, number>();
    this.#add({
      name,
      help,
      type: "counter",
      *samples() {
        for (const [labels, value] of series) yield ["", labels, value];
      },
    });
    return {
      add(labels = {}, by = 1) {
        const key = labelText(labels);
        const before = series.get(key);
        if (before === undefined) mustHaveRoom(name, series.size);
        series.set(key, (before ?? 0) + by);
      },
    };
  }

  /** @param read called when the metrics are asked for; an array has one sample per set of labels */
  gauge(
    name: string,
    help: string,
    read: () => number | readonly (readonly [labels: Labels, value: number])[],
    type: "gauge" | "counter" = "gauge",
  ): void {
    this.#add({
      name,
      help,
      type,
      *samples() {
        const value = read();
        if (typeof value === "number") yield ["", "", value];
        else for (const [labels, one] of value) yield ["", labelText(labels), one];
      },
    });
  }

  /** @param bounds upper bounds of the buckets, ascending; the last bucket, infinity, is added */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const counts = new Array<number>(bounds.length + 1).fill(0);
    let sum = 0;
    this.#add({
      name,
      help,
      type: "histogram",
      *samples() {
        let below = 0;
        for (const [i, count] of counts.entries()) {
          below += count;
          const bound = bounds[i];
          yield ["_bucket", labelText({ le: bound === undefined ? "+Inf" : String(bound) }), below];
        }
        yield ["_sum", "", sum];
        yield ["_count", "", below];
      },
    });
    return {
      observe(value) {
        const at = bounds.findIndex((bound) => value <= bound);
        const bucket = at < 0 ? bounds.length : at;
        counts[bucket] = (counts[bucket] ?? 0) + 1;
        sum += value;
      },
    };
  }

  /** Everything, families in order of name. */
  render(): string {
    const parts: string[] = [];
    for (const name of [...this.#families.keys()].sort()) {
      const family = this.#families.get(name);
      if (family === undefined) continue;
      parts.push(`# HELP ${name} ${family.help}\n# TYPE ${name} ${family.type}\n`);
      for (const [suffix, labels, value] of family.samples()) {
        parts.push(`${name}${suffix}${labels} ${numberText(value)}\n`);
      }
    }
    return parts.join("");
  }

  #add(family: Family): void {
    assert(!this.#families.has(family.name), "two metrics of one name", { name: family.name });
    this.#families.set(family.name, family);
  }
}

function mustHaveRoom(name: string, size: number): void {
  assert(size < MAX_SERIES, "too many series of a metric", { name, size });
}

/** Labels are never changed, and hot counters come with the same objects again and again. */
const texts = new WeakMap<Labels, string>();

function labelText(labels: Labels): string {
  const known = texts.get(labels);
  if (known !== undefined) return known;
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  const text = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
  texts.set(labels, text);
  return text;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
