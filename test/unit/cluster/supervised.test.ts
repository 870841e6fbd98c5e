// Goal: a child is kept running, one that cannot start is given up, and none outlives its supervisor's stop. Method:
// real processes of Node that do as little as the case needs; what happens is heard through the events.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ChildEvent, lastLines, Supervised } from "../../../cluster/supervised.ts";

let child: Supervised | undefined;
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "waymark-supervised-"));
});
afterEach(async () => {
  await child?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a script and gives its events as they come. */
function supervise(script: string): { readonly logPath: string; next(): Promise<ChildEvent> } {
  const logPath = join(folder, "child.log");
  const events: ChildEvent[] = [];
  const waiting: ((event: ChildEvent) => void)[] = [];
  const program = { command: process.execPath, args: ["-e", script], env: process.env, logPath };
  child = new Supervised(program, (event) => {
    const first = waiting.shift();
    if (first === undefined) events.push(event);
    else first(event);
  });
  child.start();
  const next = (): Promise<ChildEvent> => {
    const event = events.shift();
    return event === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(event);
  };
  return { logPath, next };
}

const FOREVER = "setInterval(() => {}, 1000)";

test("a child that is killed is started again, as another process", async () => {
  const { next } = supervise(FOREVER);
  const first = await next();
  if (first.type !== "started") throw new Error(first.type);
  process.kill(first.pid, "SIGKILL");
  expect(await next()).toEqual({
    type: "ended",
    pid: first.pid,
    how: "was ended by SIGKILL",
    delayMs: 100,
  });
  const second = await next();
  expect(second).toEqual({ type: "started", pid: child?.pid, isFirst: false });
  expect(child?.pid).not.toBe(first.pid);
});

test("a child that fails at each start is given up after five, waiting longer each time", async () => {
  const { logPath, next } = supervise("console.error('no room'); process.exit(3)");
  const delays: number[] = [];
  for (;;) {
    const event = await next();
    if (event.type === "ended") delays.push(event.delayMs);
    if (event.type === "gave up") {
      expect(event).toEqual({ type: "gave up", how: "ended with code 3", starts: 5 });
      break;
    }
  }
  expect(delays).toEqual([100, 200, 400, 800]);
  expect(child?.isGivenUp).toBe(true);
  expect(lastLines(logPath, 2)).toEqual(["no room", "no room"]);
});

test("a child that is stopped hears SIGTERM, may end in its own time, and is not started again", async () => {
  const { logPath, next } = supervise(
    `process.on("SIGTERM", () => { console.log("bye"); process.exit(0); }); console.log("here"); ${FOREVER}`,
  );
  const started = await next();
  if (started.type !== "started") throw new Error(started.type);
  // Before it listens to SIGTERM it would die of it.
  await expect.poll(() => lastLines(logPath, 1), { timeout: 30_000 }).toEqual(["here"]);
  await child?.stop();
  expect(lastLines(logPath, 2)).toEqual(["here", "bye"]);
  expect(() => process.kill(started.pid, 0)).toThrow("ESRCH");
  expect(child?.pid).toBeUndefined();
});

test("a child that is stopped while it waits for its next start stays away", async () => {
  const { next } = supervise("process.exit(1)");
  while ((await next()).type !== "ended");
  await child?.stop();
  expect(child?.pid).toBeUndefined();
});
