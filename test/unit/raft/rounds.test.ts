// Goal: heartbeat rounds: which readers a round releases and how long a lease it gives. Method: small sequences, and a
// random walk against a dumb model that keeps every round in a list for ever.
import { describe, expect, test } from "vitest";
import { type Reader, Rounds } from "../../../src/raft/rounds.ts";
import { seededRandom } from "../../support/raft-disk.ts";

const reader = (waiter: number): Reader => ({ from: 0n, waiter, lease: false });
const waiters = (released: readonly { readonly reader: Reader }[]) => released.map((r) => r.reader.waiter);

describe("readers", () => {
  test("are released by the first round begun after they came, or a later one", () => {
    const rounds = new Rounds();
    rounds.begin(0);
    rounds.wait(reader(1), 10);
    rounds.begin(1);
    rounds.wait(reader(2), 11);
    expect(rounds.confirm(1)).toEqual([]);
    expect(rounds.confirm(2)).toMatchObject([{ reader: reader(1), index: 10 }]);
    rounds.begin(2);
    rounds.begin(3);
    expect(waiters(rounds.confirm(4))).toEqual([2]);
    expect(rounds.pending).toBe(0);
  });

  test("an old or repeated confirmation releases nobody", () => {
    const rounds = new Rounds();
    rounds.wait(reader(1), 1);
    rounds.begin(0);
    rounds.begin(1);
    expect(waiters(rounds.confirm(2))).toEqual([1]);
    rounds.wait(reader(2), 1);
    expect(rounds.confirm(1)).toEqual([]);
    expect(rounds.confirm(2)).toEqual([]);
    expect(rounds.pending).toBe(1);
  });

  test("a round is wanted when somebody waits and none is unanswered", () => {
    const rounds = new Rounds();
    expect(rounds.wantsRound()).toBe(false);
    rounds.wait(reader(1), 1);
    expect(rounds.wantsRound()).toBe(true);
    rounds.begin(0);
    expect(rounds.wantsRound()).toBe(false);
    rounds.wait(reader(2), 1);
    expect(rounds.wantsRound()).toBe(false);
    rounds.confirm(1);
    expect(rounds.wantsRound()).toBe(true);
  });

  test("all can be taken, the early ones too, once", () => {
    const rounds = new Rounds();
    rounds.waitForCommit(reader(1));
    rounds.wait(reader(2), 1);
    expect(rounds.pending).toBe(2);
    expect(rounds.takeAll().map((r) => r.waiter)).toEqual([2, 1]);
    expect(rounds.takeAll()).toEqual([]);
    rounds.waitForCommit(reader(3));
    expect(rounds.takeEarly().map((r) => r.waiter)).toEqual([3]);
    expect(rounds.takeEarly()).toEqual([]);
  });

  test("a round that was never sent cannot be confirmed", () => {
    expect(() => new Rounds().confirm(1)).toThrow("never sent");
  });
});

describe("the lease", () => {
  test.each([
    ["from the send time", [0], 1, 100, 100],
    ["of the promised round, not of the newest", [0, 50], 1, 100, 100],
    ["of the newest when that is promised", [0, 50], 2, 100, 150],
    ["no lease asked for", [0], 1, 0, Number.NEGATIVE_INFINITY],
  ])("%s", (_, sentAt, round, leaseMs, until) => {
    const rounds = new Rounds();
    for (const at of sentAt) rounds.begin(at);
    rounds.promise(round, leaseMs);
    expect(rounds.leaseUntil).toBe(until);
  });

  test("64 rounds are remembered", () => {
    for (const [newer, until] of [
      [63, 100],
      [64, Number.NEGATIVE_INFINITY],
    ] as const) {
      const rounds = new Rounds();
      rounds.begin(0);
      for (let i = 0; i < newer; i++) rounds.begin(1000);
      rounds.promise(1, 100);
      expect(rounds.leaseUntil).toBe(until);
    }
  });

  test("voided, only rounds begun afterwards give it again", () => {
    const rounds = new Rounds();
    rounds.begin(0);
    rounds.promise(1, 100);
    rounds.begin(10);
    rounds.voidLease();
    expect(rounds.leaseUntil).toBe(Number.NEGATIVE_INFINITY);
    rounds.promise(2, 100);
    expect(rounds.leaseUntil).toBe(Number.NEGATIVE_INFINITY);
    rounds.begin(20);
    rounds.promise(3, 100);
    expect(rounds.leaseUntil).toBe(120);
  });
});

test("random walks agree with a model that keeps every round for ever", () => {
  let checked = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const rounds = new Rounds();
    const sentAt: number[] = [0];
    let readers: { waiter: number; from: number }[] = [];
    let [confirmed, floor, until, now] = [0, 1, Number.NEGATIVE_INFINITY, 0];
    for (let i = 0; i < 100; i++) {
      now += random.int(0, 5);
      const newest = sentAt.length - 1;
      const round = newest === 0 ? 0 : random.int(Math.max(1, newest - 10), newest + 1);
      switch (random.int(0, 5)) {
        case 0:
        case 1:
          sentAt.push(now);
          rounds.begin(now);
          break;
        case 2:
          readers.push({ waiter: i, from: sentAt.length });
          rounds.wait(reader(i), i);
          break;
        case 3: {
          const free = round > confirmed ? readers.filter((r) => r.from <= round) : [];
          readers = readers.filter((r) => !free.includes(r));
          confirmed = Math.max(confirmed, round);
          expect(waiters(rounds.confirm(round)), `seed ${seed}`).toEqual(free.map((r) => r.waiter));
          break;
        }
        default:
          if (random.int(0, 8) === 0) {
            floor = sentAt.length;
            until = Number.NEGATIVE_INFINITY;
            rounds.voidLease();
          } else if (round > 0) {
            if (round >= floor) until = Math.max(until, (sentAt[round] ?? 0) + 100);
            rounds.promise(round, 100);
          }
      }
      expect(rounds.leaseUntil, `seed ${seed} step ${i}`).toBe(until);
      checked++;
    }
  }
  expect(checked).toBe(20_000);
});
