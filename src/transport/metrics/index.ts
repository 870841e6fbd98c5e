export { type CallCounts, registerCalls } from "./grpc-metrics.ts";
export { registerMember } from "./member-metrics.ts";
export { type Counter, type Histogram, type Labels, Registry } from "./registry.ts";
