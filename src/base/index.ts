export { AssertionError, assert, fail, unreachable } from "./assert.ts";
export { bytesOf, concatBytes, EMPTY_BYTES, equalBytes, textOf } from "./bytes.ts";
export { crc32c } from "./crc32c.ts";
export { CODE, type Code, ERR, type KvError } from "./errors.ts";
export { finishHash, mixHash, mixHashBytes, mixHashNumber, mixHashText } from "./hash.ts";
export { Heap } from "./heap.ts";
export {
  type ClusterId,
  compareIds,
  hex,
  type InstanceId,
  MAX_ID,
  type MemberId,
  NO_MEMBER,
} from "./ids.ts";
export { bytesOfLatin1, latin1Of } from "./latin1.ts";
export { LIMITS } from "./limits.ts";
export { runToEnd, type Work } from "./work.ts";
