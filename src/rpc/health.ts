/** gRPC's health service: the server as a whole serves as long as this process answers, with a leader or without. */
import { CODE } from "../base/index.ts";
import { services } from "../pb/index.ts";
import {
  failed,
  type Method,
  malformed,
  ok,
  type Reply,
  type StreamOutput,
  type StreamSession,
} from "./call.ts";

export function healthMethods(): readonly (readonly [path: string, method: Method])[] {
  return [
    ["/grpc.health.v1.Health/Check", { type: "unary", handle: check }],
    [
      "/grpc.health.v1.Health/Watch",
      { type: "stream", bidi: false, open: (_call, onReady) => new HealthSession(onReady) },
    ],
  ];
}

async function check(bytes: Uint8Array): Promise<Reply> {
  const decoded = services.healthCheckRequest.decode(bytes);
  if (decoded.type === "refused") return failed(malformed(decoded.reason));
  if (decoded.value.service !== "") return failed({ code: CODE.notFound, message: "unknown service" });
  return ok(services.healthCheckResponse.encode({ status: "serving" }));
}

/** Says how it is once; it does not change while there is somebody to say it. */
class HealthSession implements StreamSession {
  readonly wantsInput = true;
  readonly #onReady: () => void;
  #output: StreamOutput | undefined;

  constructor(onReady: () => void) {
    this.#onReady = onReady;
  }

  message(bytes: Uint8Array): void {
    const decoded = services.healthCheckRequest.decode(bytes);
    if (decoded.type === "refused") {
      this.#output = { type: "end", error: malformed(decoded.reason) };
    } else {
      const status = decoded.value.service === "" ? "serving" : "serviceUnknown";
      this.#output = { type: "message", parts: [services.healthCheckResponse.encode({ status })] };
    }
    this.#onReady();
  }

  /** The client only listens from here on. */
  halfClose(): void {
    // The stream stays open until the call is gone.
  }

  take(): StreamOutput | undefined {
    const output = this.#output;
    this.#output = undefined;
    return output;
  }

  close(): void {
    this.#output = undefined;
  }
}
