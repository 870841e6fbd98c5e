// Goal: a model that was changed is the model that would be built anew, what was not written keeps its identity, and no
// model ever changes. Method: properties over random changes, with everything that a model holds written out.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareEntries, placeText } from "../../../src/config/compiled-route.ts";
import { type Change, KIND_NAMES, Model, retryOf, timeoutsOf } from "../../../src/config/index.ts";
import { allEntries } from "../../../src/config/route-table.ts";
import { changed, gone, MESH, modelOf, put, route, sample } from "../../support/config-mesh.ts";

/** Everything that a model holds, in an order that does not depend on how it came to be. */
function dump(model: Model): unknown {
  const { snapshot } = model;
  const ids = [...model.ids()].map((id) => ({
    ...id,
    content: model.get(id)?.content,
    bytes: (model.get(id) ?? model.broken(id))?.bytes,
    referrers: [...model.referrers(id)],
  }));
  const entries = [...allEntries(snapshot.table)].sort(compareEntries);
  return {
    ids,
    bytes: model.bytes,
    counts: KIND_NAMES.map((kind) => model.count(kind)),
    ports: [1, 2].map((port) => model.listenersOfPort(port)),
    referrers: ["u1", "u2"].map((name) => [...model.referrers({ kind: "Upstream", name })]),
    mesh: snapshot.mesh,
    compiled: [...snapshot.upstreams.entries(), ...snapshot.listeners.entries()],
    routes: [...snapshot.routes.values()].map(({ name, object }) => [name, object.content]),
    entries: entries.map((entry) => `${entry.route.name} ${placeText(entry)} ${entry.route.object.content}`),
    hosts: [snapshot.table.exact, snapshot.table.below].map((hosts) => [...hosts.keys()].sort()),
    priorities: [...snapshot.table.priorities.entries()],
    policies: [...snapshot.policyTable.entries()].map(([target, list]) => [
      target,
      list.map(({ name }) => name),
    ]),
  };
}

const text = (...words: string[]) => fc.constantFrom(...words);
const change: fc.Arbitrary<Change> = fc.oneof(
  fc
    .tuple(
      text("r1", "r2", "r3", "r4"),
      fc.uniqueArray(text("a.x", "*.x", "b"), { maxLength: 2 }),
      fc.constantFrom(
        { exact: "/a" },
        { prefix: "/a" },
        { prefix: "/a/b/c" },
        { regex: "/a.*" },
        { exact: "/a/b" },
      ),
      fc.integer({ min: 0, max: 2 }),
      text("u1", "u2"),
    )
    .map(([name, hosts, path, priority, upstream]) =>
      route(name, { hosts, path }, { priority, backends: [{ upstream }] }),
    ),
  fc.tuple(text("l1", "l2"), fc.constantFrom(1, 2)).map(([name, port]) => put("Listener", name, { port })),
  fc
    .tuple(text("u1", "u2"), fc.boolean())
    .map(([name, fine]) => put("Upstream", name, fine ? { allowEmpty: true } : {})),
  fc
    .tuple(
      text("p1", "p2"),
      fc.integer({ min: 0, max: 1 }),
      fc.uniqueArray(text("r1", "r2"), { minLength: 1 }),
    )
    .map(([name, order, routes]) => put("Policy", name, { order, target: { routes }, action: { deny: {} } })),
  fc.integer({ min: 1, max: 9 }).map((maxRoutes) => put("Mesh", MESH, { limits: { maxRoutes } })),
  fc
    .constantFrom(
      ...(["r1", "r2", "r3"].map((name) => ["Route", name]) as ["Route", string][]),
      ...(["u1", "l1", "p1"].map((name, i) => [["Upstream", "Listener", "Policy"][i], name]) as [
        "Upstream",
        string,
      ][]),
      ["Mesh" as const, MESH] as const,
    )
    .map(([kind, name]) => gone(kind, name)),
);

describe("a changed model", () => {
  test("is the model built anew from what is left", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const left = new Map<string, Change>();
        for (const one of changes) {
          if (one.value === undefined) left.delete(one.key);
          else left.set(one.key, one);
        }
        const anew = modelOf(...[...left.values()].sort((a, b) => (a.key < b.key ? 1 : -1)));
        expect(dump(modelOf(...changes))).toEqual(dump(anew));
      }),
      { numRuns: 400 },
    );
  });

  test("leaves the model before as it was", () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 12 }),
        fc.array(change, { maxLength: 12 }),
        (base, changes) => {
          const model = modelOf(...base);
          const before = dump(model);
          changed(model, ...changes);
          expect(dump(model)).toEqual(before);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("that lost everything is empty in every part", () => {
    const all = [
      route("r1", { hosts: ["a.x", "*.x"], path: { exact: "/a/b" } }),
      put("Listener", "l1", { port: 1 }),
    ];
    const model = changed(modelOf(...all), gone("Route", "r1"), gone("Listener", "l1"));
    expect(dump(model)).toEqual(dump(Model.empty(MESH)));
    expect(model.snapshot.table.any.root.children.size).toBe(0);
  });
});

describe("identity", () => {
  const model = sample(route("r", { hosts: ["a"] }), put("Upstream", "other", { allowEmpty: true }));
  const { snapshot } = model;

  test("of all else is kept by a change of one route", () => {
    const after = changed(model, route("s", { hosts: ["b"] })).snapshot;
    expect(after.upstreams).toBe(snapshot.upstreams);
    expect(after.listeners).toBe(snapshot.listeners);
    expect(after.policyTable).toBe(snapshot.policyTable);
    expect(after.routes.get("r")).toBe(snapshot.routes.get("r"));
    expect(after.table.exact.get("a")).toBe(snapshot.table.exact.get("a"));
  });

  test("of an upstream is kept when only what changes nothing was written", () => {
    const upstream = { endpoints: [{ host: "127.0.0.1", port: 9000, weight: 1 }] };
    const same = changed(model, put("Upstream", "shop", upstream)).snapshot;
    expect(same).toBe(snapshot);
    const other = changed(model, put("Upstream", "shop", { ...upstream, lb: "least-requests" })).snapshot;
    expect(other.upstreams.get("shop")).not.toBe(snapshot.upstreams.get("shop"));
    expect(other.upstreams.get("other")).toBe(snapshot.upstreams.get("other"));
    expect(other.table).toBe(snapshot.table);
  });
});

test("times and retries come from the route, then the mesh, then the program", () => {
  const own = { timeouts: { requestMs: 1 }, retry: { attempts: 2 } };
  const routes = [route("r", { hosts: ["a"] }, own), route("s", {})];
  const common = put("Mesh", MESH, {
    defaults: { timeouts: { requestMs: 5, idleMs: 0 }, retry: { attempts: 1 } },
  });
  const seen = (model: Model) =>
    ["r", "s"].map((name) => {
      const found = model.snapshot.routes.get(name);
      if (found === undefined) throw new Error(name);
      const { requestMs, idleMs } = timeoutsOf(model.snapshot, found);
      return [requestMs, idleMs, retryOf(model.snapshot, found)?.attempts];
    });
  expect(seen(sample(...routes, common))).toEqual([
    [1, 0, 2],
    [5, 0, 1],
  ]);
  expect(seen(sample(...routes))).toEqual([
    [1, 300_000, 2],
    [30_000, 300_000, undefined],
  ]);
});
