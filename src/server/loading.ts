/** A state on disk into memory: its index, and never its values, chunk by chunk as the scan gives them. */
import { LOADED_PREFIXES } from "../apply/index.ts";
import type { Work } from "../base/index.ts";
import type { Backend, Clock } from "../env/index.ts";
import { type LoadedState, type MemberOptions, StateLoading } from "../member/index.ts";
import { DriverError } from "./errors.ts";

/** Keys or revisions between two turns of the event loop: a millisecond, or four when caches are shared with others. */
const UNITS_PER_TURN = 2048;

/**
 * Loads what `backend` holds; values are read from it from then on. Other events have their turn meanwhile.
 * @throws DriverError when its records cannot be trusted; the storage's error
 */
export async function loadState(
  options: MemberOptions,
  backend: Backend,
  index: number,
  clock: Clock,
): Promise<LoadedState> {
  const loading = new StateLoading(options, backend.meta, backend);
  await backend.scan(LOADED_PREFIXES, (records) => loading.add(records));
  const loaded = await inTurns(loading.finishing(), clock);
  if (loaded.type === "refused")
    throw new DriverError("state", `state-${index} cannot be used: ${loaded.reason}`);
  return loaded.state;
}

/** Runs the work to its end, giving way to other events now and then. */
async function inTurns<T>(work: Work<T>, clock: Clock): Promise<T> {
  let left = UNITS_PER_TURN;
  for (let next = work.next(); ; next = work.next()) {
    if (next.done === true) return next.value;
    left -= next.value;
    if (left > 0) continue;
    await clock.giveWay();
    left = UNITS_PER_TURN;
  }
}
