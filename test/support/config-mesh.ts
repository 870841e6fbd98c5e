/** Meshes for tests and benchmarks: objects as they are written, models made of them, requests. */

import type { RouteRequest } from "../../src/config/conditions.ts";
import {
  API_VERSION,
  type Change,
  type ChangeSet,
  canonicalBytes,
  type Finding,
  type Json,
  judge,
  type KindName,
  Model,
  objectKey,
  parseKey,
  parseObject,
  requestOf,
} from "../../src/config/index.ts";

export const MESH = "main";

type Spec = { readonly [name: string]: Json };

/** An object as a person writes it. */
export function written(kind: KindName, name: string, spec: Spec): Json {
  return { apiVersion: API_VERSION, kind, metadata: { name }, spec };
}

export function put(kind: KindName, name: string, spec: Spec): Change {
  return { key: objectKey(MESH, { kind, name }), value: canonicalBytes(written(kind, name, spec)) };
}

export function gone(kind: KindName, name: string): Change {
  return { key: objectKey(MESH, { kind, name }), value: undefined };
}

/** A listener, an upstream and whatever else is said. */
export function sample(...more: readonly Change[]): Model {
  return modelOf(
    put("Mesh", MESH, {}),
    put("Listener", "web", { port: 8080 }),
    put("Upstream", "shop", { endpoints: [{ host: "127.0.0.1", port: 9000 }] }),
    ...more,
  );
}

/** A model of the changes, unjudged: it may be wrong as a whole. */
export function modelOf(...changes: readonly Change[]): Model {
  return changed(Model.empty(MESH), ...changes);
}

export function changed(model: Model, ...changes: readonly Change[]): Model {
  let after = model;
  for (const { key, value } of changes) {
    const id = parseKey(key);
    if (id.type !== "object") throw new Error(`no object lies at ${key}`);
    after = value === undefined ? after.without(id) : after.with(parseObject(id, value));
  }
  return after;
}

/** A route to the sample's upstream. */
export function route(name: string, match: Json, more: Spec = {}): Change {
  return put("Route", name, { match, backends: [{ upstream: "shop" }], ...more });
}

/** "GET shop.example/path?query". */
export function request(line: string, headers: Record<string, string> = {}, listener = "web"): RouteRequest {
  const [method = "", target = ""] = line.split(" ");
  const slash = target.indexOf("/");
  return requestOf({ listener, method, host: target.slice(0, slash), path: target.slice(slash), headers });
}

/** "code kind/name path" of each finding of a judgement, in order. */
export function verdictOf(model: Model, ...changes: readonly Change[]): string[] {
  return briefly(model, { changes });
}

export function briefly(model: Model, changeSet: ChangeSet): string[] {
  return judge(model, changeSet).findings.map(brief);
}

export function brief({ severity, code, kind, name, path }: Finding): string {
  const mark = severity === "warning" ? "warning " : "";
  return `${mark}${code} ${kind}/${name}${path === "" ? "" : ` ${path}`}`;
}
