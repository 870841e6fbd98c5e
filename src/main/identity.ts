/**
 * Who a member is. Identities of an initial cluster are derived, so that its members agree on them without having
 * talked: SHA-256 over what the flags say of the cluster, of which the first eight bytes are the ID.
 *
 *     cluster  token, lease, and of every member its name and URLs, sorted
 *     member   the same for itself, and the cluster's ID
 *
 * The length of the replicated leader lease is part of it, because it is part of the first entry of the log, which all
 * initial members must hold alike: members started with other election timeouts are another cluster and refuse each
 * other.
 */
import { createHash } from "node:crypto";
import type { ClusterId, MemberId } from "../base/index.ts";
import type { InitialMember, KvdConfig } from "./flags.ts";

/** Share of the election timeout that the leader's lease lasts: its promise, 1.1 times that, ends before a timeout. */
const LEASE_SHARE = 0.75;

/** An initial cluster, the same at each of its members. */
export interface FoundingCluster {
  readonly cluster: ClusterId;
  /** Length of the leader's lease, ms; used by members that read in lease mode. */
  readonly leaseMs: number;
  readonly members: readonly (InitialMember & { readonly id: MemberId })[];
}

/** The cluster that flags describe. */
export function foundingCluster(config: KvdConfig): FoundingCluster {
  const leaseMs = Math.floor(config.electionTimeoutMs * LEASE_SHARE);
  const described = config.initialCluster.map(describe).sort();
  const cluster = idOf(["waymark cluster", config.initialClusterToken, String(leaseMs), ...described]);
  const members = config.initialCluster.map((member) => ({
    ...member,
    id: idOf(["waymark member", cluster.toString(16), describe(member)]),
  }));
  return { cluster, leaseMs, members };
}

function describe({ name, peerUrls }: InitialMember): string {
  return [name, ...[...peerUrls].sort()].join("\n");
}

/** Parts are told apart by their lengths, so no two lists give the same bytes. 0 is no identity. */
function idOf(parts: readonly string[]): bigint {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  const id = hash.digest().readBigUInt64BE(0);
  return id === 0n ? 1n : id;
}
