/** The first frame of a connection between members. What it means is judged in peer/handshake.ts. */
import { fail } from "../base/index.ts";
import { idProblem, uintProblem } from "./check.ts";
import { type Decoded, PEER_PROTOCOL_VERSION, type PeerHello } from "./types.ts";
import { decodeWith, type Reader, Refusal, readId, readUint, readVersion, skipField } from "./wire-read.ts";
import { begin, finish, putId, putUint } from "./wire-write.ts";

const WHAT = "peer hello";

/**
 * A hello is read before anything is known of its sender: more than this is not one. Leaves room for new
 * fields.
 */
const MAX_HELLO_BYTES = 4096;

/** Purposes by their number on the wire; 0 is none. */
const PURPOSES = [undefined, "consensus", "snapshot"] as const;

/** @throws AssertionError when an identity is missing or the version is not this program's or an older one */
export function encodeHello(hello: PeerHello): Uint8Array {
  const problem = helloProblem(hello);
  if (problem !== undefined) fail(`cannot encode ${WHAT}: ${problem}`);
  const w = begin();
  putUint(w, 1, hello.version);
  putId(w, 2, hello.cluster);
  putId(w, 3, hello.member);
  putId(w, 4, hello.instance);
  putId(w, 5, hello.to);
  putUint(w, 6, PURPOSES.indexOf(hello.purpose));
  return finish(w, WHAT, MAX_HELLO_BYTES);
}

/**
 * Refuses a newer protocol version by name. A hello to its own sender decodes: the handshake names that
 * better.
 */
export function decodeHello(bytes: Uint8Array): Decoded<PeerHello> {
  return decodeWith(WHAT, bytes, MAX_HELLO_BYTES, readHello, helloProblem);
}

function readHello(r: Reader): PeerHello {
  let version = 0;
  let cluster = 0n;
  let member = 0n;
  let instance = 0n;
  let to = 0n;
  let number = 0;
  while (r.pos < r.len) {
    const tag = r.tag();
    switch (tag >>> 3) {
      case 1:
        version = readVersion(r, tag, "peer protocol", PEER_PROTOCOL_VERSION);
        break;
      case 2:
        cluster = readId(r, tag, "cluster");
        break;
      case 3:
        member = readId(r, tag, "member");
        break;
      case 4:
        instance = readId(r, tag, "instance");
        break;
      case 5:
        to = readId(r, tag, "to");
        break;
      case 6:
        number = readUint(r, tag, "purpose");
        break;
      default:
        skipField(r, tag);
    }
  }
  const purpose = PURPOSES[number];
  if (purpose === undefined) throw new Refusal(`purpose ${number} is unknown`);
  return { version, cluster, member, instance, to, purpose };
}

function helloProblem(hello: PeerHello): string | undefined {
  return (
    uintProblem("version", hello.version, 1, PEER_PROTOCOL_VERSION) ??
    idProblem("cluster", hello.cluster) ??
    idProblem("member", hello.member) ??
    idProblem("instance", hello.instance) ??
    idProblem("to", hello.to)
  );
}
