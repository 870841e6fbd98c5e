export type {
  CallContext,
  Method,
  MethodTable,
  Reply,
  StreamHandler,
  StreamOutput,
  StreamSession,
  UnaryHandler,
} from "./call.ts";
export {
  DEFAULT_RPC_OPTIONS,
  type RpcOptions,
} from "./context.ts";
export { errorOf, type Status, statusOf } from "./error-map.ts";
export type { MemberFacade, RaisedAlarm, StoreFacts, WatchFacade } from "./facade.ts";
export { type CheckName, checkHealth, type Health, PROBES, runChecks } from "./health-checks.ts";
export { createServices, type Services } from "./services.ts";
