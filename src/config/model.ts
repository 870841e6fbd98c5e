/**
 * All objects of a mesh, checked, with who names whom and the compiled snapshot. Immutable: a change gives a
 * new model in the time of that change, and the old one stays whole, which is how findings before and after
 * are compared.
 *
 * A model may be wrong as a whole (a restore, or raw puts against a store that does not judge): a broken
 * object has a place in it, and a reference may lead nowhere. `object-findings.ts` says what is wrong.
 */

import { idText, type ObjectId } from "./keys.ts";
import { KIND_NAMES, type KindName } from "./kinds.ts";
import type { BrokenObject, ConfigObject, ParsedObject } from "./objects.ts";
import { EMPTY_SNAPSHOT, type Snapshot, withObject, withoutObject } from "./snapshot.ts";
import { SortedMap } from "./sorted-map.ts";

type Objects = { readonly [K in KindName]: SortedMap<string, ConfigObject<K>> };

/** Owner: nobody; every part is immutable. */
export class Model {
  /** Name of the mesh. */
  readonly mesh: string;
  readonly snapshot: Snapshot;
  /** Bytes of all stored values, keys left out. */
  readonly bytes: number;
  readonly #objects: Objects;
  /** By "Kind/name". Invariant: no name is in both this and #objects. */
  readonly #broken: SortedMap<string, BrokenObject>;
  /** "Target/name\nReferrer/name" of every reference of an object that is not broken. */
  readonly #referrers: SortedMap<string, ObjectId>;
  /** Names of the listeners of a port. */
  readonly #ports: SortedMap<number, readonly string[]>;

  private constructor(parts: Parts) {
    this.mesh = parts.mesh;
    this.snapshot = parts.snapshot;
    this.bytes = parts.bytes;
    this.#objects = parts.objects;
    this.#broken = parts.broken;
    this.#referrers = parts.referrers;
    this.#ports = parts.ports;
  }

  static empty(mesh: string): Model {
    return new Model({
      mesh,
      snapshot: EMPTY_SNAPSHOT,
      bytes: 0,
      objects: {
        Mesh: SortedMap.empty(),
        Listener: SortedMap.empty(),
        Upstream: SortedMap.empty(),
        Route: SortedMap.empty(),
        Policy: SortedMap.empty(),
        RouteTest: SortedMap.empty(),
      },
      broken: SortedMap.empty(),
      referrers: SortedMap.empty(),
      ports: SortedMap.empty(),
    });
  }

  /** Objects of a kind by name, without the broken ones. */
  objects<K extends KindName>(kind: K): SortedMap<string, ConfigObject<K>> {
    return this.#objects[kind];
  }

  get(id: ObjectId): ConfigObject | undefined {
    return this.#objects[id.kind].get(id.name);
  }

  broken(id: ObjectId): BrokenObject | undefined {
    return this.#broken.get(idText(id));
  }

  /** Whether there is a value, be it broken. */
  has(id: ObjectId): boolean {
    return this.get(id) !== undefined || this.broken(id) !== undefined;
  }

  /** Number of values of a kind, broken ones included. */
  count(kind: KindName): number {
    let broken = 0;
    for (const [key] of this.#broken.entries(`${kind}/`)) {
      if (!key.startsWith(`${kind}/`)) break;
      broken++;
    }
    return this.#objects[kind].size + broken;
  }

  /** All identities, broken ones included, what is named before who names it. */
  *ids(): IterableIterator<ObjectId> {
    for (const kind of KIND_NAMES) for (const name of this.#objects[kind].keys()) yield { kind, name };
    for (const { kind, name } of this.#broken.values()) yield { kind, name };
  }

  /** Objects that name this one, each once, in order of kind and name. */
  *referrers(id: ObjectId): IterableIterator<ObjectId> {
    const prefix = `${idText(id)}\n`;
    for (const [key, referrer] of this.#referrers.entries(prefix)) {
      if (!key.startsWith(prefix)) return;
      yield referrer;
    }
  }

  /** Names of the listeners of a port. */
  listenersOfPort(port: number): readonly string[] {
    return this.#ports.get(port) ?? [];
  }

  /** The model with what was parsed in the place of what had its name. */
  with(parsed: ParsedObject): Model {
    const parts = this.#parts();
    if (parsed.type === "broken") {
      const { broken } = parsed;
      takeOut(parts, this, broken);
      parts.broken = parts.broken.set(idText(broken), broken);
      parts.snapshot = withoutObject(parts.snapshot, broken.kind, broken.name);
      parts.bytes += broken.bytes;
      return new Model(parts);
    }
    const { object } = parsed;
    takeOut(parts, this, object);
    parts.objects = withObjectOf(parts.objects, object);
    parts.snapshot = withObject(parts.snapshot, object);
    parts.bytes += object.bytes;
    for (const reference of object.references) {
      parts.referrers = parts.referrers.set(referenceKey(reference, object), idOf(object));
    }
    if (object.kind === "Listener") {
      const { port } = object.spec;
      parts.ports = parts.ports.set(port, [...(parts.ports.get(port) ?? []), object.name].sort());
    }
    return new Model(parts);
  }

  /** The model without an object; itself when there is none. */
  without(id: ObjectId): Model {
    if (!this.has(id)) return this;
    const parts = this.#parts();
    takeOut(parts, this, id);
    parts.snapshot = withoutObject(parts.snapshot, id.kind, id.name);
    return new Model(parts);
  }

  #parts(): Parts {
    return {
      mesh: this.mesh,
      snapshot: this.snapshot,
      bytes: this.bytes,
      objects: this.#objects,
      broken: this.#broken,
      referrers: this.#referrers,
      ports: this.#ports,
    };
  }
}

interface Parts {
  readonly mesh: string;
  snapshot: Snapshot;
  bytes: number;
  objects: Objects;
  broken: SortedMap<string, BrokenObject>;
  referrers: SortedMap<string, ObjectId>;
  ports: SortedMap<number, readonly string[]>;
}

/** Takes an object out of everything but the snapshot, which compares old and new by itself. */
function takeOut(parts: Parts, model: Model, id: ObjectId): void {
  const broken = model.broken(id);
  if (broken !== undefined) {
    parts.broken = parts.broken.delete(idText(id));
    parts.bytes -= broken.bytes;
  }
  const object = model.get(id);
  if (object === undefined) return;
  parts.bytes -= object.bytes;
  parts.objects = { ...parts.objects, [id.kind]: parts.objects[id.kind].delete(id.name) };
  for (const reference of object.references) {
    parts.referrers = parts.referrers.delete(referenceKey(reference, object));
  }
  if (object.kind === "Listener") {
    const { port } = object.spec;
    const left = (parts.ports.get(port) ?? []).filter((name) => name !== object.name);
    parts.ports = parts.ports.with(port, left.length === 0 ? undefined : left);
  }
}

function withObjectOf(objects: Objects, object: ConfigObject): Objects {
  // Which map belongs to which kind is said by the type of Objects, but not to a computed name.
  const map: SortedMap<string, ConfigObject> = objects[object.kind] as SortedMap<string, ConfigObject>;
  return { ...objects, [object.kind]: map.set(object.name, object) };
}

function referenceKey(reference: { readonly kind: string; readonly name: string }, object: ObjectId): string {
  return `${reference.kind}/${reference.name}\n${idText(object)}`;
}

function idOf({ kind, name }: ObjectId): ObjectId {
  return { kind, name };
}
