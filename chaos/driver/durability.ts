/**
 * No message promises what its sender could forget: judged by reading the sender's log as a power cut at this very
 * moment would leave it, with the real recovery. The driver's own word for what is durable counts for nothing here.
 */
import { hex } from "../../src/base/index.ts";
import type { RecoveredLog } from "../../src/env/index.ts";
import type { Message } from "../../src/raft/types.ts";
import { recoverWal } from "../../src/wal/index.ts";
import { Rng } from "../sim/rng.ts";
import { violate } from "../sim/violation.ts";
import type { DriverMachine } from "./machine.ts";

/** Reading a log costs a part of a millisecond, so only one promise in so many is looked at. */
const LOOK_AT_ONE_IN = 10;

export interface DurabilityHost {
  readonly seed: number;
  readonly cluster: bigint;
  readonly segmentBytes: number;
  readonly machines: readonly DriverMachine[];
}

export class Durability {
  readonly #host: DurabilityHost;
  readonly #rng: Rng;
  /** Promises that were looked at. */
  judged = 0;

  constructor(host: DurabilityHost) {
    this.#host = host;
    this.#rng = new Rng(host.seed, "durability");
  }

  /** A message leaves a process. */
  sent(slot: number, message: Message): void {
    const claim = claimOf(message);
    if (claim === undefined || this.#rng.int(0, LOOK_AT_ONE_IN) !== 0) return;
    this.judged++;
    const machine = this.#host.machines[slot];
    if (machine === undefined) return;
    const log = this.#durableLog(machine);
    const { hardState, base, entries } = log;
    const what = `member ${slot} sends ${message.type} of term ${message.term}`;
    if (hardState.term < claim.term)
      violate("term-durable-before-sent", `${what}, its log is in ${hardState.term}`);
    const isOwnTerm = hardState.term === claim.term;
    if (claim.vote !== undefined && isOwnTerm && hardState.vote !== claim.vote) {
      violate("vote-durable-before-sent", `${what}, its vote is for ${hex(hardState.vote)}`);
    }
    const last = base.index + entries.length;
    if (isOwnTerm && last < claim.index) {
      violate("ack-durable-before-sent", `${what} up to ${claim.index}, its log ends at ${last}`);
    }
  }

  #durableLog(machine: DriverMachine): RecoveredLog {
    const { cluster, segmentBytes } = this.#host;
    const { id, instance } = machine.options;
    const options = { segmentBytes, cluster, member: id, instance };
    const recovery = recoverWal(machine.disk.durableView(), options);
    if (recovery.type === "ok") return recovery.recovered;
    if (recovery.type === "refused") {
      violate("recovery-keeps-durable", `member ${machine.slot}: ${recovery.file}: ${recovery.reason}`);
    }
    return violate("recovery-keeps-durable", `member ${machine.slot} speaks and has no log`);
  }
}

interface Claim {
  readonly term: number;
  /** For whom it has voted in this term. */
  readonly vote?: bigint;
  /** It holds all entries up to this. */
  readonly index: number;
}

function claimOf(message: Message): Claim | undefined {
  switch (message.type) {
    case "appendResponse":
      return message.rejected ? undefined : { term: message.term, index: message.index };
    case "voteRequest":
      return message.pre ? undefined : { term: message.term, vote: message.from, index: 0 };
    case "voteResponse":
      return message.pre || !message.granted ? undefined : { term: message.term, vote: message.to, index: 0 };
    case "heartbeatResponse":
      return message.promised ? { term: message.term, index: 0 } : undefined;
    default:
      return undefined;
  }
}
