/**
 * The replicated log as the members applied it, entry by entry, with the operation of a client behind each: what the
 * check of the history goes by. Whoever applied an entry first is believed; the hashes over the state compare the rest.
 */
import { decodeEnvelope, type RequestId } from "../../src/pb/index.ts";
import type { Entry } from "../../src/raft/types.ts";
import type { Driver } from "../../src/server/index.ts";
import type { LogRecord } from "../check/kv-history.ts";
import { violate } from "../sim/violation.ts";
import { identityName } from "../sim/world.ts";

export class CommittedLog {
  /** By index. */
  readonly #entries: ({ readonly entry: Entry; readonly at: number } | undefined)[] = [];
  readonly #operations = new Map<string, number>();

  /** The member of `driver` went from one applied index to another. */
  applied(driver: Driver, from: number, to: number, at: number): void {
    for (let index = from + 1; index <= to; index++) {
      if (this.#entries[index] !== undefined) continue;
      // Not there: it came with a snapshot, so another member has applied it.
      const entry = driver.machine.entryAt(index);
      if (entry !== undefined) this.#entries[index] = { entry, at };
    }
  }

  /** A client's operation goes into the log under this identity, if it gets there. */
  proposed(identity: RequestId, operation: number): void {
    this.#operations.set(identityName(identity), operation);
  }

  /** Requests up to `last`. */
  records(last: number): LogRecord[] {
    const records: LogRecord[] = [];
    for (let index = 1; index <= last; index++) {
      const { entry, at } = this.#entries[index] ?? violate("history", `nobody applied entry ${index}`);
      if (entry.type === "conf" || entry.data.length === 0) continue;
      const decoded = decodeEnvelope(entry.data);
      if (decoded.type === "refused") violate("history", `entry ${index} does not decode: ${decoded.reason}`);
      const { body, requestId } = decoded.value;
      if (body.type !== "kv") continue;
      const identity = identityName(requestId);
      const operation = this.#operations.get(identity);
      records.push({ index, at, identity, operation, request: body.request, refused: undefined });
    }
    return records;
  }
}
