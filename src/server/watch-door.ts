/**
 * One client connection's watchers, as the services hold them: the member's stream with the time added. The hub calls
 * its readers from inside an apply; here they are called after it, so that a reader may do what it likes.
 */
import type { MonoMs } from "../env/index.ts";
import type { WatchFacade } from "../rpc/facade.ts";
import type { WatchCreate, WatchOutput, WatchStream } from "../watch/types.ts";

export interface DoorHost {
  /** Uses the member between two inputs and arranges its next tick; `otherwise` when it runs no more. */
  use<T>(run: (now: MonoMs) => T, otherwise: T): T;
  /** Calls `run` when what happens now is over. */
  afterwards(run: () => void): void;
}

/** Opens a stream of a member that runs. */
export function openDoor(
  open: (onReady: () => void) => WatchStream,
  onReady: () => void,
  host: DoorHost,
): WatchFacade {
  let isClosed = false;
  const stream = open(() =>
    host.afterwards(() => {
      if (!isClosed) onReady();
    }),
  );
  return {
    create: (request: WatchCreate) => host.use((now) => stream.create(now, request), -1),
    cancel: (watchId: number) => host.use(() => stream.cancel(watchId), undefined),
    requestProgress: () => host.use(() => stream.requestProgress(), undefined),
    take: (): WatchOutput | undefined => host.use(() => stream.take(), undefined),
    get queuedBytes() {
      return stream.queuedBytes;
    },
    get watchers() {
      return stream.watchers;
    },
    close: () => {
      isClosed = true;
      host.use(() => stream.close(), undefined);
    },
  };
}

/** A stream of a member that does not run: nothing ever comes. */
export const CLOSED_DOOR: WatchFacade = {
  create: () => -1,
  cancel: () => undefined,
  requestProgress: () => undefined,
  take: () => undefined,
  queuedBytes: 0,
  watchers: 0,
  close: () => undefined,
};
