/**
 * Renders a history that failed its check as one HTML file. Everything a reader needs is inside: the file can
 * be mailed, and opened in a year.
 */
import type { Finding, KvHistory, KvOperation, KvVerdict, WatchAnswer } from "../check/index.ts";
import { showEvent, showRequest, showResponse } from "../check/words.ts";
import { SCRIPT, STYLE } from "./script.ts";

/** What the script draws. Times in microseconds of the history's clock. */
export interface PageData {
  readonly title: string;
  readonly from: number;
  readonly to: number;
  readonly lanes: readonly string[];
  readonly bars: readonly PageBar[];
  readonly ticks: readonly PageTick[];
  readonly faults: readonly PageBand[];
  readonly leaders: readonly PageBand[];
  readonly findings: readonly Finding[];
}

interface PageBar {
  readonly id: number;
  /** Index in `lanes`. */
  readonly lane: number;
  readonly from: number;
  /** null: there was no answer. */
  readonly to: number | null;
  readonly outcome: KvOperation["outcome"]["type"];
  readonly revision: number;
  readonly request: string;
  readonly answer: string;
}

interface PageTick {
  /** Identity of the watcher. */
  readonly watch: number;
  readonly lane: number;
  readonly at: number;
  readonly kind: "created" | "canceled" | "events" | "progress";
  readonly revision: number;
  readonly text: string;
}

interface PageBand {
  readonly from: number;
  readonly to: number;
  readonly label: string;
}

/** Longest text of one request or answer; a page must stay readable, and of a size that opens. */
const MAX_TEXT = 2_000;

/** One self-contained HTML file. */
export function renderPage(history: KvHistory, verdict: KvVerdict): string {
  const data = pageData(history, verdict);
  // A "<" inside JSON can only be in a string, where the escape means the same; so no tag can begin or end
  // there.
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escapeHtml(history.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(history.title)}</h1>
<button id="first">first error</button>
<button id="all">all</button>
<input id="search" placeholder="key, r17 (revision) or #17 (operation)" size="36">
<span id="count"></span>
</header>
<ol id="findings"></ol>
<canvas id="picture"></canvas>
<pre id="hover"></pre>
<script type="application/json" id="data">${json}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

/** The rows of a page. */
export function pageData(history: KvHistory, verdict: KvVerdict): PageData {
  const lanes: string[] = [];
  const laneOf = new Map<string, number>();
  const lane = (name: string): number => {
    const known = laneOf.get(name);
    if (known !== undefined) return known;
    laneOf.set(name, lanes.length);
    lanes.push(name);
    return lanes.length - 1;
  };
  const clients = [...new Set(history.operations.map(({ client }) => client))].sort((a, b) => a - b);
  for (const client of clients) lane(`client ${client}`);
  const bars = history.operations.map((operation) => barOf(operation, lane(`client ${operation.client}`)));
  const ticks = history.watches.flatMap((watch) =>
    watch.answers.map((answer) =>
      tickOf(watch.id, answer, lane(`watch ${watch.id} ${showRangeOf(watch.request)}`)),
    ),
  );
  const starts = [...history.operations.map(({ call }) => call), ...history.watches.map(({ call }) => call)];
  const from = starts.reduce((a, b) => Math.min(a, b), history.end);
  const close = (to: number): number => Math.min(to, history.end);
  return {
    title: history.title,
    from,
    to: history.end,
    lanes,
    bars,
    ticks,
    faults: history.faults.map((band) => ({ ...band, to: close(band.to) })),
    leaders: history.leaders.map((band) => ({
      from: band.from,
      to: close(band.to),
      label: `${band.member} term ${band.term}`,
    })),
    findings: verdict.type === "ok" ? [] : verdict.findings,
  };
}

function barOf(operation: KvOperation, lane: number): PageBar {
  const { id, call, returned, outcome, request, member } = operation;
  let answer = "no answer";
  if (outcome.type === "ok") answer = `revision ${outcome.revision}: ${showResponse(outcome.response)}`;
  else if (outcome.type !== "pending") answer = outcome.error;
  return {
    id,
    lane,
    from: call,
    to: Number.isFinite(returned) ? returned : null,
    outcome: outcome.type,
    revision: outcome.type === "ok" ? outcome.revision : 0,
    request: cut(`${showRequest(request)}${member === "" ? "" : ` at ${member}`}`),
    answer: cut(answer),
  };
}

function tickOf(watch: number, answer: WatchAnswer, lane: number): PageTick {
  const { at, revision, created, canceled, compactRevision, cancelReason, events, fragment } = answer;
  let kind: PageTick["kind"] = events.length > 0 ? "events" : "progress";
  if (created) kind = "created";
  if (canceled) kind = "canceled";
  const parts = events.map(showEvent);
  if (compactRevision > 0) parts.push(`compacted at ${compactRevision}`);
  if (cancelReason !== "") parts.push(cancelReason);
  if (fragment) parts.push("(more follows)");
  return { watch, lane, at, kind, revision, text: cut(`revision ${revision}: ${parts.join("; ")}`) };
}

function showRangeOf(request: KvHistory["watches"][number]["request"]): string {
  const { key, rangeEnd } = request;
  return showRequest({ type: "deleteRange", key, rangeEnd, prevKv: false }).replace("delete ", "");
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}

function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (char) => names[char] ?? char);
}
