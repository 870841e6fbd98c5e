/**
 * Exhaustive search over the worlds of a small cluster.
 *
 * A world is one state per member and the set of everything ever sent. A message in the set may be delivered
 * any number of times, in any order, or never: that is every delivery order, every loss and every repetition
 * at once. Time enters as choices: an election timeout, a heartbeat, a leader that hears nobody for too long,
 * a vote request that comes when the leader has been silent. A crash keeps the disk, and a slow disk may lag
 * behind by one batch at any moment.
 *
 * The search is depth first with every world visited once (by a 64-bit hash: a collision would hide a world,
 * and at ten million worlds has odds of one in a hundred thousand). It ends when there is no world left: no
 * depth bound.
 */
import { absurdity, contradiction } from "./ghosts.ts";
import { HashSet } from "./hash-set.ts";
import type { Disk, Input, LocalSetup, RaftClass } from "./local.ts";
import { deliverInput, INPUT, type LocalState, readInput, Table, type Token } from "./table.ts";

/** What may happen, and how often. */
export interface Scope {
  readonly name: string;
  readonly members: readonly (LocalSetup & { readonly disk: Disk })[];
  /** Nobody campaigns for a later term than this. */
  readonly maxTerm: number;
  readonly budget: Budget;
  /** Only this member may campaign first; sound where all members start alike. */
  readonly firstCampaigner: number | undefined;
  /** The search begins when the first member leads, its no-op is committed, and nothing is on its way. */
  readonly led: boolean;
  /** The change that a leader may propose once, in the notation of the stories; "": none. */
  readonly change: string;
  /** Message types that are always lost. */
  readonly lost: readonly string[];
  /** More worlds than this are a mistake in the scope. */
  readonly maxWorlds: number;
}

/** How often each choice may be made in one history, over all members. */
export interface Budget {
  readonly timeouts: number;
  readonly proposals: number;
  readonly crashes: number;
  readonly heartbeats: number;
  readonly quorumLosses: number;
  readonly reads: number;
  readonly changes: number;
}

export interface Report {
  readonly name: string;
  readonly worlds: number;
  readonly transitions: number;
  readonly depth: number;
  readonly memberStates: number;
  readonly messages: number;
  readonly computed: number;
  /**
   * Some leader was elected, and the highest index that one committed: a search that saw neither saw nothing.
   */
  readonly maxCommitted: number;
  readonly leaders: number;
}

/** A history that breaks a property, step by step. */
export class Counterexample extends Error {
  readonly property: string;
  readonly steps: readonly string[];

  constructor(property: string, steps: readonly string[]) {
    super(`${property}\n${steps.map((s, i) => `${String(i + 1).padStart(4)}  ${s}`).join("\n")}`);
    this.name = "Counterexample";
    this.property = property;
    this.steps = steps;
  }
}

const CHOICES = [
  "timeouts",
  "proposals",
  "crashes",
  "heartbeats",
  "quorumLosses",
  "reads",
  "changes",
] as const;
type Choice = (typeof CHOICES)[number];

export class Explorer {
  readonly #scope: Scope;
  readonly #reduce: boolean;
  readonly #table: Table;
  readonly #visited = new HashSet();
  /** The world. */
  readonly #locals: number[] = [];
  readonly #set: number[] = [];
  readonly #inSet: boolean[] = [];
  /** Sums of the hash words of the set, without stale messages, and which classes of stale ones there are. */
  #setHash1 = 0;
  #setHash2 = 0;
  #stale = 0;
  readonly #left: Record<Choice, number>;
  readonly #path: { member: number; input: number }[] = [];
  readonly #logsAgree = new Map<number, boolean>();
  #worlds = 0;
  #transitions = 0;
  #depth = 0;
  #maxCommitted = 0;
  readonly #leaders = new Set<number>();

  /**
   * @param options.reduce false: visit also the worlds that need not be visited; to check that they need not
   */
  constructor(scope: Scope, raftClass: RaftClass, options: { readonly reduce: boolean } = { reduce: true }) {
    this.#reduce = options.reduce;
    this.#scope = scope;
    this.#table = new Table(raftClass, scope.members, scope.change);
    this.#left = { ...scope.budget };
    for (const [i, member] of scope.members.entries()) this.#locals.push(this.#table.start(i, member.disk));
  }

  /** Visits every world. @throws Counterexample @throws Error when the scope is larger than it says */
  run(): Report {
    if (this.#scope.led) this.#electFirst();
    this.#markVisited();
    this.#visit();
    return {
      name: this.#scope.name,
      worlds: this.#worlds,
      transitions: this.#transitions,
      depth: this.#depth,
      memberStates: this.#table.states.length,
      messages: this.#table.tokens.filter((t) => t.message !== undefined).length,
      computed: this.#table.computed,
      maxCommitted: this.#maxCommitted,
      leaders: this.#leaders.size,
    };
  }

  #electFirst(): void {
    this.#move(0, INPUT.timeout);
    for (let i = 0; i < this.#set.length; i++) {
      const token = this.#set[i] as number;
      const { to } = this.#table.tokens[token] as Token;
      if (to >= 0) this.#move(to, deliverInput(token, false));
    }
    const facts = this.#set.filter((token) => this.#table.tokens[token]?.ghost !== undefined);
    for (const token of this.#set.splice(0)) this.#inSet[token] = false;
    this.#rehash();
    for (const token of facts) this.#addToken(token);
  }

  /** Goes on for good. */
  #move(member: number, input: number): void {
    const { next, tokens } = this.#transition(this.#locals[member] as number, member, input);
    this.#path.push({ member, input });
    this.#locals[member] = next;
    for (const token of tokens) this.#addToken(token);
  }

  #visit(): void {
    this.#worlds++;
    if (this.#worlds > this.#scope.maxWorlds) {
      throw new Error(`${this.#scope.name}: more than ${this.#scope.maxWorlds} worlds`);
    }
    if (this.#path.length > this.#depth) this.#depth = this.#path.length;
    // Messages first: what was sent at this point of the history; what is sent below is undone before we go
    // on.
    const sent = this.#set.length;
    for (let i = 0; i < sent; i++) this.#deliver(this.#set[i] as number);
    for (let member = 0; member < this.#locals.length; member++) this.#choose(member);
  }

  #deliver(token: number): void {
    const { to } = this.#table.tokens[token] as Token;
    if (to < 0) return;
    this.#apply(to, deliverInput(token, false));
    const local = this.#local(to);
    const message = this.#table.tokens[token]?.message;
    if (local.hasLiveLeader && message?.type === "voteRequest") this.#apply(to, deliverInput(token, true));
  }

  #choose(member: number): void {
    const local = this.#local(member);
    const left = this.#left;
    if (local.hasBatchOut) this.#apply(member, INPUT.persist);
    if (local.role === "leader") {
      if (left.proposals > 0) this.#spend("proposals", member, INPUT.propose);
      if (left.changes > 0) this.#spend("changes", member, INPUT.change);
      if (left.heartbeats > 0) this.#spend("heartbeats", member, INPUT.heartbeat);
      if (left.reads > 0) this.#spend("reads", member, readInput(this.#committed()));
      if (left.quorumLosses > 0) this.#spend("quorumLosses", member, INPUT.quorumLost);
    } else if (left.timeouts > 0 && local.isVoter && local.term < this.#scope.maxTerm) {
      const first = this.#scope.firstCampaigner;
      const isFirst = left.timeouts === this.#scope.budget.timeouts;
      if (!isFirst || first === undefined || first === member) this.#spend("timeouts", member, INPUT.timeout);
    }
    if (left.crashes > 0) this.#spend("crashes", member, INPUT.crash);
  }

  #spend(choice: Choice, member: number, input: number): void {
    this.#left[choice]--;
    this.#apply(member, input);
    this.#left[choice]++;
  }

  /** Goes to the world after `input`, visits it, and comes back. */
  #apply(member: number, input: number): void {
    const before = this.#locals[member] as number;
    const { next, tokens } = this.#transition(before, member, input);
    this.#transitions++;
    if (next === before && tokens.every((token) => this.#inSet[token] === true)) return;
    const mark = this.#set.length;
    const [hash1, hash2, stale] = [this.#setHash1, this.#setHash2, this.#stale];
    this.#path.push({ member, input });
    const { states } = this.#table;
    this.#locals[member] = next;
    if ((states[next] as LocalState).durableTerm !== (states[before] as LocalState).durableTerm)
      this.#rehash();
    for (const token of tokens) this.#addToken(token);
    if (next !== before) this.#checkLogs(member);
    if (this.#markVisited()) {
      // Marked twice, as it came and as it is saturated: most worlds are met again, and then the rest is
      // spared.
      const [came1, came2, cameStale] = [this.#setHash1, this.#setHash2, this.#stale];
      this.#saturate(member, mark);
      const same = this.#setHash1 === came1 && this.#setHash2 === came2 && this.#stale === cameStale;
      if (same || this.#markVisited()) this.#visit();
    }
    this.#locals[member] = before;
    while (this.#set.length > mark) this.#inSet[this.#set.pop() as number] = false;
    this.#setHash1 = hash1;
    this.#setHash2 = hash2;
    this.#stale = stale;
    this.#path.pop();
  }

  /**
   * Takes at once every delivery that leaves its receiver as it is and only adds to what was sent. The world
   * after it can do all that the world before can, so nothing is lost by never visiting the one before.
   */
  #saturate(moved: number, mark: number): void {
    if (!this.#reduce) return;
    for (let i = 0; i < this.#set.length; i++) {
      const token = this.#set[i] as number;
      const { to } = this.#table.tokens[token] as Token;
      if (to < 0 || (i < mark && to !== moved)) continue;
      const local = this.#locals[to] as number;
      const input = deliverInput(token, false);
      const { next, tokens } = this.#transition(local, to, input);
      if (next !== local) continue;
      for (const more of tokens) this.#addToken(more);
    }
  }

  #transition(before: number, member: number, input: number): { next: number; tokens: readonly number[] } {
    const known = this.#table.states[before]?.transitions[input];
    if (known !== undefined) return known;
    try {
      return this.#table.transition(before, input);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new Counterexample(error.message, [...this.#steps(), this.#stepText(member, input)]);
    }
  }

  #addToken(token: number): void {
    if (this.#inSet[token] === true) return;
    const { message, ghost } = this.#table.tokens[token] as Token;
    if (message !== undefined && this.#scope.lost.includes(message.type)) return;
    if (ghost !== undefined) {
      let broken = absurdity(ghost);
      for (const other of this.#set) {
        const known = this.#table.tokens[other]?.ghost;
        if (known !== undefined) broken ??= contradiction(ghost, known);
      }
      if (broken !== undefined) throw new Counterexample(broken, this.#steps());
      if (ghost.type === "leader") this.#leaders.add(ghost.term);
      if (ghost.type === "committed") this.#maxCommitted = Math.max(this.#maxCommitted, ghost.index);
    }
    this.#inSet[token] = true;
    this.#set.push(token);
    this.#hash(token);
  }

  /** Log Matching between the member that moved and all others. */
  #checkLogs(member: number): void {
    const a = this.#locals[member] as number;
    for (let other = 0; other < this.#locals.length; other++) {
      if (other === member) continue;
      const b = this.#locals[other] as number;
      const key = a < b ? a * 2 ** 26 + b : b * 2 ** 26 + a;
      let agree = this.#logsAgree.get(key);
      if (agree === undefined) {
        agree = match(this.#table.states[a] as LocalState, this.#table.states[b] as LocalState);
        this.#logsAgree.set(key, agree);
      }
      if (!agree) throw new Counterexample("Log Matching", this.#steps());
    }
  }

  #committed(): number {
    let index = 0;
    for (const token of this.#set) {
      const ghost = this.#table.tokens[token]?.ghost;
      if (ghost?.type === "committed" && ghost.index > index) index = ghost.index;
    }
    return index;
  }

  #local(member: number): LocalState {
    return this.#table.states[this.#locals[member] as number] as LocalState;
  }

  #rehash(): void {
    this.#setHash1 = 0;
    this.#setHash2 = 0;
    this.#stale = 0;
    for (const token of this.#set) this.#hash(token);
  }

  #hash(token: number): void {
    const t = this.#table.tokens[token] as Token;
    if (this.#reduce && t.to >= 0 && this.#local(t.to).durableTerm > t.staleAbove) {
      this.#stale |= t.staleClass;
      return;
    }
    this.#setHash1 = (this.#setHash1 + t.hash1) | 0;
    this.#setHash2 = (this.#setHash2 + t.hash2) | 0;
  }

  #markVisited(): boolean {
    let h1 = this.#setHash1;
    let h2 = this.#setHash2;
    for (const local of this.#locals) {
      h1 = mix(h1, local);
      h2 = mix(h2, local ^ 0x5bd1e995);
    }
    h1 = mix(h1, this.#stale);
    h2 = mix(h2, this.#stale ^ 0x27d4eb2f);
    // Every budget is below 8.
    let left = 0;
    for (const choice of CHOICES) left = left * 8 + this.#left[choice];
    return this.#visited.add(mix(h1, left), mix(h2, left + 77));
  }

  #steps(): string[] {
    return this.#path.map(({ member, input }) => this.#stepText(member, input));
  }

  #stepText(member: number, code: number): string {
    const id = this.#scope.members[member]?.id;
    const input: Input = this.#table.decode(code);
    if (input.type !== "deliver") return `${id}: ${input.type}`;
    const { type, from, to, ...rest } = input.message;
    const fields = JSON.stringify(rest, (_key, v: unknown) => (typeof v === "bigint" ? `${v}` : v));
    return `${from}→${to} ${type} ${fields}${input.late ? " (its leader is silent)" : ""}`;
  }
}

/** Equal at one index and term means equal up to there (Raft paper §5.3). */
function match(a: LocalState, b: LocalState): boolean {
  let same = false;
  for (let i = Math.min(a.log.length, b.log.length) - 1; i >= 0; i--) {
    const [x, y] = [a.log[i] as string, b.log[i] as string];
    if (same && x !== y) return false;
    if (x === y) same = true;
    // Of one index and term there is one content.
    else if (x.split(" ")[0] === y.split(" ")[0]) return false;
  }
  return true;
}

function mix(hash: number, word: number): number {
  let h = Math.imul(hash ^ word, 0x9e3779b1);
  h ^= h >>> 15;
  return Math.imul(h, 0x85ebca77) ^ (h >>> 13);
}
