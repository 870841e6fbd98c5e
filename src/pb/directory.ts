/**
 * What a member that joins asks before it has an identity, and what it is told: who the members are and where they
 * listen. The only thing that a stranger hears of a member, as with etcd's /members on the peer port.
 */
import { fail } from "../base/index.ts";
import { flag, list, memberId, message, nested, texts, uint32, uint64 } from "./fields.ts";
import { type Decoded, PEER_PROTOCOL_VERSION, type PeerDirectory } from "./types.ts";

/** PeerHello of raft.proto, as far as it is a look-up. */
const lookup = message("peer look-up", { lookup: nested(14, message("look-up", { version: uint32(1) })) });
/** Tag of its field 14; every hello begins with another. */
const LOOKUP_TAG = 0x72;

const listed = message("listed peer", { id: memberId(1), peerUrls: texts(2), isStarted: flag(3) });
const directory = message("peer directory", {
  version: uint32(1),
  cluster: memberId(2),
  applied: uint64(3),
  members: list(4, listed),
});

/** The first frame of a connection on which nothing but the directory is asked for. */
export function encodeLookup(): Uint8Array {
  return lookup.encode({ lookup: { version: PEER_PROTOCOL_VERSION } });
}

/** Whether the first frame of a connection is a look-up. A newer one is answered as this version answers. */
export function isLookup(bytes: Uint8Array): boolean {
  return bytes[0] === LOOKUP_TAG && lookup.decode(bytes).type === "ok";
}

/** @throws AssertionError when there is no cluster, or a number is out of range */
export function encodeDirectory(value: PeerDirectory): Uint8Array {
  if (value.cluster === 0n) fail("cannot encode peer directory: cluster is missing");
  return directory.encode({ version: PEER_PROTOCOL_VERSION, ...value });
}

/** Refuses a newer version by name, and one of no cluster. */
export function decodeDirectory(bytes: Uint8Array): Decoded<PeerDirectory> {
  const decoded = directory.decode(bytes);
  if (decoded.type === "refused") return decoded;
  const { version, cluster, applied, members } = decoded.value;
  if (version > PEER_PROTOCOL_VERSION) {
    const reason = `peer protocol version ${version} is newer than this program speaks (${PEER_PROTOCOL_VERSION})`;
    return { type: "refused", reason };
  }
  if (cluster === 0n) return { type: "refused", reason: "peer directory: cluster is missing" };
  return { type: "ok", value: { cluster, applied, members } };
}
