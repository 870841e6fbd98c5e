/**
 * The keys under which a mesh lies in the store. One object, one key; a key says mesh, kind and name, and the
 * value must say the same. Keys are ASCII, so text and bytes have one order.
 */
import { KIND_NAMES, KINDS, type KindName } from "./kinds.ts";
import { HOST_TEXT, NAME_TEXT } from "./shared-fields.ts";

/** Everything of ours lies below. */
export const ROOT = "/waymark/v1/";

const KIND_OF_PLURAL: ReadonlyMap<string, KindName> = new Map(
  KIND_NAMES.filter((kind) => kind !== "Mesh").map((kind) => [KINDS[kind].plural, kind]),
);

/** Identity of an object inside its mesh. */
export interface ObjectId {
  readonly kind: KindName;
  readonly name: string;
}

export type ParsedKey =
  | ({ readonly type: "object"; readonly mesh: string } & ObjectId)
  /** Lives under a lease; outside digest and target. `address` is host:port. */
  | { readonly type: "endpoint"; readonly mesh: string; readonly upstream: string; readonly address: string }
  | { readonly type: "target"; readonly mesh: string }
  /** Not configuration: changes/, status/, secrets/ and whatever comes beside live/. */
  | { readonly type: "beside"; readonly mesh: string; readonly area: string }
  /** Under live/, where nothing but the above may lie. `mesh` is empty when the key has none. */
  | { readonly type: "bad"; readonly mesh: string; readonly reason: string }
  /** Not below ROOT. */
  | { readonly type: "foreign" };

/** Prefix of everything that a gateway reads: one Range and one Watch. */
export function livePrefix(mesh: string): string {
  return `${ROOT}${mesh}/live/`;
}

/** Key of an object. A Mesh has one key, whatever its name. */
export function objectKey(mesh: string, { kind, name }: ObjectId): string {
  return kind === "Mesh" ? `${livePrefix(mesh)}mesh` : `${livePrefix(mesh)}${KINDS[kind].plural}/${name}`;
}

/** Key of an endpoint that registered itself; `address` is host:port, IPv6 in brackets. */
export function endpointKey(mesh: string, upstream: string, address: string): string {
  return `${livePrefix(mesh)}endpoints/${upstream}/${address}`;
}

/** Key that says which revision gateways shall have. Absent: the newest. */
export function targetKey(mesh: string): string {
  return `${livePrefix(mesh)}target`;
}

/** Key of a change record; IDs sort by time. */
export function changeKey(mesh: string, id: string): string {
  return `${ROOT}${mesh}/changes/${id}`;
}

/** Key of a gateway's report, used against stock etcd only. */
export function statusKey(mesh: string, gateway: string): string {
  return `${ROOT}${mesh}/status/${gateway}`;
}

/** What a key is. Never throws; whatever bytes a client chose are answered. */
export function parseKey(key: string): ParsedKey {
  if (!key.startsWith(ROOT)) return { type: "foreign" };
  const [mesh = "", area, kind, ...rest] = key.slice(ROOT.length).split("/");
  if (!isName(mesh)) return { type: "bad", mesh: "", reason: "the mesh has no proper name" };
  if (area !== "live") return { type: "beside", mesh, area: area ?? "" };
  const [name, address] = rest;
  if (kind === "mesh" && rest.length === 0) return { type: "object", mesh, kind: "Mesh", name: mesh };
  if (kind === "target" && rest.length === 0) return { type: "target", mesh };
  if (kind === "endpoints") {
    if (rest.length === 2 && isName(name) && isAddress(address)) {
      return { type: "endpoint", mesh, upstream: name, address };
    }
    return { type: "bad", mesh, reason: "an endpoint lies at endpoints/<upstream>/<host:port>" };
  }
  const known = KIND_OF_PLURAL.get(kind ?? "");
  if (known === undefined) {
    const plurals = [...KIND_OF_PLURAL.keys()].join(", ");
    return { type: "bad", mesh, reason: `under live/ there are mesh, ${plurals}, endpoints and target` };
  }
  if (rest.length !== 1 || !isName(name)) {
    return {
      type: "bad",
      mesh,
      reason: `an object lies at ${kind}/<name>, its name ${NAME_TEXT.format?.says}`,
    };
  }
  return { type: "object", mesh, kind: known, name };
}

/** "Route/shop": an object in words, and as key of maps. */
export function idText({ kind, name }: ObjectId): string {
  return `${kind}/${name}`;
}

function isName(name: string | undefined): name is string {
  return name !== undefined && name.length <= NAME_TEXT.max && NAME_TEXT.format?.pattern.test(name) === true;
}

function isAddress(address: string | undefined): address is string {
  const found = /^(.+):(\d{1,5})$/.exec(address ?? "");
  if (found === null) return false;
  const port = Number(found[2]);
  return port >= 1 && port <= 65535 && HOST_TEXT.format?.pattern.test(found[1] ?? "") === true;
}
