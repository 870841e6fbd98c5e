import { bytesOf, textOf } from "../base/index.ts";
import type { DamagedRecord } from "./types.ts";

/** A value could not be read as it was written. Thrown where a damaged value has no place in the answer. */
export class DamagedError extends Error {
  readonly record: DamagedRecord;

  constructor(record: DamagedRecord) {
    super(`record ${record.record} of key ${showKey(record.key)} is damaged: ${record.reason}`);
    this.name = "DamagedError";
    this.record = record;
  }
}

/** A key for an operator: as text where it is text, else in hex. */
function showKey(key: Uint8Array): string {
  const text = textOf(key);
  const back = bytesOf(text);
  if (back.length === key.length && back.every((byte, i) => byte === key[i])) return JSON.stringify(text);
  return `0x${Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
