export { canonicalBytes, canonicalText, mustCanonicalText } from "./canonical.ts";
export type { Reference } from "./check-value.ts";
export type { CompiledPolicy, Verdict } from "./compiled-policy.ts";
export type { CompiledRoute } from "./compiled-route.ts";
export type { RouteRequest } from "./conditions.ts";
export {
  type Decision,
  decide,
  type ExplainedDecision,
  explainDecision,
  type NearMiss,
  type Outcome,
} from "./decide.ts";
export { changeDigest, digestText, EMPTY_DIGEST, meshDigest, objectDigest, type Sha256 } from "./digest.ts";
export type { Explanation, FieldDoc } from "./explain.ts";
export {
  addedFindings,
  compareFindings,
  FINDING_CODES,
  type Finding,
  type FindingCode,
  findingText,
  MAX_FINDINGS,
  refusalText,
} from "./finding.ts";
export {
  type Change,
  type ChangeSet,
  type Judgement,
  Judging,
  judge,
  MAX_CHANGE_BYTES,
  MAX_CHANGES,
  UNITS_PER_MS,
  validate,
  validating,
} from "./judge.ts";
export {
  changeKey,
  endpointKey,
  idText,
  livePrefix,
  type ObjectId,
  objectKey,
  type ParsedKey,
  parseKey,
  ROOT,
  statusKey,
  targetKey,
} from "./keys.ts";
export {
  API_VERSION,
  explain,
  isKind,
  KIND_NAMES,
  KINDS,
  type KindName,
  kindJsonSchema,
  kindMarkdown,
  kindOfWord,
  type Metadata,
  type Specs,
} from "./kinds.ts";
export { Model } from "./model.ts";
export { normalizeHost, normalizePath } from "./normalize.ts";
export { findingsOf } from "./object-findings.ts";
export {
  type BrokenObject,
  type ConfigObject,
  MAX_OBJECT_BYTES,
  type ParsedObject,
  parseObject,
  type ReadDocument,
  readDocument,
} from "./objects.ts";
export { requestOf } from "./route-test.ts";
export type { Json } from "./schema.ts";
export { BUILT_IN_TIMEOUTS, type Compiled, retryOf, type Snapshot, timeoutsOf } from "./snapshot.ts";
export { SortedMap } from "./sorted-map.ts";
