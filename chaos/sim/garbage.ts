/**
 * Peer messages that no member sends: torn, flipped, forged. Only such as a correct member refuses or takes without
 * harm are made; a perfectly valid lie is the business of TLS, not of consensus.
 */
import { LIMITS } from "../../src/base/index.ts";
import { decodeMessage, encodeMessage } from "../../src/pb/index.ts";
import type { Message } from "../../src/raft/types.ts";
import type { Rng } from "./rng.ts";

/** The bytes are damaged: the codec refuses them, or they mean what was sent. */
export const DAMAGED = 1;
/** The bytes decode, and contradict what the receiver can know: `step` refuses them or they change nothing. */
export const IMPOSSIBLE = 2;

/** Makes a forged companion of a real message. The original is not touched. */
export function forge(rng: Rng, bytes: Uint8Array): { readonly bytes: Uint8Array; readonly kind: number } {
  if (rng.int(0, 2) === 0) {
    const impossible = makeImpossible(rng, bytes);
    if (impossible !== undefined) return { bytes: impossible, kind: IMPOSSIBLE };
  }
  return { bytes: damage(rng, bytes), kind: DAMAGED };
}

/**
 * Whether damaged bytes are harmless to deliver: refused by the codec, or equal to a message that the codec itself
 * would write. What decodes to something else may be a valid lie and is not delivered.
 */
export function isRefusedByCodec(bytes: Uint8Array): boolean {
  return decodeMessage(bytes).type === "refused";
}

function damage(rng: Rng, bytes: Uint8Array): Uint8Array {
  const at = rng.int(0, bytes.length);
  switch (rng.int(0, 4)) {
    case 0: {
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] as number) ^ (1 << rng.int(0, 8));
      return flipped;
    }
    case 1:
      return bytes.slice(0, at);
    case 2: {
      const longer = new Uint8Array(bytes.length + 7);
      longer.set(bytes);
      for (let i = bytes.length; i < longer.length; i++) longer[i] = rng.int(0, 256);
      return longer;
    }
    default: {
      // A run of 0xff turns varints into integers beyond every bound.
      const huge = bytes.slice();
      huge.fill(0xff, at, Math.min(at + 10, huge.length));
      return huge;
    }
  }
}

/** A message of the right term, from the right peer, that names positions or rounds that cannot exist. */
function makeImpossible(rng: Rng, bytes: Uint8Array): Uint8Array | undefined {
  const decoded = decodeMessage(bytes);
  if (decoded.type === "refused") return undefined;
  const jump = LIMITS.maxIndex - rng.int(0, 1000);
  const lie = lieOf(decoded.value, jump);
  return lie && encodeMessage(lie);
}

function lieOf(message: Message, jump: number): Message | undefined {
  switch (message.type) {
    case "appendResponse":
      return { ...message, rejected: false, index: jump, hintIndex: 0, hintTerm: 0 };
    case "heartbeat":
      return { ...message, commit: jump };
    case "heartbeatResponse":
      return { ...message, round: jump };
    default:
      return undefined;
  }
}
