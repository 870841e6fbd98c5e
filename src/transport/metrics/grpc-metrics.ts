/** Calls by method and outcome, under the names of go-grpc-prometheus, which etcd uses. */
import type { MethodTable } from "../../rpc/index.ts";
import type { Labels, Registry } from "./registry.ts";

/** Names of gRPC's status codes, by number. */
const CODES = [
  ...["OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists"],
  ...["PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange"],
  ...["Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"],
];

/** Counts calls; the two methods are those that a transport's observer needs. */
export interface CallCounts {
  started(path: string): void;
  handled(path: string, code: number): void;
}

export function registerCalls(registry: Registry, methods: MethodTable): CallCounts {
  const started = registry.counter("grpc_server_started_total", "Calls that began.");
  const handled = registry.counter("grpc_server_handled_total", "Calls that ended, with any outcome.");
  const labelsOf = new Map<string, Labels>();
  for (const [path, method] of methods) {
    const [, service = "", name = ""] = path.split("/");
    const type = method.type === "unary" ? "unary" : method.bidi ? "bidi_stream" : "server_stream";
    labelsOf.set(path, { grpc_service: service, grpc_method: name, grpc_type: type });
  }
  // The same object for the same outcome: the registry writes the text of an object's labels once.
  const outcomes = new Map<string, Labels>();
  const outcomeOf = (path: string, code: number): Labels => {
    const key = `${code} ${path}`;
    const known = outcomes.get(key);
    if (known !== undefined) return known;
    const labels = { ...labelsOf.get(path), grpc_code: CODES[code] ?? `Code(${code})` };
    if (labelsOf.has(path)) outcomes.set(key, labels);
    return labels;
  };
  return {
    started: (path) => started.add(labelsOf.get(path)),
    handled: (path, code) => handled.add(outcomeOf(path, code)),
  };
}
