/** Requests in which everything that is not given has its default. */
import { EMPTY_BYTES } from "../../src/base/index.ts";
import { PUT_DEFAULTS, RANGE_DEFAULTS } from "../../src/pb/index.ts";
import type { PutRequest, RangeRequest } from "../../src/pb/kv.ts";
import type { WatchCreate } from "../../src/watch/types.ts";

export function rangeOf(key: Uint8Array, options: Partial<RangeRequest> = {}): RangeRequest {
  return { ...RANGE_DEFAULTS, key, ...options };
}

export function putOf(key: Uint8Array, value: Uint8Array, options: Partial<PutRequest> = {}): PutRequest {
  return { ...PUT_DEFAULTS, key, value, ...options };
}

/** A watch from the next revision on. */
export function watchFrom(key: Uint8Array, options: Partial<WatchCreate> = {}): WatchCreate {
  return {
    key,
    rangeEnd: EMPTY_BYTES,
    startRevision: 0,
    progressNotify: false,
    noPut: false,
    noDelete: false,
    prevKv: false,
    fragment: false,
    watchId: 0,
    ...options,
  };
}
