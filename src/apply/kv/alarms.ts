/**
 * The alarms that are on: per member and kind, switched by entries of the log, saved as records. What they forbid is
 * decided in `kv-state.ts`. etcd: etcdserver/api/v3alarm.
 */
import { fail } from "../../base/index.ts";
import type { Records } from "../../env/index.ts";
import type { AlarmType } from "../../pb/kv.ts";

/** First letter of the names of alarm records. Then the kind's letter, then the member's ID as 16 hex digits. */
export const ALARM_PREFIX = "a";

/** One alarm that is on. */
export interface Alarm {
  readonly member: bigint;
  readonly alarm: AlarmType;
}

const LETTER = { nospace: "n", corrupt: "c" } as const satisfies Record<AlarmType, string>;
const NAME = /^a([nc])([0-9a-f]{16})$/;
/** Records hold one byte, the version of their format: a backend need not carry empty values. */
const VALUE = 1;

export class Alarms {
  readonly #records: Records;
  readonly #active = new Map<string, Alarm>();
  #nospace = 0;
  #corrupt = 0;

  constructor(records: Records) {
    this.#records = records;
  }

  /** Whether any member raised NOSPACE. */
  get isFull(): boolean {
    return this.#nospace > 0;
  }

  /** Whether any member raised CORRUPT. */
  get isCorrupt(): boolean {
    return this.#corrupt > 0;
  }

  /** All that are on, in order of kind (corrupt first), then of member. */
  list(): readonly Alarm[] {
    return [...this.#active.keys()].sort().map((name) => this.#active.get(name) ?? fail("an alarm is gone"));
  }

  /** Switches an alarm on; one that is on already stays. */
  activate(alarm: Alarm): void {
    if (!this.#add(alarm)) return;
    this.#records.put(recordOf(alarm), new Uint8Array([VALUE]));
  }

  /** Switches an alarm off. False: it was not on. */
  deactivate(alarm: Alarm): boolean {
    const name = recordOf(alarm);
    if (!this.#active.delete(name)) return false;
    this.#count(alarm, -1);
    this.#records.delete(name);
    return true;
  }

  /** Takes a saved record, while loading. Returns what is wrong with it, or undefined. */
  load(name: string, bytes: Uint8Array): string | undefined {
    const parts = NAME.exec(name);
    if (parts === null) return `record ${JSON.stringify(name)} has no alarm's name`;
    if (bytes.length !== 1 || bytes[0] !== VALUE) return `record ${JSON.stringify(name)} is malformed`;
    const alarm = parts[1] === LETTER.nospace ? "nospace" : "corrupt";
    if (!this.#add({ member: BigInt(`0x${parts[2]}`), alarm }))
      return `record ${JSON.stringify(name)} comes twice`;
    return undefined;
  }

  #add(alarm: Alarm): boolean {
    const name = recordOf(alarm);
    if (this.#active.has(name)) return false;
    this.#active.set(name, alarm);
    this.#count(alarm, 1);
    return true;
  }

  #count(alarm: Alarm, change: number): void {
    if (alarm.alarm === "nospace") this.#nospace += change;
    else this.#corrupt += change;
  }
}

function recordOf({ member, alarm }: Alarm): string {
  return ALARM_PREFIX + LETTER[alarm] + BigInt.asUintN(64, member).toString(16).padStart(16, "0");
}
