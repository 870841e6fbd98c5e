/** What every implementation of the state's backend does (src/env/backend.ts), whatever it is made of. */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { bytesOf, textOf } from "../../src/base/index.ts";
import type {
  Backend,
  BackendBatch,
  BackendDirectory,
  BackendMeta,
  BackendRecord,
  BackendSnapshot,
} from "../../src/env/index.ts";

/** A disk with the states of one member, and what can happen to it. */
export interface BackendDisk {
  readonly directory: BackendDirectory;
  /** Ends the process, with whatever it was doing, and starts another one on the same disk. */
  restart(): Promise<BackendDirectory>;
  /** Damages a record of a state that is closed. */
  damageRecord(index: number, name: string): Promise<void>;
  /** Loses a batch of a state that is closed, which has `later` others behind it. */
  loseBatch(index: number, later: number): Promise<void>;
}

const CONF = { voters: [1n, 2n], votersOutgoing: [], learners: [3n], learnersNext: [], leaseMs: 500 };

function batch(index: number, puts: Record<string, string>, deletes: readonly string[] = []): BackendBatch {
  const records = Object.entries(puts).map(([name, value]) => [name, bytesOf(value)] as const);
  return { seq: index, index, term: 2, conf: CONF, puts: records, deletes };
}

function meta(index: number): BackendMeta {
  return { index, term: 2, conf: CONF };
}

async function contents(
  of: Pick<Backend | BackendSnapshot, "scan">,
  prefixes: readonly string[] = [""],
): Promise<Record<string, string>> {
  const all: BackendRecord[] = [];
  await of.scan(prefixes, (chunk) => {
    all.push(...chunk);
  });
  const names = all.map(([name]) => name);
  expect(names).toEqual([...names].sort());
  expect(new Set(names).size).toBe(names.length);
  return Object.fromEntries(all.map(([name, value]) => [name, textOf(value)]));
}

function texts(values: readonly (Uint8Array | undefined)[]): (string | undefined)[] {
  return values.map((value) => (value === undefined ? undefined : textOf(value)));
}

/** Runs the suite on disks that `make` makes, a new one per test. */
export function backendConformance(name: string, make: () => Promise<BackendDisk>): void {
  describe(`backend: ${name}`, () => {
    let disk: BackendDisk;
    let directory: BackendDirectory;
    beforeEach(async () => {
      disk = await make();
      directory = disk.directory;
    });

    async function reopened(backend: Backend, index = 0): Promise<Backend> {
      await backend.close();
      directory = await disk.restart();
      return directory.open(index);
    }

    describe("batches", () => {
      it("a new member's state is before the first entry", async () => {
        const backend = await directory.open(0);
        expect(backend.meta).toEqual({
          index: 0,
          term: 0,
          conf: { voters: [], votersOutgoing: [], learners: [], learnersNext: [], leaseMs: 0 },
        });
        expect(await contents(backend)).toEqual({});
        expect((await reopened(backend)).meta.index).toBe(0);
      });

      it("are there with their index, now and after a restart", async () => {
        let backend = await directory.open(0);
        await backend.write(batch(7, { a: "1", b: "2", c: "" }));
        await backend.write(batch(9, { b: "3", d: "4" }, ["a", "never"]));
        for (let restarts = 0; restarts < 2; restarts++) {
          expect(backend.meta).toEqual(meta(9));
          expect(await contents(backend)).toEqual({ b: "3", c: "", d: "4" });
          expect(texts(["a", "b", "c", "never"].map((n) => backend.get(n)))).toEqual([
            undefined,
            "3",
            "",
            undefined,
          ]);
          expect(texts(await backend.getMany(["d", "a", "b"]))).toEqual(["4", undefined, "3"]);
          backend = await reopened(backend);
        }
      });

      it("may change nothing but the index", async () => {
        const backend = await directory.open(0);
        await backend.write(batch(1, {}));
        expect((await reopened(backend)).meta).toEqual(meta(1));
      });

      it("keep every byte of a value and give plain arrays", async () => {
        const backend = await directory.open(0);
        const value = new Uint8Array(70_000).map((_, i) => i * 7);
        await backend.write({ ...batch(1, {}), puts: [["big", value]] });
        const read = (await reopened(backend)).get("big");
        expect(read?.constructor).toBe(Uint8Array);
        expect(read).toEqual(value);
      });

      it("come one at a time and never go back", async () => {
        const backend = await directory.open(0);
        const first = backend.write(batch(5, { a: "1" }));
        expect(() => backend.write(batch(6, {}))).toThrow("two backend batches in flight");
        await first;
        expect(() => backend.write(batch(4, {}))).toThrow("backend batch goes back");
        await backend.close();
        await backend.close();
        expect(() => backend.write(batch(6, {}))).toThrow("closed");
      });

      it("may repeat an index: compaction deletes what no entry asked for", async () => {
        let backend = await directory.open(0);
        await backend.write(batch(5, { a: "1", b: "2" }));
        await backend.write(batch(5, {}, ["a"]));
        backend = await reopened(backend);
        expect(backend.meta).toEqual(meta(5));
        expect(await contents(backend)).toEqual({ b: "2" });
      });

      it("may hold more changes than one slice, and more of them than markers are kept", async () => {
        let backend = await directory.open(0);
        const puts = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, `v${i}`]));
        await backend.write(batch(1, puts));
        await backend.write(batch(2, {}, Object.keys(puts).slice(0, 4000)));
        for (let index = 3; index < 1100; index++) await backend.write(batch(index, { last: String(index) }));
        backend = await reopened(backend);
        expect(backend.meta.index).toBe(1099);
        expect(Object.keys(await contents(backend)).length).toBe(1001);
      });
    });

    describe("scans", () => {
      it.each([
        ["one prefix", ["b"], ["b", "b1", "b2"]],
        ["several", ["a", "b2", "c"], ["a", "a1", "b2", "c~"]],
        ["of nothing", ["bb"], []],
        ["no prefix", [], []],
        ["all", [""], ["A", "a", "a1", "b", "b1", "b2", "c~"]],
      ])("%s", async (_name, prefixes, names) => {
        const backend = await directory.open(0);
        await backend.write(
          batch(1, Object.fromEntries(["c~", "b2", "a", "A", "b", "a1", "b1"].map((n) => [n, n]))),
        );
        expect(Object.keys(await contents(backend, prefixes))).toEqual(names);
      });

      it.each([
        ["descending", ["b", "a"]],
        ["equal", ["a", "a"]],
        ["within another", ["a", "ab"]],
      ])("refuse prefixes that are %s", async (_name, prefixes) => {
        const backend = await directory.open(0);
        await expect(contents(backend, prefixes)).rejects.toThrow("prefixes overlap or descend");
      });

      it("wait for a slow visitor, and end with what it throws", async () => {
        const backend = await directory.open(0);
        const puts = Object.fromEntries(Array.from({ length: 9000 }, (_, i) => [`k${i}`, "v"]));
        await backend.write(batch(1, puts));
        let inside = 0;
        let chunks = 0;
        await backend.scan([""], async () => {
          expect(++inside).toBe(1);
          await new Promise((resolve) => setImmediate(resolve));
          inside--;
          chunks++;
        });
        expect(chunks).toBeGreaterThan(1);
        const stop = backend.scan([""], () => {
          throw new Error("enough");
        });
        await expect(stop).rejects.toThrow("enough");
      });
    });

    it("a snapshot keeps to its moment while batches are written", async () => {
      const backend = await directory.open(0);
      await backend.write(batch(3, { a: "1", b: "1" }));
      const inFlight = backend.write(batch(4, { a: "2", c: "2" }, ["b"]));
      const snapshot = backend.snapshot();
      const before = snapshot.meta.index === 3;
      await inFlight;
      await backend.write(batch(5, { a: "3" }));
      expect(await contents(snapshot)).toEqual(before ? { a: "1", b: "1" } : { a: "2", c: "2" });
      expect(await contents(backend)).toEqual({ a: "3", c: "2" });
      await snapshot.close();
      await snapshot.close();
    });

    describe("receiving", () => {
      const records = (...names: string[]) => names.map((n) => [n, bytesOf(n)] as const);

      it("makes a state that is there when the log names it", async () => {
        const old = await directory.open(0);
        await old.write(batch(4, { old: "1" }));
        const receiving = await directory.receive(20);
        await receiving.add(records("a", "b"));
        await receiving.add([]);
        await receiving.add(records("c"));
        await receiving.complete(meta(20));
        expect(await contents(old)).toEqual({ old: "1" });
        const backend = await directory.open(20);
        await old.close();
        await directory.removeOthers(20);
        expect(backend.meta).toEqual(meta(20));
        await backend.write(batch(21, { d: "4" }, ["a"]));
        const again = await reopened(backend, 20);
        expect(again.meta.index).toBe(21);
        expect(await contents(again)).toEqual({ b: "b", c: "c", d: "4" });
      });

      it.each([
        ["begun", 0],
        ["with records", 1],
      ])("a state that is %s and not complete is refused, and can be received again", async (_name, adds) => {
        const receiving = await directory.receive(20);
        for (let i = 0; i < adds; i++) await receiving.add(records("a"));
        directory = await disk.restart();
        await expect(directory.open(20)).rejects.toThrow(/state-20: it has no head/);
        const second = await directory.receive(20);
        await second.add(records("b"));
        await second.complete(meta(20));
        expect(await contents(await directory.open(20))).toEqual({ b: "b" });
      });

      it("a discarded state is not there", async () => {
        const receiving = await directory.receive(20);
        await receiving.add(records("a"));
        await receiving.discard();
        await expect(directory.open(20)).rejects.toThrow(
          /state-20: the log names this state, and it is not there/,
        );
      });

      it.each([
        ["twice", records("a", "a")],
        ["out of order", records("b", "a")],
      ])("records that come %s are refused", async (_name, wrong) => {
        const receiving = await directory.receive(20);
        await expect(receiving.add(wrong)).rejects.toThrow(/record .* came after/);
        const next = await directory.receive(21);
        await next.add(records("m"));
        await expect(next.add(records("m"))).rejects.toThrow(/record .* came after/);
      });

      it("does not touch a state that is in use", async () => {
        const receiving = await directory.receive(20);
        await receiving.complete(meta(20));
        await directory.open(20);
        await expect(directory.open(20)).rejects.toThrow("a state is in use");
        await expect(directory.receive(20)).rejects.toThrow("a state is in use");
        await expect(directory.removeOthers(0)).rejects.toThrow("a state in use is removed");
      });
    });

    describe("damage", () => {
      it("of a record is told by name and never returned", async () => {
        const backend = await directory.open(0);
        await backend.write(batch(1, { a: "1", b: "2", c: "3" }));
        await backend.close();
        await disk.damageRecord(0, "b");
        const damaged = await (await disk.restart()).open(0);
        const error = /state-0: record "b" is damaged/;
        expect(() => damaged.get("b")).toThrow(error);
        await expect(damaged.getMany(["a", "b"])).rejects.toThrow(error);
        await expect(damaged.scan([""], () => undefined)).rejects.toThrow(error);
        expect(texts([damaged.get("a"), damaged.get("c")])).toEqual(["1", "3"]);
        await damaged.write(batch(2, { b: "new" }));
        expect(textOf(damaged.get("b") as Uint8Array)).toBe("new");
      });

      it.each([0, 1, 5, 1022, 1023, 1024, 1500])(
        "a batch lost behind %i others is found at open",
        async (later) => {
          const backend = await directory.open(0);
          for (let index = 1; index <= 5; index++) await backend.write(batch(index, { k: String(index) }));
          await backend.close();
          await disk.loseBatch(0, later);
          await expect((await disk.restart()).open(0)).rejects.toThrow(/state-0: batch \d+ .*lost/);
        },
      );
    });

    it("a crash leaves all or nothing of the batch in flight, and everything before", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
          async (lengths) => {
            const fresh = await make();
            let backend = await fresh.directory.open(0);
            let index = 0;
            let expected: Record<string, string> = {};
            for (const length of lengths) {
              for (let i = 0; i < length; i++) {
                const puts = { [`k${index % 3}`]: String(index), x: String(index) };
                const writing = backend.write(batch(++index, puts, [`k${(index + 1) % 3}`]));
                const after: Record<string, string> = { ...expected, ...puts };
                delete after[`k${(index + 1) % 3}`];
                if (i < length - 1) {
                  await writing;
                  expected = after;
                  continue;
                }
                backend = await (await fresh.restart()).open(0);
                if (backend.meta.index === index) expected = after;
                else expect(backend.meta.index).toBe(--index);
                expect(await contents(backend)).toEqual(expected);
              }
            }
          },
        ),
        { numRuns: 20 },
      );
    });
  });
}
