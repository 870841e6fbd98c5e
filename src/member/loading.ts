/**
 * A saved state on its way into a member: fed record by record while the driver scans the backend, so that a state
 * larger than memory is never held as a whole. Loading ends before the member is given anything (`openMember`,
 * `Member.snapshotInstalled`), which keeps both of them one synchronous step.
 */
import { AppliedLoader, type AppliedOptions, type AppliedState } from "../apply/index.ts";
import { fail, runToEnd, type Work } from "../base/index.ts";
import type { BackendMeta, BackendRecord, BackendState, RecordReader } from "../env/index.ts";
import { Changes } from "./state.ts";
import type { MemberOptions } from "./types.ts";

/** A state that a member can take over. Used once. */
export interface LoadedState {
  readonly meta: BackendMeta;
  readonly applied: AppliedState;
  readonly changes: Changes;
}

export type LoadResult =
  | { readonly type: "ok"; readonly state: LoadedState }
  | { readonly type: "refused"; readonly reason: string };

/** Takes the records of a state whose names begin with LOADED_PREFIXES, in order of names; then `finish`. */
export class StateLoading {
  readonly #meta: BackendMeta;
  readonly #changes = new Changes();
  readonly #loader: AppliedLoader;

  /** @param below where its records are read from now on; undefined: they are kept in memory, and all are wanted */
  constructor(options: MemberOptions, meta: BackendMeta, below: RecordReader | undefined) {
    this.#meta = meta;
    this.#loader = new AppliedLoader(meta, appliedOptions(options, this.#changes, below));
  }

  add(records: readonly BackendRecord[]): void {
    this.#loader.add(records);
  }

  /** The state, or why its records cannot be trusted. Only once. */
  finish(): LoadResult {
    return runToEnd(this.finishing());
  }

  /**
   * As `finish`, in steps, because a million keys take a second: yields about how many keys or revisions it has been
   * through since it last did, at most a few thousand, each a fraction of a microsecond.
   */
  *finishing(): Work<LoadResult> {
    const loaded = yield* this.#loader.finishing();
    if (loaded.type === "refused") return loaded;
    return { type: "ok", state: { meta: this.#meta, applied: loaded.state, changes: this.#changes } };
  }
}

/** Loads a state that lies in memory as a whole; one that is loaded already is given back. */
export function loadWhole(
  options: MemberOptions,
  state: BackendState | LoadedState,
  below: RecordReader | undefined,
): LoadResult {
  if ("applied" in state) return { type: "ok", state };
  const loading = new StateLoading(options, state, below);
  for (const name of [...state.records.keys()].sort()) {
    loading.add([[name, state.records.get(name) ?? fail("a record is gone", { name })]]);
  }
  return loading.finish();
}

/** Index, term and configuration of a state in either form. */
export function metaOf(state: BackendState | LoadedState): BackendMeta {
  return "applied" in state ? state.meta : state;
}

function appliedOptions(
  options: MemberOptions,
  changes: Changes,
  below: RecordReader | undefined,
): AppliedOptions {
  const rest = { listener: changes, leases: { checkpointIntervalMs: options.leaseCheckpointMs } };
  return below === undefined ? rest : { ...rest, below };
}
