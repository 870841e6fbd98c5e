/** Records in a map: the core's records where nothing is to be lost. */
import type { Records } from "../../src/env/index.ts";

export class MapRecords implements Records {
  readonly map = new Map<string, Uint8Array>();

  get(name: string): Uint8Array | undefined {
    return this.map.get(name);
  }

  put(name: string, bytes: Uint8Array): void {
    this.map.set(name, bytes);
  }

  append(name: string, bytes: Uint8Array): void {
    this.map.set(name, bytes);
  }

  delete(name: string): void {
    this.map.delete(name);
  }

  /** A copy that shares no bytes with this. */
  clone(): MapRecords {
    const copy = new MapRecords();
    for (const [name, bytes] of this.map) copy.map.set(name, bytes.slice());
    return copy;
  }

  names(): string[] {
    return [...this.map.keys()].sort();
  }
}
