/** A state on disk into memory: its index, and never its values, chunk by chunk as the scan gives them. */
import { LOADED_PREFIXES } from "../apply/index.ts";
import type { Backend } from "../env/index.ts";
import { type LoadedState, type MemberOptions, StateLoading } from "../member/index.ts";
import { DriverError } from "./errors.ts";

/**
 * Loads what `backend` holds; values are read from it from then on.
 * @throws DriverError when its records cannot be trusted; the storage's error
 */
export async function loadState(
  options: MemberOptions,
  backend: Backend,
  index: number,
): Promise<LoadedState> {
  const loading = new StateLoading(options, backend.meta, backend);
  await backend.scan(LOADED_PREFIXES, (records) => loading.add(records));
  const loaded = loading.finish();
  if (loaded.type === "refused")
    throw new DriverError("state", `state-${index} cannot be used: ${loaded.reason}`);
  return loaded.state;
}
