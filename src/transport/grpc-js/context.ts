/** A call of grpc-js as the services see it. */
import type { Metadata } from "@grpc/grpc-js";
import type { CallContext } from "../../rpc/index.ts";

/** What calls of all kinds have in common here. */
interface AnyCall {
  readonly metadata: Metadata;
  on(event: "cancelled", listener: () => void): unknown;
}

/** Made once: an abort without a reason makes an exception with a stack, and grpc-js ends every call with one. */
const OVER = new Error("the call is over");

/** grpc-js keeps the deadlines of calls: one that passes cancels the call. */
export function contextOf(call: AnyCall): CallContext {
  const abort = new AbortController();
  call.on("cancelled", () => abort.abort(OVER));
  return {
    signal: abort.signal,
    metadata(name) {
      const value = call.metadata.get(name)[0];
      return typeof value === "string" ? value : undefined;
    },
  };
}
