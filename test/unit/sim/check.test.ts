// Goal: the history checker accepts every valid history and refuses every broken one. Method: histories made by running
// the model concurrently (seeded), each then broken in one named way that no order of operations can explain.
import { describe, expect, it } from "vitest";
import { checkHistory, type History, type LogWrite, type Operation } from "../../../chaos/check/index.ts";
import { Rng } from "../../../chaos/sim/rng.ts";

const VALID = 3_000;
const BROKEN_PER_KIND = 1_000;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Op = Mutable<Operation>;

interface Made {
  readonly operations: Op[];
  readonly log: Mutable<LogWrite>[];
}

/** Runs clients against one register map in steps of time; operations take effect at a random step before they end. */
function makeHistory(rng: Rng): Made {
  const made: Made = { operations: [], log: [] };
  const state = new Map<string, { value: string; index: number }>();
  const clients = rng.int(2, 6);
  const current: (Op | undefined)[] = new Array(clients).fill(undefined);
  const effected = new Set<Op>();
  let index = 1;
  let id = 0;
  for (let time = 1; time < 120; time++) {
    const client = rng.int(0, clients);
    const op = current[client];
    if (op === undefined) {
      const started = drawOperation(rng, ++id, client, time);
      made.operations.push(started);
      current[client] = started;
      // A log has other entries between those of clients.
      if (rng.int(0, 5) === 0) index++;
    } else if (!effected.has(op)) {
      const fate = rng.int(0, 10);
      if (fate === 0) {
        // Refused, or lost on the way: no effect, and the client may or may not know.
        op.outcome = rng.int(0, 2) === 0 ? "refused" : "unknown";
        current[client] = undefined;
      } else {
        effected.add(op);
        if (op.kind === "get") read(op, state, index);
        else write(made, op, state, ++index, time);
        // Sometimes a request gets into the log twice; the second one has no effect.
        if (op.kind !== "get" && rng.int(0, 20) === 0)
          made.log.push({ ...last(made.log), index: ++index, at: time });
      }
    } else {
      if (rng.int(0, 8) === 0 && op.kind !== "get") op.outcome = "unknown";
      else op.returned = time;
      current[client] = undefined;
    }
  }
  for (const op of current) if (op !== undefined) op.outcome = "pending";
  return made;
}

function drawOperation(rng: Rng, id: number, client: number, call: number): Op {
  const kind = rng.pick(["put", "cas", "delete", "get", "get"] as const);
  return {
    id,
    client,
    kind,
    key: `k${rng.int(0, 2)}`,
    value: kind === "put" || kind === "cas" ? `v${id}` : "",
    expect: kind === "cas" && rng.int(0, 2) === 0 ? `v${rng.int(1, id + 1)}` : undefined,
    serializable: false,
    connection: client,
    call,
    returned: Number.POSITIVE_INFINITY,
    outcome: "pending",
    index: 0,
    done: false,
    previous: undefined,
    read: undefined,
    modIndex: 0,
  };
}

function read(op: Op, state: Map<string, { value: string; index: number }>, index: number): void {
  const register = state.get(op.key);
  op.outcome = "read";
  op.index = index;
  op.read = register?.value;
  op.modIndex = register?.index ?? 0;
}

function write(
  made: Made,
  op: Op,
  state: Map<string, { value: string; index: number }>,
  index: number,
  at: number,
): void {
  const { kind, key, value } = op;
  if (kind === "get") return;
  made.log.push({ index, at, kind, key, value, expect: op.expect, request: `r${op.id}` });
  op.outcome = "written";
  op.index = index;
  op.previous = state.get(key)?.value;
  op.done = kind !== "cas" || op.previous === op.expect;
  if (!op.done) return;
  if (kind === "delete") state.delete(key);
  else state.set(key, { value, index });
}

function last<T>(items: readonly T[]): T {
  return items.at(-1) as T;
}

/** Breaks a history so that nothing can explain it; false: this one has nothing to break that way. */
const BREAKS: Readonly<Record<string, (made: Made, rng: Rng) => boolean>> = {
  "an acknowledged write is not in the log": ({ operations, log }, rng) => {
    const written = operations.filter((op) => op.outcome === "written");
    if (written.length === 0) return false;
    const victim = rng.pick(written);
    log.splice(
      log.findIndex((entry) => entry.index === victim.index),
      1,
    );
    return true;
  },
  "a read gives a value that was not there": ({ operations }, rng) => {
    const reads = operations.filter((op) => op.outcome === "read");
    if (reads.length === 0) return false;
    const victim = rng.pick(reads);
    victim.read = victim.read === undefined ? "v1" : undefined;
    return true;
  },
  "a read gives the right value of the wrong entry": ({ operations }, rng) => {
    const reads = operations.filter((op) => op.outcome === "read" && op.modIndex > 0);
    if (reads.length === 0) return false;
    rng.pick(reads).modIndex--;
    return true;
  },
  "a read is of a state before what had been acknowledged": ({ operations, log }) => {
    for (const later of operations) {
      if (later.outcome !== "read") continue;
      const earlier = operations.find((op) => op.outcome === "written" && op.returned < later.call);
      if (earlier === undefined) continue;
      // Consistent with the state at that older index, but too old.
      const index = earlier.index - 1;
      const before = replayTo(log, index).get(later.key);
      later.index = index;
      later.read = before?.value;
      later.modIndex = before?.index ?? 0;
      return true;
    }
    return false;
  },
  "two writes own one entry": ({ operations }, rng) => {
    const written = operations.filter((op) => op.outcome === "written");
    if (written.length < 2) return false;
    const victim = rng.pick(written);
    const other = written.find((op) => op !== victim);
    if (other === undefined) return false;
    Object.assign(victim, { index: other.index, kind: other.kind, key: other.key, value: other.value });
    victim.expect = other.expect;
    return true;
  },
  "the previous value is wrong": ({ operations }, rng) => {
    const written = operations.filter((op) => op.outcome === "written");
    if (written.length === 0) return false;
    const victim = rng.pick(written);
    victim.previous = victim.previous === undefined ? "v0" : undefined;
    return true;
  },
  "the outcome of a comparison is wrong": ({ operations }, rng) => {
    const compared = operations.filter((op) => op.outcome === "written" && op.kind === "cas");
    if (compared.length === 0) return false;
    const victim = rng.pick(compared);
    victim.done = !victim.done;
    return true;
  },
  "a refused write is in the log": ({ operations }, rng) => {
    const written = operations.filter((op) => op.outcome === "written" && op.kind !== "delete");
    if (written.length === 0) return false;
    rng.pick(written).outcome = "refused";
    return true;
  },
  "an entry was asked for by nobody": ({ log }) => {
    const index = (log.at(-1)?.index ?? 1) + 1;
    log.push({ index, at: 999, kind: "put", key: "k0", value: "ghost", expect: undefined, request: "ghost" });
    return true;
  },
  "a write of unknown fate took effect before it was called": ({ operations, log }) => {
    const op = operations.find((candidate) => candidate.outcome === "written" && candidate.kind !== "delete");
    const entry = log.find((candidate) => candidate.index === op?.index);
    if (op === undefined || entry === undefined) return false;
    op.outcome = "unknown";
    op.returned = Number.POSITIVE_INFINITY;
    op.call = entry.at + 1;
    return true;
  },
  "a request took effect twice": ({ log, operations }) => {
    const op = operations.find((candidate) => candidate.outcome === "written" && candidate.kind === "put");
    const entry = log.find((candidate) => candidate.index === op?.index);
    if (entry === undefined) return false;
    log.push({ ...entry, index: last(log).index + 1, at: 999, request: "again" });
    return true;
  },
  "writes are acknowledged against real time": ({ operations }) => {
    const written = operations.filter((op) => op.outcome === "written" && op.kind !== "delete");
    for (const later of written) {
      const earlier = written.find((op) => op.returned < later.call);
      if (earlier === undefined) continue;
      // As if the earlier one had been asked for after the later one had returned.
      earlier.call = later.returned + 1;
      earlier.returned = later.returned + 2;
      return later.returned !== Number.POSITIVE_INFINITY;
    }
    return false;
  },
};

function replayTo(log: readonly LogWrite[], index: number): Map<string, { value: string; index: number }> {
  const state = new Map<string, { value: string; index: number }>();
  const seen = new Set<string>();
  for (const entry of log) {
    if (entry.index > index || seen.has(entry.request)) continue;
    seen.add(entry.request);
    if (entry.kind === "cas" && state.get(entry.key)?.value !== entry.expect) continue;
    if (entry.kind === "delete") state.delete(entry.key);
    else state.set(entry.key, { value: entry.value, index: entry.index });
  }
  return state;
}

describe("checkHistory", () => {
  it(`accepts ${VALID} valid histories`, () => {
    let took = 0;
    for (let seed = 0; seed < VALID; seed++) {
      const verdict = checkHistory(makeHistory(new Rng(seed, "history")));
      expect(verdict, `seed ${seed}`).toMatchObject({ type: "ok" });
      if (verdict.type === "ok") took += verdict.unknownTookEffect;
    }
    expect(took).toBeGreaterThan(VALID / 10);
  });

  for (const [name, breakIt] of Object.entries(BREAKS)) {
    it(`refuses a history in which ${name}`, () => {
      let broken = 0;
      for (let seed = 0; broken < BROKEN_PER_KIND && seed < 10 * BROKEN_PER_KIND; seed++) {
        const made: Made = makeHistory(new Rng(seed, "history"));
        if (!breakIt(made, new Rng(seed, "break"))) continue;
        broken++;
        const history: History = made;
        expect(checkHistory(history).type, `seed ${seed}`).toBe("violation");
      }
      expect(broken).toBe(BROKEN_PER_KIND);
    });
  }

  it("refuses a serializable read that goes back on its connection, and not on another one", () => {
    const log: LogWrite[] = [
      { index: 2, at: 1, kind: "put", key: "k", value: "a", expect: undefined, request: "1" },
      { index: 3, at: 2, kind: "put", key: "k", value: "b", expect: undefined, request: "2" },
    ];
    const writes = log.map((entry, i) => ({
      ...drawOperation(new Rng(1, "x"), i, 0, i),
      kind: "put" as const,
      key: "k",
      value: entry.value,
      outcome: "written" as const,
      index: entry.index,
      done: true,
      previous: i === 0 ? undefined : "a",
    }));
    const reads = [3, 2].map((index, i) => ({
      ...drawOperation(new Rng(1, "x"), 10 + i, 1, 10 + 2 * i),
      kind: "get" as const,
      key: "k",
      value: "",
      serializable: true,
      outcome: "read" as const,
      returned: 11 + 2 * i,
      index,
      read: index === 3 ? "b" : "a",
      modIndex: index,
    }));
    expect(checkHistory({ operations: [...writes, ...reads], log })).toMatchObject({
      type: "violation",
      rule: "serializable read went back",
    });
    const elsewhere = reads.map((read, i) => ({ ...read, connection: 7 + i }));
    expect(checkHistory({ operations: [...writes, ...elsewhere], log })).toMatchObject({ type: "ok" });
  });

  it("checks 100,000 operations in a moment", () => {
    const operations: Op[] = [];
    const log: LogWrite[] = [];
    for (let i = 1; i <= 100_000; i++) {
      const op = drawOperation(new Rng(1, "x"), i, 0, 2 * i);
      Object.assign(op, {
        kind: "put",
        key: `k${i % 50}`,
        value: `v${i}`,
        outcome: "written",
        index: i,
        done: true,
      });
      op.returned = 2 * i + 1;
      op.previous = i > 50 ? `v${i - 50}` : undefined;
      op.expect = undefined;
      operations.push(op);
      log.push({
        index: i,
        at: 2 * i,
        kind: "put",
        key: op.key,
        value: op.value,
        expect: undefined,
        request: `${i}`,
      });
    }
    expect(checkHistory({ operations, log })).toEqual({ type: "ok", unknownTookEffect: 0 });
  });
});
