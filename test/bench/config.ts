/**
 * What configuration costs: judging and compiling a mesh from stored bytes, one changed route, and decisions. All in
 * one process, without store and sockets.
 */
import {
  type Change,
  decide,
  Judging,
  type Model,
  type RouteRequest,
  UNITS_PER_MS,
} from "../../src/config/index.ts";
import { changed, MESH, modelOf, put, request, route } from "../support/config-mesh.ts";

/** Aim for a slice, in the words of the design: no slice blocks the loop longer. */
const SLICE_MS = 5;
/** Routes per change set. */
const PER_SET = 5000;

export interface JudgeFigures {
  readonly model: Model;
  readonly milliseconds: number;
  /** Of the slices, one per call. */
  readonly p99SliceMs: number;
  readonly longestSliceMs: number;
}

/** A mesh of `routes` routes over a thousand hosts, ten prefixes and headers among them, as change sets. */
export function meshOf(routes: number): Change[][] {
  const first: Change[] = [
    put("Mesh", MESH, { limits: { maxRoutes: 100_000 } }),
    put("Listener", "web", { port: 8080 }),
    ...Array.from({ length: 100 }, (_, i) =>
      put("Upstream", `u${i}`, { endpoints: [{ host: "10.0.0.1", port: 1000 + i }] }),
    ),
  ];
  const sets = [first];
  for (let lo = 0; lo < routes; lo += PER_SET) {
    const hi = Math.min(routes, lo + PER_SET);
    sets.push(Array.from({ length: hi - lo }, (_, i) => routeOf(lo + i)));
  }
  return sets;
}

/** Judges the sets one after the other in slices of about 2.5 ms by the rule of thumb. */
export function judgeAll(sets: readonly (readonly Change[])[]): JudgeFigures {
  let model = modelOf();
  const slices: number[] = [];
  const begin = now();
  for (const changes of sets) {
    const judging = new Judging(model, { changes });
    for (;;) {
      const from = now();
      const judgement = judging.step((UNITS_PER_MS * SLICE_MS) / 2);
      slices.push(now() - from);
      if (judgement === undefined) continue;
      if (judgement.type === "refused") throw new Error(judgement.findings[0]?.message);
      model = judgement.model;
      break;
    }
  }
  const milliseconds = now() - begin;
  slices.sort((a, b) => a - b);
  const p99SliceMs = slices[Math.floor(slices.length * 0.99)] ?? 0;
  return { model, milliseconds, p99SliceMs, longestSliceMs: slices.at(-1) ?? 0 };
}

/** Writes one route after the other anew; microseconds per change, parsed, checked and compiled but not judged. */
export function changeRoutes(model: Model, changes: number): { model: Model; microseconds: number } {
  const routes = model.count("Route");
  const written = Array.from({ length: changes }, (_, i) => routeOf((i * 7919) % routes, i + 2));
  const begin = now();
  const after = changed(model, ...written);
  return { model: after, microseconds: ((now() - begin) * 1000) / changes };
}

/** Decisions per second over requests that all reach a route; throws when one does not. */
export function decideAll(model: Model, decisions: number): number {
  const routes = model.count("Route");
  const requests: RouteRequest[] = Array.from({ length: 1000 }, (_, i) => {
    const target = (i * 7919) % routes;
    return request(`GET h${target % 1000}.example/svc-${target}/v1/items/17`);
  });
  let reached = 0;
  const begin = now();
  for (let i = 0; i < decisions; i++) {
    const asked = requests[i % requests.length];
    if (asked !== undefined && decide(model.snapshot, asked).outcome.type === "forward") reached++;
  }
  const seconds = (now() - begin) / 1000;
  if (reached !== decisions) throw new Error(`${decisions - reached} requests reached no route`);
  return decisions / seconds;
}

function routeOf(i: number, weight = 1): Change {
  const match = { hosts: [`h${i % 1000}.example`], path: { prefix: `/svc-${i}/v1` } };
  return route(`r${i}`, match, { backends: [{ upstream: `u${i % 100}`, weight }] });
}

function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
