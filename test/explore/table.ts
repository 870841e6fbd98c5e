/**
 * Numbers for everything that the explorer meets, so that a state of the world is a handful of integers.
 *
 * A member's next state depends only on its state and its input. There are far fewer states of one member
 * than of the world, so each (member state, input) is computed once by the core itself and looked up ever
 * after: the search over worlds runs on the table. A member state is made again, when needed, by repeating
 * the inputs that led to it.
 */
import type { Message } from "../../src/raft/index.ts";
import type { Ghost } from "./ghosts.ts";
import { type Disk, type Input, LocalMember, type LocalSetup, type RaftClass } from "./local.ts";

/** What an input makes of a member: its next state, and the tokens (messages, ghosts) that came of it. */
export interface Transition {
  readonly next: number;
  readonly tokens: readonly number[];
}

/** One state of one member. */
export interface LocalState {
  readonly member: number;
  readonly role: string;
  readonly term: number;
  /** Term on the disk: messages that answer something older can never count again. */
  readonly durableTerm: number;
  readonly isVoter: boolean;
  readonly hasBatchOut: boolean;
  readonly hasLiveLeader: boolean;
  /** Content of the log, for Log Matching. */
  readonly log: readonly string[];
  readonly disk: Disk;
  /** How it was reached: from `parent` by `input`; undefined: it is a start from `disk`. */
  readonly from: { readonly parent: number; readonly input: number } | undefined;
  /** By input. */
  readonly transitions: (Transition | undefined)[];
}

/** A message, or a fact that the explorer remembers. */
export interface Token {
  /** Receiving member; -1 for facts and for messages to nobody here. */
  readonly to: number;
  readonly message: Message | undefined;
  readonly ghost: Ghost | undefined;
  /** Above this term on the receiver's disk the message is stale. */
  readonly staleAbove: number;
  /** What a stale one still does: 0 nothing; otherwise a bit, and all with the same bit do the same. */
  readonly staleClass: number;
  /** Random words of the set hash. */
  readonly hash1: number;
  readonly hash2: number;
}

/** Inputs as numbers: below 16 the simple ones, then reads by committed index, then deliveries. */
export const INPUT = {
  timeout: 0,
  heartbeat: 1,
  quorumLost: 2,
  persist: 3,
  crash: 4,
  propose: 5,
  change: 6,
} as const;
const READ = 16;
const DELIVER = 64;
const SIMPLE = ["timeout", "heartbeat", "quorumLost", "persist", "crash", "propose"] as const;
/** Two bits for each pair of members must fit into 32. */
const MAX_MEMBERS = 4;
/** Live members kept ready to go on from where they stand. */
const MAX_LIVE = 20_000;

export function readInput(committed: number): number {
  return READ + committed;
}

export function deliverInput(token: number, late: boolean): number {
  return DELIVER + token * 2 + (late ? 1 : 0);
}

export class Table {
  readonly states: LocalState[] = [];
  readonly tokens: Token[] = [];
  /** Times that the core itself was asked. */
  computed = 0;
  readonly #raftClass: RaftClass;
  readonly #setups: readonly LocalSetup[];
  readonly #change: string;
  readonly #stateByKey = new Map<string, number>();
  readonly #tokenByKey = new Map<string, number>();
  readonly #live = new Map<number, LocalMember>();
  #seed = 1;

  /** @param change the configuration change that the input `change` proposes */
  constructor(raftClass: RaftClass, setups: readonly LocalSetup[], change: string) {
    this.#raftClass = raftClass;
    this.#setups = setups;
    this.#change = change;
  }

  /** The state of `member` after a start from `disk`. */
  start(member: number, disk: Disk): number {
    const setup = this.#setups[member] as LocalSetup;
    return this.#intern(new LocalMember(this.#raftClass, setup, disk), member, undefined);
  }

  /** What `input` makes of `state`. @throws Error from the core's assertions and from `local.ts` */
  transition(state: number, input: number): Transition {
    const { transitions } = this.states[state] as LocalState;
    let transition = transitions[input];
    if (transition === undefined) {
      transition = this.#compute(state, input);
      transitions[input] = transition;
    }
    return transition;
  }

  decode(input: number): Input {
    if (input === INPUT.change) return { type: "change", change: this.#change };
    if (input < READ) return { type: SIMPLE[input] as (typeof SIMPLE)[number] };
    if (input < DELIVER) return { type: "read", committed: input - READ };
    const message = this.tokens[(input - DELIVER) >> 1]?.message;
    if (message === undefined) throw new Error(`input ${input} delivers no message`);
    return { type: "deliver", message, late: (input & 1) === 1 };
  }

  #compute(at: number, code: number): Transition {
    this.computed++;
    const state = this.states[at] as LocalState;
    const input = this.decode(code);
    if (input.type === "crash") return { next: this.start(state.member, state.disk), tokens: [] };
    const member = this.#revive(at);
    const { messages, ghosts } = member.step(input);
    const next = this.#intern(member, state.member, { parent: at, input: code });
    const tokens = messages.map((m) => this.#token(this.#memberOf(m.to), m, undefined));
    for (const ghost of ghosts) tokens.push(this.#token(-1, undefined, ghost));
    return { next, tokens };
  }

  /** A live member in `state`, to be used up by one input. */
  #revive(at: number): LocalMember {
    const live = this.#live.get(at);
    if (live !== undefined) {
      this.#live.delete(at);
      return live;
    }
    const path: number[] = [];
    let state = this.states[at] as LocalState;
    while (state.from !== undefined) {
      path.push(state.from.input);
      state = this.states[state.from.parent] as LocalState;
    }
    const member = new LocalMember(this.#raftClass, this.#setups[state.member] as LocalSetup, state.disk);
    for (const code of path.reverse()) {
      const input = this.decode(code);
      if (input.type === "crash") throw new Error("a crash begins a path, it is never inside one");
      member.step(input);
    }
    return member;
  }

  #intern(live: LocalMember, member: number, from: LocalState["from"]): number {
    const key = live.key();
    const known = this.#stateByKey.get(key);
    if (known !== undefined) return known;
    const { raft } = live;
    const log: string[] = [];
    for (let i = 1; i <= raft.lastIndex; i++) {
      const entry = raft.entryAt(i);
      log.push(`${entry?.term} ${entry?.type} ${entry?.data.join(".")}`);
    }
    const id = this.states.length;
    this.states.push({
      member,
      role: raft.role,
      term: raft.term,
      durableTerm: live.disk.hardState.term,
      isVoter: raft.conf.voters.includes(raft.id) || raft.conf.votersOutgoing.includes(raft.id),
      hasBatchOut: live.hasBatchOut,
      hasLiveLeader: live.hasLiveLeader,
      log,
      disk: live.disk,
      from,
      transitions: [],
    });
    this.#stateByKey.set(key, id);
    if (this.#live.size < MAX_LIVE) this.#live.set(id, live);
    return id;
  }

  #staleClass(m: Message): number {
    const pair = this.#memberOf(m.from) * MAX_MEMBERS + this.#memberOf(m.to);
    if (m.type === "append" || m.type === "heartbeat") return 1 << pair;
    return m.type === "voteRequest" && m.pre ? 1 << (pair + MAX_MEMBERS * MAX_MEMBERS) : 0;
  }

  #memberOf(id: bigint): number {
    return this.#setups.findIndex((s) => s.id === id);
  }

  #token(to: number, message: Message | undefined, ghost: Ghost | undefined): number {
    const key = JSON.stringify(message ?? ghost, (_key, v: unknown) => (typeof v === "bigint" ? `${v}n` : v));
    const known = this.#tokenByKey.get(key);
    if (known !== undefined) return known;
    const id = this.tokens.length;
    this.tokens.push({
      to,
      message,
      ghost,
      staleAbove: message === undefined ? Number.POSITIVE_INFINITY : staleTerm(message),
      staleClass: message === undefined ? 0 : this.#staleClass(message),
      hash1: this.#random(),
      hash2: this.#random(),
    });
    this.#tokenByKey.set(key, id);
    return id;
  }

  /** A xorshift step: the hash of a set is the sum of its members' words. */
  #random(): number {
    this.#seed = (this.#seed + 0x9e3779b9) | 0;
    let x = this.#seed;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (x ^ (x >>> 16)) | 0;
  }
}

/**
 * Once the receiver's disk has a later term it ignores answers, votes asked for and orders of older terms,
 * now and after any crash. It answers old appends, heartbeats and pre-vote requests with its term, whatever
 * else is in them.
 */
function staleTerm(m: Message): number {
  switch (m.type) {
    case "voteResponse":
      return m.pre && m.granted ? m.term - 1 : m.term;
    case "propose":
    case "readIndex":
      return Number.POSITIVE_INFINITY;
    default:
      return m.term;
  }
}
