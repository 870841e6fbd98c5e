/**
 * Which objects can have other findings after a change than before. Too many cost time, one too few lets a bad
 * change pass; so a test compares it with asking all.
 */
import { type CompiledRoute, entriesOf } from "./compiled-route.ts";
import { idText, type ObjectId } from "./keys.ts";
import type { Model } from "./model.ts";
import { entriesBelow, entriesInSlot } from "./route-table.ts";

/**
 * Yields identities, some more than once, and undefined as a mark of work done without a result. Only findings
 * that the change adds matter: what vanishes needs no second look.
 */
export function* affectedBy(
  before: Model,
  after: Model,
  changed: readonly ObjectId[],
): IterableIterator<ObjectId | undefined> {
  let testsMatter = false;
  for (const id of changed) {
    yield id;
    // Who names it looks again only if it went, broke, came or was mended.
    if (stateOf(before, id) !== stateOf(after, id)) yield* after.referrers(id);
    if (id.kind === "Route") yield* besideRoute(before, after, id.name);
    if (id.kind === "Listener") {
      const port = after.objects("Listener").get(id.name)?.spec.port;
      for (const name of port === undefined ? [] : after.listenersOfPort(port))
        yield { kind: "Listener", name };
    }
    testsMatter ||= id.kind === "Route" || id.kind === "Policy";
  }
  if (changed.length > 0) yield { kind: "Mesh", name: after.mesh };
  if (testsMatter) for (const name of after.objects("RouteTest").keys()) yield { kind: "RouteTest", name };
}

function* besideRoute(before: Model, after: Model, name: string): IterableIterator<ObjectId | undefined> {
  const route = after.snapshot.routes.get(name);
  if (route === undefined || route === before.snapshot.routes.get(name)) return;
  const { table } = after.snapshot;
  // Less specific than another one, it wins only by a higher priority. Catch-alls with the lowest one are common, and
  // looking at all routes for them would make every edit of theirs expensive.
  const mayHide = route.priority > (table.priorities.firstKey() ?? 0);
  for (const entry of entriesOf(route)) {
    for (const other of entriesInSlot(table, entry)) yield idOfRoute(other.route);
    if (!mayHide) continue;
    for (const other of entriesBelow(table, entry)) {
      const loses = other !== undefined && other.route.priority < route.priority;
      yield loses ? idOfRoute(other.route) : undefined;
    }
  }
}

function stateOf(model: Model, id: ObjectId): "there" | "broken" | "absent" {
  if (model.get(id) !== undefined) return "there";
  return model.broken(id) === undefined ? "absent" : "broken";
}

function idOfRoute(route: CompiledRoute): ObjectId {
  return { kind: "Route", name: route.name };
}

/** Each identity once. */
export class IdSet {
  readonly #ids = new Map<string, ObjectId>();

  add({ kind, name }: ObjectId): void {
    const key = idText({ kind, name });
    if (!this.#ids.has(key)) this.#ids.set(key, { kind, name });
  }

  get size(): number {
    return this.#ids.size;
  }

  has(id: ObjectId): boolean {
    return this.#ids.has(idText(id));
  }

  /** In order of first mention. */
  values(): IterableIterator<ObjectId> {
    return this.#ids.values();
  }
}
