/** Asking a member who the members are, without being one: what a process does that joins a cluster. */
import { connect } from "node:net";
import type { Clock } from "../env/index.ts";
import { decodeDirectory, encodeLookup, type PeerDirectory } from "../pb/index.ts";
import { FrameReader, framed } from "./frames.ts";
import { parsePeerUrl } from "./options.ts";

/** 64 members with all their URLs at their longest fit. */
const MAX_DIRECTORY_BYTES = 2 * 1024 * 1024;

/**
 * The members as the member at this URL has applied them; it may lag behind the others.
 * @param url `http://host:port`; certificates are not there yet
 * @throws Error that names the URL and what happened
 */
export function lookUp(url: string, clock: Clock, timeoutMs: number): Promise<PeerDirectory> {
  const { host, port, isTls } = parsePeerUrl(url);
  if (isTls) return Promise.reject(new Error(`${url}: a member can be looked up by http only`));
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const reader = new FrameReader(MAX_DIRECTORY_BYTES);
    const end = (reason: string): void => {
      cancel();
      socket.destroy();
      // After an answer this says nothing any more.
      reject(new Error(`${url}: ${reason}`));
    };
    const cancel = clock.wakeAt(clock.now() + timeoutMs, () => end(`no answer within ${timeoutMs} ms`));
    socket.on("connect", () => {
      for (const chunk of framed([encodeLookup()])) socket.write(chunk);
    });
    socket.on("data", (chunk: Uint8Array) => {
      reader.push(chunk);
      const frame = reader.next();
      if (reader.refusal !== undefined) end(reader.refusal);
      if (frame === undefined) return;
      const decoded = decodeDirectory(frame);
      if (decoded.type === "ok") resolve(decoded.value);
      end(decoded.type === "ok" ? "answered" : decoded.reason);
    });
    socket.on("error", (error) => end(error.message));
    socket.on("close", () => end("closed before it answered"));
  });
}
