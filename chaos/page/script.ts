/** Style and script of the page, as text: they run in a reader's browser, where nothing of this project is. */

export const STYLE = `
body { font: 13px system-ui, sans-serif; margin: 8px; background: #fff; color: #222; }
header { display: flex; gap: 8px; align-items: center; flex-wrap: wrap; }
h1 { font-size: 15px; margin: 0 12px 0 0; }
canvas { display: block; border: 1px solid #bbb; width: 100%; cursor: crosshair; }
#findings { margin: 8px 0; padding-left: 24px; max-height: 160px; overflow: auto; }
#findings li { cursor: pointer; color: #a00; }
#findings li:hover { text-decoration: underline; }
#hover { white-space: pre-wrap; min-height: 80px; background: #f6f6f6; padding: 6px; margin: 8px 0; }
`;

export const SCRIPT = String.raw`
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("picture");
const pen = canvas.getContext("2d");
const hover = document.getElementById("hover");
const ROW = 18, TOP = 34, LEFT = 170;
const COLOUR = { ok: "#4a90d9", refused: "#e0a030", unknown: "#c04fc0", pending: "#999999" };
const TICK = { created: "#2a8a2a", canceled: "#c00000", events: "#2255aa", progress: "#aaaaaa" };
const lastOf = Math.max(data.to, data.from + 1);
let from = data.from, to = lastOf, marked = new Set(), markedWatches = new Set();

function x(time) { return LEFT + (time - from) / (to - from) * (canvas.width - LEFT); }
function timeAt(px) { return from + (px - LEFT) / (canvas.width - LEFT) * (to - from); }
function y(lane) { return TOP + lane * ROW; }

function draw() {
  canvas.width = Math.max(600, canvas.clientWidth);
  canvas.height = TOP + data.lanes.length * ROW + 8;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  for (const band of data.faults) drawBand(band, "rgba(220,60,60,0.13)", 18, canvas.height, 26);
  data.leaders.forEach((band, i) => drawBand(band, i % 2 ? "#cfe8cf" : "#e6f3d4", 0, 16, 8));
  data.lanes.forEach((name, lane) => {
    pen.fillStyle = "#eeeeee";
    pen.fillRect(LEFT, y(lane) + ROW - 1, canvas.width, 1);
  });
  for (const bar of data.bars) drawBar(bar);
  for (const tick of data.ticks) drawTick(tick);
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, TOP, LEFT, canvas.height);
  pen.fillStyle = "#222222";
  pen.fillText("leader", 4, 8);
  data.lanes.forEach((name, lane) => pen.fillText(name.slice(0, 30), 4, y(lane) + ROW / 2));
}

function drawBand(band, colour, top, bottom, textY) {
  const a = Math.max(LEFT, x(band.from)), b = x(band.to);
  if (b < LEFT || a > canvas.width) return;
  pen.fillStyle = colour;
  pen.fillRect(a, top, Math.max(1, b - a), bottom - top);
  pen.fillStyle = "#555555";
  if (b - a > 20) pen.fillText(band.label, a + 3, textY, b - a - 4);
}

function drawBar(bar) {
  const a = x(bar.from), b = bar.to === null ? x(data.to) : x(bar.to);
  if (b < LEFT || a > canvas.width) return;
  const width = Math.max(2, b - a);
  pen.globalAlpha = bar.to === null ? 0.35 : 0.85;
  pen.fillStyle = COLOUR[bar.outcome];
  pen.fillRect(a, y(bar.lane) + 3, width, ROW - 7);
  pen.globalAlpha = 1;
  if (marked.has(bar.id)) {
    pen.strokeStyle = "#d00000";
    pen.lineWidth = 2;
    pen.strokeRect(a - 1, y(bar.lane) + 1, width + 2, ROW - 3);
  }
  if (width > 60) {
    pen.fillStyle = "#ffffff";
    pen.fillText(bar.request, Math.max(a, LEFT) + 3, y(bar.lane) + ROW / 2, width - 6);
  }
}

function drawTick(tick) {
  const at = x(tick.at);
  if (at < LEFT || at > canvas.width) return;
  pen.fillStyle = TICK[tick.kind];
  pen.fillRect(at - 1, y(tick.lane) + 3, markedWatches.has(tick.watch) ? 4 : 2, ROW - 7);
}

function show(time, span) {
  from = time - span / 2;
  to = time + span / 2;
  draw();
}

function found(finding) {
  marked = new Set(finding.operations);
  markedWatches = new Set(finding.watches);
  const bars = data.bars.filter((bar) => marked.has(bar.id));
  const starts = bars.map((bar) => bar.from).concat(bars.length === 0 ? [finding.at] : []);
  const ends = bars.map((bar) => bar.to === null ? bar.from : bar.to);
  const first = Math.min(...starts), last = Math.max(...ends, first);
  show((first + last) / 2, Math.max((last - first) * 3, (lastOf - data.from) / 50));
  hover.textContent = finding.rule + ": " + finding.message;
}

function search(text) {
  const revision = /^r(\d+)$/.exec(text), id = /^#(\d+)$/.exec(text);
  const isMatch = (row, words) => {
    if (revision) return row.revision === Number(revision[1]);
    if (id) return row.id === Number(id[1]);
    return text !== "" && words.includes(text);
  };
  const bars = data.bars.filter((bar) => isMatch(bar, bar.request + " " + bar.answer));
  const ticks = data.ticks.filter((tick) => isMatch(tick, tick.text));
  marked = new Set(bars.map((bar) => bar.id));
  markedWatches = new Set(ticks.map((tick) => tick.watch));
  document.getElementById("count").textContent = bars.length + " operations, " + ticks.length + " answers";
  const times = bars.map((bar) => bar.from).concat(ticks.map((tick) => tick.at));
  if (times.length > 0) show(times.reduce((a, b) => Math.min(a, b)), to - from);
  else draw();
}

function under(event) {
  const box = canvas.getBoundingClientRect();
  const px = (event.clientX - box.left) * canvas.width / box.width;
  const lane = Math.floor(((event.clientY - box.top) * canvas.height / box.height - TOP) / ROW);
  const time = timeAt(px), slack = 3 * (to - from) / canvas.width;
  const lines = ["at " + Math.round(time)];
  for (const bar of data.bars) {
    const end = bar.to === null ? data.to : bar.to;
    if (bar.lane === lane && bar.from - slack <= time && time <= end + slack) {
      const times = bar.from + ".." + (bar.to === null ? "" : bar.to);
      lines.push("#" + bar.id + "  " + times + "  " + bar.outcome);
      lines.push("  " + bar.request, "  " + bar.answer);
    }
  }
  for (const tick of data.ticks) {
    const isNear = tick.lane === lane && Math.abs(tick.at - time) <= slack;
    if (isNear) lines.push(tick.at + "  " + tick.kind + "  " + tick.text);
  }
  for (const band of data.faults) {
    if (band.from <= time && time <= band.to) lines.push("fault: " + band.label);
  }
  return lines.join("\n");
}

let dragged = null;
canvas.addEventListener("mousedown", (event) => { dragged = { x: event.clientX, from, to }; });
window.addEventListener("mouseup", () => { dragged = null; });
canvas.addEventListener("mousemove", (event) => {
  if (dragged === null) { hover.textContent = under(event); return; }
  const moved = (dragged.x - event.clientX) * (dragged.to - dragged.from) / (canvas.clientWidth - LEFT);
  from = dragged.from + moved;
  to = dragged.to + moved;
  draw();
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const centre = timeAt(event.offsetX * canvas.width / canvas.clientWidth);
  const factor = event.deltaY > 0 ? 1.25 : 0.8;
  from = centre - (centre - from) * factor;
  to = centre + (to - centre) * factor;
  draw();
}, { passive: false });
document.getElementById("first").addEventListener("click", () => {
  if (data.findings.length > 0) found(data.findings[0]);
});
document.getElementById("all").addEventListener("click", () => { from = data.from; to = lastOf; draw(); });
document.getElementById("search").addEventListener("change", (event) => search(event.target.value.trim()));
for (const finding of data.findings) {
  const item = document.createElement("li");
  item.textContent = finding.rule + ": " + finding.message;
  item.addEventListener("click", () => found(finding));
  document.getElementById("findings").appendChild(item);
}
window.addEventListener("resize", draw);
draw();
`;
