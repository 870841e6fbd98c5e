/** The rows of `npm run bench` about watchers: deliveries per second, and the longest slices. */
import { catchUp, oneKey, prefixes, type WatchFigures } from "./watch.ts";

const ROOM = 16 * 1024 * 1024;
const RUNS = 3;

/** Measures and prints; the best of three runs each. */
export function printWatchRows(): void {
  row("watch, 10,000 watchers of one key, 10 streams", () =>
    oneKey({ watchers: 10_000, streams: 10, changes: 200, maxQueuedBytes: ROOM }),
  );
  row("watch, 10,000 watchers of one key, a stream each", () =>
    oneKey({ watchers: 10_000, streams: 10_000, changes: 100, maxQueuedBytes: ROOM }),
  );
  row("watch, 10,000 watchers of one key, queue of 1 MiB", () =>
    oneKey({ watchers: 10_000, streams: 1, changes: 30, maxQueuedBytes: 1024 * 1024 }),
  );
  row("watch, 1,000 prefixes, a change each", () =>
    prefixes({ watchers: 1000, streams: 100, changes: 100_000, maxQueuedBytes: ROOM }),
  );
  row("watch, 1,000 watchers catch up 5,000 revisions", () =>
    catchUp({ watchers: 1000, streams: 10, changes: 5000, maxQueuedBytes: ROOM }),
  );
}

function row(name: string, measure: () => WatchFigures): void {
  const all = Array.from({ length: RUNS }, measure);
  const rates = all.map((run) => run.taken / (run.notifySeconds + run.tickSeconds + run.takeSeconds));
  const notifyMs = Math.min(...all.map((run) => run.notifyMs));
  const tickMs = Math.min(...all.map((run) => run.tickMs));
  const rate = Math.round(Math.max(...rates)).toLocaleString("en");
  const slices = `longest notify ${notifyMs.toFixed(1)} ms, tick ${tickMs.toFixed(1)} ms`;
  console.log(`${name.padEnd(52)} ${rate} events/s, ${slices}`);
}
