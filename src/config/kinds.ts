/**
 * The kinds, and nothing else: what is not in this table is refused when written. Secret, Source, Release,
 * Rollout and Telemetry come when something consumes them.
 */
import { fail } from "../base/index.ts";
import { type Explanation, explainField, markdownOf } from "./explain.ts";
import { jsonSchema } from "./json-schema.ts";
import type { Kind } from "./kind.ts";
import { checkListener, LISTENER_SPEC, type ListenerSpec } from "./kind-listener.ts";
import { checkMesh, MESH_SPEC, type MeshSpec } from "./kind-mesh.ts";
import { checkPolicy, POLICY_SPEC, type PolicySpec } from "./kind-policy.ts";
import { checkRoute, ROUTE_SPEC, type RouteSpec } from "./kind-route.ts";
import { checkRouteTest, ROUTE_TEST_SPEC, type RouteTestSpec } from "./kind-test.ts";
import { checkUpstream, UPSTREAM_SPEC, type UpstreamSpec } from "./kind-upstream.ts";
import { nearest } from "./nearest.ts";
import {
  choice,
  defaulted,
  dictionary,
  type FieldsSchema,
  fields,
  type Infer,
  type Json,
  optional,
  required,
  type Schema,
} from "./schema.ts";
import { LABEL_TEXT, NAME_TEXT, PROSE_TEXT } from "./shared-fields.ts";

/** Version of the form of all objects. */
export const API_VERSION = "waymark/v1";

/** Spec of each kind. */
export interface Specs {
  readonly Mesh: MeshSpec;
  readonly Listener: ListenerSpec;
  readonly Route: RouteSpec;
  readonly Upstream: UpstreamSpec;
  readonly Policy: PolicySpec;
  readonly RouteTest: RouteTestSpec;
}

export type KindName = keyof Specs;

export const KINDS: { readonly [K in KindName]: Kind<Specs[K]> } = {
  Mesh: {
    kind: "Mesh",
    plural: "mesh",
    doc: "Defaults and limits of a mesh. While it exists, writes to the objects of the mesh are judged by the store.",
    spec: MESH_SPEC,
    check: checkMesh,
  },
  Listener: {
    kind: "Listener",
    plural: "listeners",
    doc: "An address and port on which chosen gateways take requests.",
    spec: LISTENER_SPEC,
    check: checkListener,
  },
  Route: {
    kind: "Route",
    plural: "routes",
    doc: "Which requests go to which upstreams, and what is done to them on the way.",
    spec: ROUTE_SPEC,
    check: checkRoute,
  },
  Upstream: {
    kind: "Upstream",
    plural: "upstreams",
    doc: "A service behind the gateways: its endpoints, how one is chosen, and the connections to it.",
    spec: UPSTREAM_SPEC,
    check: checkUpstream,
  },
  Policy: {
    kind: "Policy",
    plural: "policies",
    doc: "What is allowed, refused or bounded, for a mesh, for listeners or for routes.",
    spec: POLICY_SPEC,
    check: checkPolicy,
  },
  RouteTest: {
    kind: "RouteTest",
    plural: "tests",
    doc: "A request and the answer that it must get; run at every write that can change it.",
    spec: ROUTE_TEST_SPEC,
    check: checkRouteTest,
  },
};

/** In the order in which a mesh is built up: what is named comes before who names it. */
export const KIND_NAMES: readonly KindName[] = [
  "Mesh",
  "Listener",
  "Upstream",
  "Route",
  "Policy",
  "RouteTest",
];

export const METADATA = fields({
  name: required(
    NAME_TEXT,
    "Name, unique among the objects of its kind in the mesh. A Mesh has the mesh's name.",
  ),
  labels: defaulted(dictionary(LABEL_TEXT, PROSE_TEXT, 32), {}, "For choosing objects; they change nothing."),
  annotations: defaulted(
    dictionary(LABEL_TEXT, PROSE_TEXT, 32),
    {},
    "For people and tools; they change nothing.",
  ),
  owner: optional(LABEL_TEXT, "Team that answers for the object."),
});

export type Metadata = Infer<typeof METADATA>;

const ENVELOPES: ReadonlyMap<KindName, FieldsSchema> = new Map(
  KIND_NAMES.map((kind) => [
    kind,
    fields({
      apiVersion: required(choice(API_VERSION), "Version of this form."),
      kind: required(choice(kind), "Kind."),
      metadata: required(METADATA, "Name, labels and owner."),
      spec: defaulted(KINDS[kind].spec, {}, KINDS[kind].doc),
    }),
  ]),
);

/** Description of a whole object of a kind. */
export function envelopeOf(kind: KindName): FieldsSchema {
  return ENVELOPES.get(kind) ?? fail("a kind has no envelope", { kind });
}

/** Whether a word is the name of a kind. */
export function isKind(word: unknown): word is KindName {
  return typeof word === "string" && Object.hasOwn(KINDS, word);
}

/** The kind meant by "Route", "route" or "routes"; undefined: none. */
export function kindOfWord(word: string): KindName | undefined {
  const lower = word.toLowerCase();
  return KIND_NAMES.find((kind) => kind.toLowerCase() === lower || KINDS[kind].plural === lower);
}

/** Documentation of a field: "route.match.path"; `spec` may be left out. */
export function explain(path: string): Explanation {
  const [word = "", ...steps] = path.split(".");
  const kind = kindOfWord(word);
  if (kind === undefined) {
    const near = nearest(word, KIND_NAMES);
    const hint = near === undefined ? `kinds: ${KIND_NAMES.join(", ")}` : `did you mean ${near}?`;
    return { type: "unknown", message: `there is no kind ${word}; ${hint}` };
  }
  const whole: Schema = envelopeOf(kind);
  const [first] = steps;
  const isTop = first === undefined || Object.hasOwn(whole.fields, first);
  return explainField(whole, KINDS[kind].doc, isTop ? steps : ["spec", ...steps]);
}

/** JSON Schema of the objects of a kind. */
export function kindJsonSchema(kind: KindName): { readonly [name: string]: Json } {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: kind,
    description: KINDS[kind].doc,
    ...jsonSchema(envelopeOf(kind)),
  };
}

/** Markdown page of a kind: every field of its spec. */
export function kindMarkdown(kind: KindName): string {
  return markdownOf(kind, KINDS[kind].spec, KINDS[kind].doc);
}
