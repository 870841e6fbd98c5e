/**
 * What is encoded besides the consensus messages of `raft/types.ts`: the entry envelope, the peer handshake and the
 * frames of a snapshot stream. These formats are frozen: later work adds fields, it does not change these.
 */
import type { ClusterId, InstanceId, KvError, MemberId } from "../base/index.ts";
import type { ConfChange, SnapshotMeta } from "../raft/types.ts";
import type { KvRequest } from "./kv.ts";

/** Version of the entry envelope, of the peer protocol, and of the log format, that this build writes. */
export const ENVELOPE_VERSION = 1;
export const PEER_PROTOCOL_VERSION = 1;

/** Identity of a request: the leader takes each once, and apply takes each once. */
export interface RequestId {
  /** The data directory instance of the member that took the request, mixed with its start; 0: no identity. */
  readonly instance: bigint;
  /** Rising by one per request of that instance, from 1. */
  readonly sequence: number;
}

/** What a normal log entry carries (DESIGN §4). */
export interface EntryEnvelope {
  /** At most ENVELOPE_VERSION, or the entry is refused by name. */
  readonly version: number;
  readonly requestId: RequestId;
  /** The authenticated user; empty: none. */
  readonly user: string;
  /** Auth revision at which the request was checked; 0: auth was off. */
  readonly authRevision: number;
  /** Revision at which a guarded write was judged; 0: not guarded (DESIGN §7). */
  readonly guardRevision: number;
  readonly body: EntryBody;
}

export type EntryBody =
  /** A request of etcd's API. Its bytes may be views of the entry's data. */
  | { readonly type: "kv"; readonly request: KvRequest }
  /**
   * A member announces its data directory's instance; the first one pins it (DESIGN §5). With that one it may change
   * its name, which may be empty, and its clients' URLs.
   */
  | {
      readonly type: "publish";
      readonly member: MemberId;
      readonly instance: InstanceId;
      readonly name: string;
      readonly clientUrls: readonly string[];
    }
  /** Where a member listens for its peers from now on; at least one URL. */
  | { readonly type: "updateMember"; readonly member: MemberId; readonly peerUrls: readonly string[] };

/** What is agreed about a member beside its place in the configuration; a record of the applied state. */
export interface MemberRecord {
  /** Of the data directory that it is pinned to; 0: none was announced yet. */
  readonly instance: InstanceId;
  /** Then everything else is empty. */
  readonly removed: boolean;
  /** Empty: none was published yet, or it has none. */
  readonly name: string;
  /** Empty: nobody said it. */
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
}

/**
 * First frame in each direction of every peer connection; no other frame is read before it was accepted.
 */
export interface PeerHello {
  readonly version: number;
  readonly cluster: ClusterId;
  readonly member: MemberId;
  readonly instance: InstanceId;
  /** Whom the sender means to talk to: a misrouted connection is refused. */
  readonly to: MemberId;
  readonly purpose: "consensus" | "snapshot";
}

/**
 * Second frame in each direction of a peer connection, on the other side's hello; and a receiver's last word on a
 * snapshot stream.
 */
export type PeerVerdict =
  | { readonly type: "accepted" }
  /** `reason` is for the logs of both sides; not empty. */
  | { readonly type: "refused"; readonly reason: string };

/** Frames of a snapshot stream, in order: one begin, any number of chunks, one end. */
export type SnapshotFrame =
  | {
      readonly type: "begin";
      readonly stream: number;
      readonly from: MemberId;
      readonly to: MemberId;
      /** The sender's term when it decided to send. */
      readonly term: number;
      readonly meta: SnapshotMeta;
    }
  | {
      readonly type: "chunk";
      readonly stream: number;
      /** From 0, without gaps. */
      readonly sequence: number;
      readonly records: readonly (readonly [key: string, value: Uint8Array])[];
    }
  | {
      readonly type: "end";
      readonly stream: number;
      /** Number of records in all chunks. */
      readonly records: number;
      /** Running hash over all records in order (base/hash.ts), unsigned 32-bit. */
      readonly hash: number;
    };

/** What only the leader does. */
export type RelayedRequest =
  | { readonly type: "leaseKeepAlive"; readonly lease: bigint }
  | { readonly type: "leaseTimeToLive"; readonly lease: bigint; readonly keys: boolean }
  | { readonly type: "changeMembers"; readonly change: ConfChange };

/** What came of it; as `Answer` in member/types.ts, which has the ID of the one who waits. */
export type RelayedAnswer =
  | { readonly type: "leaseKept"; readonly index: number; readonly revision: number; readonly ttl: number }
  | {
      readonly type: "leaseTtl";
      readonly index: number;
      readonly revision: number;
      readonly ttl: number;
      readonly grantedTtl: number;
      readonly keys: readonly Uint8Array[];
    }
  | { readonly type: "changed"; readonly index: number }
  | { readonly type: "refused"; readonly error: KvError }
  | { readonly type: "unknown"; readonly reason: string };

/** `number` is the asking member's, never used twice on a connection, and comes back with the answer. */
export type Relay =
  | { readonly type: "ask"; readonly number: number; readonly request: RelayedRequest }
  | { readonly type: "reply"; readonly number: number; readonly answer: RelayedAnswer };

/** Who the members are, as one of them has applied it; for whoever wants to join. */
export interface PeerDirectory {
  readonly cluster: ClusterId;
  /** Index up to which it has applied: of two lists the higher one is newer. */
  readonly applied: number;
  readonly members: readonly {
    readonly id: MemberId;
    readonly peerUrls: readonly string[];
    /** It has announced a data directory. */
    readonly isStarted: boolean;
  }[];
}

/** Decoding gives a value, or the reason why the bytes were refused. Decoders never throw on bad bytes. */
export type Decoded<T> =
  | { readonly type: "ok"; readonly value: T }
  | { readonly type: "refused"; readonly reason: string };
