export { type Applied, AppliedState } from "./applied-state.ts";
export { isInConf, MemberRecords, membersOf, type Published } from "./member-records.ts";
export type { RecordChanges } from "./records.ts";
export { type Register, RegisterMap, type WriteBody, type WriteResult } from "./register-map.ts";
export { MAX_SEEN_INSTANCES, RequestsSeen, SEEN_WINDOW } from "./requests-seen.ts";
