/** A watcher of a generated history: told of everything its member applied, in answers of random size. */

import { latin1, type Model, type WatchAnswer, type WatchRecord } from "../../../chaos/check/index.ts";
import { EMPTY_BYTES } from "../../../src/base/index.ts";
import type { Event } from "../../../src/pb/kv.ts";
import type { WatchCreate } from "../../../src/watch/types.ts";
import type { Random } from "./random.ts";
import { randomKey } from "./requests.ts";

export interface WatcherHost {
  readonly random: Random;
  readonly model: Model;
  readonly now: number;
  /** What a member has applied. */
  memberView(member: number): { readonly revision: number; readonly compactRevision: number };
}

const END = Uint8Array.of(0);

export class Watcher {
  readonly member: number;
  readonly #host: WatcherHost;
  readonly #id: number;
  readonly #name: string;
  readonly #request: WatchCreate;
  readonly #call: number;
  readonly #answers: WatchAnswer[] = [];
  #at: number;
  /** Next revision that it is to be told of. */
  #next: number;
  #isCancelled = false;
  #closed = Number.POSITIVE_INFINITY;
  #cancelAsked = Number.POSITIVE_INFINITY;
  readonly #closesAt: number;

  constructor(host: WatcherHost, id: number, member: number, name: string, isOfAll: boolean) {
    this.#host = host;
    this.#id = id;
    this.member = member;
    this.#name = name;
    this.#call = host.now;
    this.#at = host.now + 1;
    const { random } = host;
    const { revision, compactRevision } = host.memberView(member);
    this.#request = isOfAll ? ALL : randomWatch(random, revision);
    this.#closesAt = !isOfAll && random.chance(0.3) ? host.now + random.int(1, 3_000_000) : this.#closed;
    this.#next = this.#request.startRevision > 0 ? this.#request.startRevision : revision + 1;
    const key = this.#request.key.length === 0 ? "\0" : latin1(this.#request.key);
    const rangeEnd = latin1(this.#request.rangeEnd);
    if (this.#request.startRevision < 0) this.#refuse(COMPACTED);
    else if (rangeEnd !== "" && rangeEnd !== "\0" && key >= rangeEnd) this.#refuse(EMPTY_RANGE);
    else this.#start(compactRevision);
  }

  #start(compactRevision: number): void {
    this.#answer({ created: true });
    if (this.#next < compactRevision) {
      this.#answer({ canceled: true, compactRevision });
      this.#isCancelled = true;
    } else this.catchUp();
  }

  /** Told of everything between; an answer holds whole revisions, or fragments of them. */
  catchUp(): void {
    const { random, model } = this.#host;
    const { revision, compactRevision } = this.#host.memberView(this.member);
    if (this.#host.now >= this.#closesAt) this.#leave();
    if (this.#isCancelled || this.#host.now >= this.#closed) return;
    let batch: Event[] = [];
    while (this.#next <= revision) {
      for (const event of model.changeOf(this.#next)?.events ?? []) {
        if (!this.#wants(event)) continue;
        const isGone = compactRevision > this.#next - 1 && random.chance(0.5);
        const prevKv = this.#request.prevKv && !isGone ? event.prevKv : undefined;
        batch.push({ ...event, prevKv });
      }
      this.#next++;
      if (random.chance(0.6)) batch = this.#send(batch);
    }
    this.#send(batch);
    if (random.chance(0.2)) this.#answer({});
  }

  /** Its client cancels it, or its connection breaks. */
  #leave(): void {
    if (this.#isCancelled || this.#closed !== Number.POSITIVE_INFINITY) return;
    if (this.#host.random.chance(0.5)) {
      this.#cancelAsked = this.#host.now;
      this.#answer({ canceled: true });
      this.#isCancelled = true;
    }
    this.#closed = this.#at + 1;
  }

  record(): WatchRecord {
    const isOpen = this.#closed === Number.POSITIVE_INFINITY;
    return {
      id: this.#id,
      client: 100 + this.#id,
      connection: 1_000 + this.#id,
      member: this.#name,
      stream: this.#id,
      request: this.#request,
      call: this.#call,
      answers: this.#answers,
      cancelAsked: this.#cancelAsked,
      closed: this.#closed,
      mustReachEnd: isOpen,
    };
  }

  #wants(event: Event): boolean {
    const { key, rangeEnd, noPut, noDelete } = this.#request;
    if (event.type === "put" ? noPut : noDelete) return false;
    const name = latin1(event.kv.key);
    const [lo, hi] = [key.length === 0 ? "\0" : latin1(key), latin1(rangeEnd)];
    if (hi === "") return name === lo;
    return name >= lo && (hi === "\0" || name < hi);
  }

  #send(events: readonly Event[]): Event[] {
    if (events.length === 0) return [];
    let rest = events;
    while (this.#request.fragment && rest.length > 1 && this.#host.random.chance(0.5)) {
      const size = this.#host.random.int(1, rest.length);
      this.#answer({ events: rest.slice(0, size), fragment: true });
      rest = rest.slice(size);
    }
    this.#answer({ events: rest });
    return [];
  }

  #refuse(cancelReason: string): void {
    this.#answer({ created: true, canceled: true, cancelReason });
    this.#isCancelled = true;
  }

  #answer(parts: Partial<WatchAnswer>): void {
    this.#at = Math.max(this.#at + 1, this.#host.now + this.#host.random.int(0, 30_000));
    const { revision } = this.#host.memberView(this.member);
    this.#answers.push({
      at: this.#at,
      revision,
      created: false,
      canceled: false,
      compactRevision: 0,
      cancelReason: "",
      fragment: false,
      events: [],
      ...parts,
    });
  }
}

const COMPACTED = "etcdserver: mvcc: required revision has been compacted";
const EMPTY_RANGE = "mvcc: watcher range is empty";

const ALL: WatchCreate = {
  key: EMPTY_BYTES,
  rangeEnd: END,
  startRevision: 1,
  progressNotify: false,
  noPut: false,
  noDelete: false,
  prevKv: true,
  fragment: false,
  watchId: 0,
};

function randomWatch(random: Random, revision: number): WatchCreate {
  const dice = random.int(0, 10);
  let rangeEnd = EMPTY_BYTES;
  if (dice > 3) rangeEnd = dice > 7 ? randomKey(random) : END;
  let startRevision = 0;
  if (random.chance(0.6)) startRevision = Math.max(-1, revision + random.int(-20, 10));
  return {
    key: random.chance(0.9) ? randomKey(random) : EMPTY_BYTES,
    rangeEnd,
    startRevision,
    progressNotify: true,
    noPut: random.chance(0.1),
    noDelete: random.chance(0.1),
    prevKv: random.chance(0.5),
    fragment: random.chance(0.3),
    watchId: 0,
  };
}
