/**
 * The peer transport port: consensus messages to and from the other members, and snapshot streams on connections of
 * their own. What it may do is little, because consensus needs little: it may lose, delay, repeat and reorder messages
 * (only what one connection carried is in order). It may not alter one, invent one, or let in a stranger: the bytes of
 * a message come from the member that the handshake proved it to be, and name it as sender.
 */
import type { ClusterId, InstanceId, MemberId } from "../base/index.ts";
import type { PeerDirectory, Relay, SnapshotFrame } from "../pb/types.ts";
import type { ConfState, Message } from "../raft/types.ts";

/** Where another member listens for its peers. */
export interface PeerAddress {
  readonly id: MemberId;
  /** Tried in order: `http://host:port` or `https://host:port`. */
  readonly urls: readonly string[];
}

/** What the local member's applied state says of another one, for the handshake with it (peer/handshake.ts). */
export type PeerStanding =
  | { readonly type: "unknown" }
  | { readonly type: "removed" }
  /** `pinnedInstance`: the only data directory that it may come with; 0: none was announced yet. */
  | { readonly type: "known"; readonly pinnedInstance: InstanceId };

export interface PeerTransport {
  /**
   * Begins to listen and to connect.
   * @throws when the address cannot be listened at
   */
  start(handler: PeerHandler): Promise<void>;
  /**
   * With whom connections are kept up, in place of all before; those with members that were left out are closed. Never
   * the local one. Messages to others are dropped, except to a member that keeps up a connection by itself: whoever
   * joins with an empty log knows nobody, and must answer whoever brings it up.
   */
  setPeers(peers: readonly PeerAddress[]): void;
  /**
   * Takes messages to send now. It never waits and never throws: what it has no room or no connection for is dropped,
   * and `PeerHandler.unreachable` says so, at most once per peer and call, after this call has returned. Heartbeats
   * and what answers them go before what waits; at most `maxUnsentBytes` of other messages wait for one peer.
   */
  send(messages: readonly Message[]): void;
  /**
   * Takes a question to another member, or the answer to one of its own, to be sent now as `send` sends: it never
   * waits, it may be lost, and `PeerHandler.unreachable` says so.
   */
  relay(to: MemberId, relay: Relay): void;
  /** Opens a connection for one snapshot. @throws when the peer cannot be reached or refuses the handshake */
  openSnapshot(to: MemberId, signal: AbortSignal): Promise<SnapshotSink>;
  /** Closes every connection and stops listening. Idempotent. */
  close(): Promise<void>;
}

/** The sending end of one snapshot stream. */
export interface SnapshotSink {
  /** Resolves when there is room for the next frame. @throws when the connection is gone */
  send(frame: SnapshotFrame): Promise<void>;
  /** After the end frame: whether the other side has all of it durably. @throws when the connection is gone */
  finish(): Promise<boolean>;
  /** Closes the connection, at any time. Idempotent. */
  close(): void;
}

/** What the transport needs of the member that it works for. Called from the event loop, never from inside `send`. */
export interface PeerHandler {
  readonly cluster: ClusterId;
  readonly member: MemberId;
  readonly instance: InstanceId;
  standing(id: MemberId): PeerStanding;
  /** What a stranger hears who wants to join: the members, as applied here. */
  directory(): PeerDirectory;
  /** A message that decoded, from the member that the handshake proved and to this one. */
  receive(message: Message): void;
  /** A question or an answer of the member that the handshake proved. */
  relayed(from: MemberId, relay: Relay): void;
  /** Messages to the peer were lost, or its connection broke. */
  unreachable(peer: MemberId): void;
  /** A peer opened a snapshot stream. A second one of the same peer takes the first one's place. */
  snapshot(from: MemberId): SnapshotTaker;
}

/** The receiving end of one snapshot stream. */
export interface SnapshotTaker {
  /**
   * Takes the next frame; the next one is read only when this has resolved. `done`: all of it is durable here, and the
   * sender is told so; `refused`: the sender is told that, and the connection is closed.
   */
  take(frame: SnapshotFrame): Promise<"more" | "done" | "refused">;
  /** The connection is gone before the end. */
  gone(): void;
}

/** Members of a configuration, each once. */
export function membersOf(conf: ConfState): readonly MemberId[] {
  return [...new Set([...conf.voters, ...conf.votersOutgoing, ...conf.learners, ...conf.learnersNext])];
}
