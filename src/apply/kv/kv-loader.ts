/** The key-value state from its records: store, leases, alarms, and which keys hang on which lease. */
import { fail, hex, runToEnd, type Work } from "../../base/index.ts";
import type { Records } from "../../env/index.ts";
import { LEASE_PREFIX, Lessor, type LessorOptions } from "../../lease/index.ts";
import { CHANGE_PREFIX, FLOOR_RECORD, type KeyMeta, Store, VALUE_PREFIX } from "../../mvcc/index.ts";
import { ALARM_PREFIX, Alarms } from "./alarms.ts";
import { KvState } from "./kv-state.ts";
import type { ChangeListener } from "./types.ts";

/** First letters of the records that the loader needs, in no order. */
export const KV_LOADED_PREFIXES: readonly string[] = [
  CHANGE_PREFIX,
  FLOOR_RECORD,
  LEASE_PREFIX,
  ALARM_PREFIX,
];

/** The state as a member has it. */
export type KvStateOfMember = KvState<Store, Lessor>;

/** Whether a record of this name belongs to the key-value state. Those of values are kept and never loaded. */
export function isKvRecord(name: string): boolean {
  const prefix = name[0];
  return (
    prefix === CHANGE_PREFIX ||
    prefix === VALUE_PREFIX ||
    prefix === LEASE_PREFIX ||
    prefix === ALARM_PREFIX ||
    prefix === FLOOR_RECORD
  );
}

export type LoadedKv =
  | { readonly type: "ok"; readonly state: KvStateOfMember }
  | { readonly type: "refused"; readonly reason: string };

export class KvLoader {
  readonly #listener: ChangeListener;
  readonly #store: ReturnType<typeof Store.loader>;
  readonly #leases: ReturnType<typeof Lessor.loader>;
  readonly #alarms: Alarms;
  #problem: string | undefined;

  /** @param records where the state reads and writes from now on. They must hold what is added here. */
  constructor(records: Records, listener: ChangeListener, leaseOptions: LessorOptions = {}) {
    this.#listener = listener;
    this.#store = Store.loader(records);
    this.#leases = Lessor.loader(records, leaseOptions);
    this.#alarms = new Alarms(records);
  }

  /** Takes the next record, in order of name. Records of values may be left out. */
  add(name: string, bytes: Uint8Array): void {
    switch (name[0]) {
      case VALUE_PREFIX:
        return;
      case CHANGE_PREFIX:
      case FLOOR_RECORD:
        this.#store.add(name, bytes);
        return;
      case LEASE_PREFIX:
        this.#leases.add(name, bytes);
        return;
      case ALARM_PREFIX:
        this.#problem ??= this.#alarms.load(name, bytes);
        return;
      default:
        fail("not a record of the key-value state", { name });
    }
  }

  /** The state, or why its records cannot be trusted, naming one of them. */
  finish(): LoadedKv {
    return runToEnd(this.finishing());
  }

  /** As `finish`, in steps: yields about how many keys or revisions it has been through. Only one of them, and once. */
  *finishing(): Work<LoadedKv> {
    const leases = this.#leases.finish();
    let stray: string | undefined;
    // The keys know their lease, so the leases learn their keys from them.
    const store = yield* this.#store.finishing((meta) => {
      if (leases.type === "refused" || leases.lessor.attach(meta.lease, meta.key)) return;
      stray ??= strayKey(meta);
    });
    if (store.type === "refused") return store;
    if (leases.type === "refused") return leases;
    const problem = this.#problem ?? stray;
    if (problem !== undefined) return { type: "refused", reason: problem };
    const parts = {
      store: store.store,
      leases: leases.lessor,
      alarms: this.#alarms,
      listener: this.#listener,
    };
    return { type: "ok", state: new KvState(parts) };
  }
}

function strayKey({ lease, modRevision, sub }: KeyMeta): string {
  const id = hex(BigInt.asUintN(64, lease));
  return `revision ${modRevision}.${sub} puts its key on lease ${id}, and there is no record of it`;
}
