/**
 * Who may speak consensus with this member. Judged on the first frame of every connection, in both
 * directions, before any other frame is read; pure, so the simulator judges by the same code.
 *
 * The rule that matters most: a member that lost its data has forgotten its vote and the entries that it
 * acknowledged. Back under its old identity it could vote twice in a term, or let a committed entry disappear
 * (DESIGN §5). The replicated record pins the instance of its data directory; another one is refused
 * here.
 */
import { type ClusterId, hex, type InstanceId, type MemberId } from "../base/index.ts";
import type { PeerStanding } from "../env/index.ts";
import { PEER_PROTOCOL_VERSION, type PeerHello, type PeerVerdict } from "../pb/index.ts";

/** The member that judges. */
export interface LocalMember {
  readonly cluster: ClusterId;
  readonly member: MemberId;
  readonly instance: InstanceId;
}

const ACCEPTED: PeerVerdict = { type: "accepted" };

/**
 * Judges a hello that was decoded. The reason of a refusal is for the logs of both sides and names both values.
 *
 * An unknown member is accepted: whoever was just added knows it from the log, and this member may simply not
 * have applied that entry yet. If it refused, a member that lags could not be caught up by the very leader
 * that it does not know. Nothing is lost by it: the core counts votes and acknowledgements of configured
 * members only.
 */
export function judgeHello(local: LocalMember, standing: PeerStanding, hello: PeerHello): PeerVerdict {
  const reason = addressProblem(local, hello) ?? standingProblem(standing, hello);
  return reason === undefined ? ACCEPTED : { type: "refused", reason };
}

function addressProblem(local: LocalMember, hello: PeerHello): string | undefined {
  const id = hex(hello.member);
  if (hello.version > PEER_PROTOCOL_VERSION) {
    const spoken = `this program speaks (${PEER_PROTOCOL_VERSION})`;
    return `peer protocol version ${hello.version} is newer than ${spoken}`;
  }
  if (hello.cluster !== local.cluster) {
    return `member ${id} is of cluster ${hex(hello.cluster)}, this is cluster ${hex(local.cluster)}`;
  }
  if (hello.to !== local.member) {
    return `member ${id} means member ${hex(hello.to)}, this is member ${hex(local.member)}`;
  }
  if (hello.member === local.member) {
    const instances = `data directory instance ${hex(hello.instance)} here ${hex(local.instance)}`;
    return `member ${id} is this member's own identity ${hex(local.member)} (${instances})`;
  }
  if (hello.instance === local.instance) {
    const same = `data directory instance ${hex(hello.instance)} of this member ${hex(local.member)}`;
    return `member ${id} comes with the ${same}: its data directory is a copy`;
  }
  return undefined;
}

function standingProblem(standing: PeerStanding, hello: PeerHello): string | undefined {
  const id = hex(hello.member);
  if (standing.type === "removed") {
    const cluster = hex(hello.cluster);
    return `member ${id} has been removed from the cluster ${cluster}; identities are not used again`;
  }
  if (standing.type === "unknown") return undefined;
  // Not pinned: it never announced itself, so there is no older life of it to be protected.
  if (standing.pinnedInstance === 0n || standing.pinnedInstance === hello.instance) return undefined;
  return (
    `member ${id} comes with data directory instance ${hex(hello.instance)}, ` +
    `but the cluster knows it with ${hex(standing.pinnedInstance)}: it lost its data, or a copy of it runs. ` +
    "It cannot come back under its old identity, " +
    "because it has forgotten its vote and what it acknowledged. " +
    `Replace it: kvctl member remove ${id}, then kvctl member add <name> --peer-urls=... --learner`
  );
}
