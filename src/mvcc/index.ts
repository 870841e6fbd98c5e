export { DamagedError } from "./damaged.ts";
export type { HashJob, HashResult } from "./hash.ts";
export { CHANGE_PREFIX, FLOOR_RECORD, VALUE_PREFIX } from "./records.ts";
export { FIRST_REVISION, REVISION_OVERHEAD_BYTES } from "./state.ts";
export { Store, type StoreLoader } from "./store.ts";
export type {
  Change,
  ChangeSet,
  CountWork,
  DamagedRecord,
  KeyMeta,
  KeyPage,
  KeyRange,
  PageBounds,
  Resolved,
  SlicedReader,
  StoreView,
  WriteTxn,
} from "./types.ts";
export { readingWork } from "./work.ts";
