/**
 * What is wrong with one object in the midst of the others. A pure function of a model and an identity, so
 * that a change is judged by asking it before and after, for those objects only whose answer can differ
 * (`affected.ts`).
 */
import {
  type CompiledRoute,
  compareEntries,
  coversEntry,
  type Entry,
  entriesOf,
  isSameSlot,
  placeText,
} from "./compiled-route.ts";
import { type Finding, MAX_FINDINGS_PER_OBJECT } from "./finding.ts";
import { idText, type ObjectId } from "./keys.ts";
import { isKind } from "./kinds.ts";
import type { Model } from "./model.ts";
import { nearest } from "./nearest.ts";
import type { ConfigObject } from "./objects.ts";
import {
  entriesAbove,
  entriesInSlot,
  MAX_REGEXES_PER_HOST,
  MAX_ROUTES_PER_PLACE,
  type RouteTable,
  regexesOfHost,
} from "./route-table.ts";
import { runRouteTest } from "./route-test.ts";

/** Names that are looked through for the nearest one. */
const MAX_NAMES = 500;

/** All findings of an object; none when it is not there. At most MAX_FINDINGS_PER_OBJECT. */
export function findingsOf(model: Model, id: ObjectId): readonly Finding[] {
  const broken = model.broken(id);
  if (broken !== undefined) return broken.findings;
  const object = model.get(id);
  if (object === undefined) return [];
  const findings = [...object.findings, ...referenceFindings(model, object)];
  switch (object.kind) {
    case "Mesh":
      findings.push(...limitFindings(model, object));
      break;
    case "Listener":
      findings.push(...portFindings(model, object));
      break;
    case "Route":
      findings.push(...routeFindings(model, object));
      break;
    case "RouteTest":
      findings.push(...runRouteTest(model.snapshot, object));
      break;
    case "Upstream":
    case "Policy":
      break;
  }
  return findings.slice(0, MAX_FINDINGS_PER_OBJECT);
}

function referenceFindings(model: Model, object: ConfigObject): Finding[] {
  const findings: Finding[] = [];
  for (const { path, kind, name } of object.references) {
    if (!isKind(kind) || model.get({ kind, name }) !== undefined) continue;
    const broken = model.broken({ kind, name }) !== undefined;
    const message = broken
      ? `the ${kind} "${name}" cannot be used as it is stored`
      : `there is no ${kind} "${name}"`;
    const code = broken ? "broken-reference" : "missing-reference";
    findings.push({ ...at(object, code, path, message), other: `${kind}/${name}` });
  }
  return findings;
}

/** A missing reference with the name that may have been meant. */
export function withNearestName(model: Model, finding: Finding): Finding {
  const [kind, name = ""] = finding.other?.split("/") ?? [];
  if (!isKind(kind)) return finding;
  const names: string[] = [];
  for (const known of model.objects(kind).keys()) {
    if (names.length >= MAX_NAMES) break;
    names.push(known);
  }
  const near = nearest(name, names);
  return near === undefined ? finding : { ...finding, hint: `did you mean ${near}?` };
}

function limitFindings(model: Model, mesh: ConfigObject<"Mesh">): Finding[] {
  const { maxRoutes, maxBytes } = mesh.spec.limits;
  const findings: Finding[] = [];
  const limit = (path: string, what: string, has: number, most: number): void => {
    if (has <= most) return;
    const message = `the mesh has ${has} ${what}, its limit is ${most}`;
    findings.push({ ...at(mesh, "limit-exceeded", path, message), amount: has - most });
  };
  limit("/spec/limits/maxRoutes", "routes", model.count("Route"), maxRoutes);
  limit("/spec/limits/maxBytes", "bytes", model.bytes, maxBytes);
  return findings;
}

/** Listeners that some gateway would have to open at one address and port. */
function portFindings(model: Model, listener: ConfigObject<"Listener">): Finding[] {
  const findings: Finding[] = [];
  const { port, address, selector } = listener.spec;
  for (const name of model.listenersOfPort(port)) {
    const other = name === listener.name ? undefined : model.objects("Listener").get(name);
    if (other === undefined) continue;
    if (!overlaps(address, other.spec.address) || !compatible(selector, other.spec.selector)) continue;
    const message = `port ${port} at ${address} is also asked for by the listener "${name}" at ${other.spec.address}`;
    const hint = "choose another port, or selectors that no gateway fits both of";
    findings.push({ ...at(listener, "port-conflict", "/spec/port", message), other: idText(other), hint });
  }
  return findings;
}

function overlaps(a: string, b: string): boolean {
  const isAll = (address: string): boolean => address === "0.0.0.0" || address === "::";
  if (a === b || a === "::" || b === "::") return true;
  // 0.0.0.0 is all of IPv4 and nothing of IPv6.
  return (isAll(a) && !b.includes(":")) || (isAll(b) && !a.includes(":"));
}

/** Whether one gateway can have the labels of both selectors. */
function compatible(a: { readonly [name: string]: string }, b: { readonly [name: string]: string }): boolean {
  return Object.entries(a).every(([name, value]) => !Object.hasOwn(b, name) || b[name] === value);
}

function routeFindings(model: Model, object: ConfigObject<"Route">): Finding[] {
  const { table, routes } = model.snapshot;
  const route = routes.get(object.name);
  if (route === undefined) return [];
  const findings: Finding[] = [];
  const hidden: { readonly entry: Entry; readonly by: Entry }[] = [];
  const entries = entriesOf(route);
  for (const entry of entries) {
    const { duplicate, by } = rivals(table, entry);
    if (duplicate !== undefined) findings.push(duplicateFinding(object, entry, duplicate));
    else if (by !== undefined) hidden.push({ entry, by });
    findings.push(...crowdFindings(table, object, entry));
  }
  findings.push(...hiddenFindings(object, entries.length, hidden));
  return findings;
}

/** Routes of which a gateway could only try one after the other. */
function crowdFindings(table: RouteTable, object: ConfigObject<"Route">, entry: Entry): Finding[] {
  const isRegex = entry.route.path.type === "regex";
  const has = isRegex ? regexesOfHost(table, entry) : entriesInSlot(table, entry).length;
  const most = isRegex ? MAX_REGEXES_PER_HOST : MAX_ROUTES_PER_PLACE;
  if (has <= most) return [];
  const what = isRegex ? "the host has routes with a regex" : "the host and path have routes";
  const message = `${what}: ${has}, at most ${most} are taken (${placeText(entry)})`;
  const finding = at(object, "limit-exceeded", hostPath(entry), message);
  return [{ ...finding, amount: has - most }];
}

/** The best entry that takes every request of `entry` before it, and one that asks for exactly the same. */
function rivals(
  table: RouteTable,
  entry: Entry,
): { readonly duplicate: Entry | undefined; readonly by: Entry | undefined } {
  let by: Entry | undefined;
  for (const other of entriesAbove(table, entry)) {
    if (other.route === entry.route || !coversEntry(other, entry)) continue;
    const equal = other.route.priority === entry.route.priority && coversEntry(entry, other);
    if (equal && isSameSlot(entry, other)) return { duplicate: other, by: undefined };
    if (compareEntries(other, entry) > 0) continue;
    if (by === undefined || compareEntries(other, by) < 0) by = other;
  }
  return { duplicate: undefined, by };
}

function duplicateFinding(object: ConfigObject<"Route">, entry: Entry, other: Entry): Finding {
  const message = `the route "${other.route.name}" asks for exactly the same requests (${placeText(entry)})`;
  const hint = "change the match or the priority of one of them";
  const finding = at(object, "duplicate-match", hostPath(entry), message);
  return { ...finding, other: otherRoute(other.route), hint };
}

function hiddenFindings(
  object: ConfigObject<"Route">,
  entries: number,
  hidden: readonly { readonly entry: Entry; readonly by: Entry }[],
): Finding[] {
  const [first] = hidden;
  if (first !== undefined && hidden.length === entries) {
    const { by } = first;
    const winner = `"${by.route.name}" (${placeText(by)}, priority ${by.route.priority})`;
    const message = `no request reaches it: the route ${winner} wins before`;
    const finding = at(object, "unreachable-route", "/spec/match", message);
    return [{ ...finding, other: otherRoute(by.route), hint: "give it a higher priority or a closer match" }];
  }
  return hidden.map(({ entry, by }) => {
    const message = `no request reaches it at ${placeText(entry)}: the route "${by.route.name}" wins before`;
    const finding = at(object, "shadowed-match", hostPath(entry), message);
    return { ...finding, severity: "warning" as const, other: otherRoute(by.route) };
  });
}

function hostPath({ host, hostIndex }: Entry): string {
  return host.type === "any" ? "/spec/match" : `/spec/match/hosts/${hostIndex}`;
}

function otherRoute(route: CompiledRoute): string {
  return `Route/${route.name}`;
}

function at(object: ObjectId, code: Finding["code"], path: string, message: string): Finding {
  return { severity: "error", code, kind: object.kind, name: object.name, path, message };
}
