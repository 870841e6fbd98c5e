/**
 * Stored bytes to an object with its defaults, or to the findings that say why they are none. Defaults are
 * filled in when an object is read and never stored: a better default then reaches old objects, and bytes stay
 * what was written.
 */
import { canonicalText } from "./canonical.ts";
import { type CheckOptions, checkValue, quote, type Reference } from "./check-value.ts";
import type { Finding, FindingCode } from "./finding.ts";
import type { ObjectId } from "./keys.ts";
import type { LocalCheck } from "./kind.ts";
import {
  API_VERSION,
  envelopeOf,
  isKind,
  KIND_NAMES,
  KINDS,
  type KindName,
  type Metadata,
  type Specs,
} from "./kinds.ts";
import { nearest } from "./nearest.ts";

/** Largest stored value of one object, bytes. It bounds the longest step of a judgement. */
export const MAX_OBJECT_BYTES = 131_072;

/** A checked object of kind K; over all kinds, a union tagged by `kind`. Immutable. */
export type ConfigObject<K extends KindName = KindName> = {
  [N in K]: {
    readonly kind: N;
    readonly name: string;
    readonly metadata: Metadata;
    readonly spec: Specs[N];
    /** Canonical JSON of the spec with its defaults: equal text, equal behaviour. */
    readonly content: string;
    /** Objects that it names, in order of the spec. */
    readonly references: readonly Reference[];
    /** Size of the stored value. */
    readonly bytes: number;
    /** Warnings only. */
    readonly findings: readonly Finding[];
  };
}[K];

/** A value that cannot be used; it takes the place of its object, so that what names it can be told so. */
export interface BrokenObject extends ObjectId {
  readonly bytes: number;
  /** At least one error. */
  readonly findings: readonly Finding[];
}

export type ParsedObject =
  | { readonly type: "object"; readonly object: ConfigObject }
  | { readonly type: "broken"; readonly broken: BrokenObject };

/** What a document without a key turned out to be. */
export type ReadDocument =
  | { readonly type: "object"; readonly object: ConfigObject; readonly text: string }
  | { readonly type: "refused"; readonly findings: readonly Finding[] };

export interface ParseOptions {
  /** See CheckOptions. Default "error". */
  readonly unknownFields?: CheckOptions["unknownFields"];
}

/** Parses what is stored, or shall be stored, under the key of `id`. */
export function parseObject(id: ObjectId, value: Uint8Array, options: ParseOptions = {}): ParsedObject {
  const broken = (code: FindingCode, message: string): ParsedObject => ({
    type: "broken",
    broken: { ...idOf(id), bytes: value.length, findings: [errorAt(id, code, "", message)] },
  });
  if (value.length > MAX_OBJECT_BYTES) {
    return broken("object-too-large", `it has ${value.length} bytes, at most ${MAX_OBJECT_BYTES} are taken`);
  }
  let json: unknown;
  try {
    json = JSON.parse(decoder.decode(value));
  } catch (error) {
    // Both throw for what a client wrote; the text says where.
    return broken(
      "bad-json",
      `the value is no JSON: ${error instanceof Error ? error.message : "unreadable"}`,
    );
  }
  const { object, findings } = checkObject(id, json, value.length, options);
  if (object === undefined) return { type: "broken", broken: { ...idOf(id), bytes: value.length, findings } };
  return { type: "object", object };
}

/**
 * Reads a document that says itself what it is, as one of a YAML file. Its canonical text is what shall be
 * stored.
 */
export function readDocument(json: unknown, options: ParseOptions = {}): ReadDocument {
  const id = idOfDocument(json);
  if (id.type === "refused") return id;
  const canonical = canonicalText(json);
  if (canonical.type === "refused") {
    const finding = errorAt(id, "wrong-type", canonical.path, canonical.reason);
    return { type: "refused", findings: [finding] };
  }
  const bytes = encoder.encode(canonical.text).length;
  if (bytes > MAX_OBJECT_BYTES) {
    const message = `it has ${bytes} bytes, at most ${MAX_OBJECT_BYTES} are taken`;
    return { type: "refused", findings: [errorAt(id, "object-too-large", "", message)] };
  }
  const { object, findings } = checkObject(id, json, bytes, options);
  if (object === undefined) return { type: "refused", findings };
  return { type: "object", object, text: canonical.text };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

type DocumentId = ({ readonly type: "id" } & ObjectId) | Extract<ReadDocument, { type: "refused" }>;

function idOfDocument(json: unknown): DocumentId {
  const kind = memberOf(json, "kind");
  const written = memberOf(memberOf(json, "metadata"), "name");
  const name = typeof written === "string" ? written : "";
  const refuse = (code: FindingCode, path: string, message: string, hint?: string): DocumentId => {
    const finding = errorAt({ kind: typeof kind === "string" ? kind : "", name }, code, path, message, hint);
    return { type: "refused", findings: [finding] };
  };
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return refuse(
      "wrong-type",
      "",
      `${quote(json)} must be an object with apiVersion, kind, metadata and spec`,
    );
  }
  if (kind === undefined) return refuse("missing-field", "", "the field kind is missing");
  if (!isKind(kind)) {
    const near = typeof kind === "string" ? nearest(kind, KIND_NAMES) : undefined;
    const hint = near === undefined ? `kinds: ${KIND_NAMES.join(", ")}` : `did you mean ${near}?`;
    return refuse("unknown-kind", "/kind", `nothing consumes the kind ${quote(kind)}`, hint);
  }
  return { type: "id", kind, name };
}

interface CheckedObject {
  /** Undefined: there is an error among the findings. */
  readonly object: ConfigObject | undefined;
  readonly findings: readonly Finding[];
}

function checkObject(id: ObjectId, json: unknown, bytes: number, options: ParseOptions): CheckedObject {
  const wrong = envelopeFinding(id, json);
  if (wrong !== undefined) return { object: undefined, findings: [wrong] };
  const checkOptions = { ...idOf(id), unknownFields: options.unknownFields ?? "error" };
  const checked = checkValue(envelopeOf(id.kind), json, "", checkOptions);
  const findings = [...checked.findings];
  if (hasError(findings)) return { object: undefined, findings };
  const metadata = memberOf(checked.value, "metadata") as Metadata;
  const spec = memberOf(checked.value, "spec");
  if (metadata.name !== id.name) {
    const message = `the name is "${metadata.name}", its key says "${id.name}"`;
    return { object: undefined, findings: [errorAt(id, "name-mismatch", "/metadata/name", message)] };
  }
  // The table ties a kind to the type of its spec, and the description has just been checked against.
  const check = KINDS[id.kind].check as LocalCheck<unknown>;
  check(spec, (code, path, message, hint) => findings.push(errorAt(id, code, path, message, hint)));
  const content = canonicalText(spec);
  if (content.type === "refused") {
    findings.push(errorAt(id, "bad-json", `/spec${content.path}`, content.reason));
  }
  if (hasError(findings) || content.type === "refused") return { object: undefined, findings };
  const object = {
    ...idOf(id),
    metadata,
    spec,
    content: content.text,
    references: checked.references,
    bytes,
    findings,
  } as ConfigObject;
  return { object, findings };
}

/** What makes it useless to look at the rest. */
function envelopeFinding(id: ObjectId, json: unknown): Finding | undefined {
  const kind = memberOf(json, "kind");
  if (typeof kind === "string" && kind !== id.kind) {
    const message = `the kind is "${kind}", its key says "${id.kind}"`;
    return errorAt(id, "name-mismatch", "/kind", message);
  }
  const version = memberOf(json, "apiVersion");
  if (typeof version === "string" && version !== API_VERSION) {
    const message = `the version ${quote(version)} is not known, only ${API_VERSION} is`;
    return errorAt(id, "unknown-version", "/apiVersion", message);
  }
  return undefined;
}

function errorAt(
  id: { readonly kind: string; readonly name: string },
  code: FindingCode,
  path: string,
  message: string,
  hint?: string,
): Finding {
  const { kind, name } = id;
  return { severity: "error", code, kind, name, path, message, ...(hint === undefined ? {} : { hint }) };
}

function idOf({ kind, name }: ObjectId): ObjectId {
  return { kind, name };
}

function hasError(findings: readonly Finding[]): boolean {
  return findings.some((finding) => finding.severity === "error");
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
