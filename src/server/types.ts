/** What a driver is made of: options, and the ports through which everything that it does leaves it. */
import type { ClusterId, MemberId } from "../base/index.ts";
import type {
  BackendDirectory,
  Clock,
  LogDirectory,
  LogFiles,
  Logger,
  PeerTransport,
  Random,
} from "../env/index.ts";
import type { Founder, MemberOptions } from "../member/index.ts";

export interface DriverOptions {
  readonly cluster: ClusterId;
  readonly member: MemberOptions;
  /** Length of a new log segment, bytes (wal/types.ts). */
  readonly segmentBytes: number;
  /**
   * The initial members and their lease, equal at all of them, when this is one of them; undefined: it joins. It
   * counts only for an empty log: whatever a log says is newer.
   */
  readonly founding: { readonly voters: readonly Founder[]; readonly leaseMs: number } | undefined;
  /** Where a member listens for its peers, to be tried in order, of which the replicated state does not say it. */
  readonly addressOf: (id: MemberId) => readonly string[];
}

/** Log files with an end. `close` is idempotent, waits for what runs, and syncs nothing. */
export interface ClosableLogFiles extends LogFiles {
  close(): Promise<void>;
}

export interface DriverPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The directory of the log, as `files` sees it. Read once, before anything is written. */
  readonly directory: LogDirectory;
  readonly files: ClosableLogFiles;
  readonly states: BackendDirectory;
  readonly peers: PeerTransport;
  /** The lock of the data directory, taken before; released last. */
  readonly lock: { release(): Promise<void> };
}
