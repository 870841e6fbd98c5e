/** Fields of log lines that several files write. */
import { hex, type MemberId } from "../base/index.ts";
import type { LogFields } from "../env/index.ts";
import type { SnapshotHeader } from "../member/index.ts";

/** A snapshot stream, and what became of it. */
export function streamFields({ stream, to, term }: SnapshotHeader, reason: string): LogFields {
  return { stream, to: hex(to), term, reason };
}

/** The text of a thrown value. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A snapshot stream that comes in, and why it ended. */
export function takerFields(from: MemberId, reason: unknown): LogFields {
  return { from: hex(from), reason: typeof reason === "string" ? reason : reasonOf(reason) };
}
