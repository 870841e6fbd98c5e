/**
 * Keeps this member's own connection to one peer: calls its addresses in turn, and after each failure waits longer, by
 * chance, so that members that lost each other at one moment do not all call at one moment.
 */
import type { Cancel, Clock, MonoMs, Random } from "../env/index.ts";
import type { PeerHello } from "../pb/index.ts";
import type { Closed, Connection } from "./connection.ts";
import type { PeerUrl } from "./options.ts";

export interface DialerHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Calls once. One of both is called, once and later; gives what takes the call back. */
  call(url: PeerUrl, opened: (connection: Connection, hello: PeerHello) => void, failed: Failed): Cancel;
  opened(connection: Connection): void;
  failed(url: PeerUrl, why: Closed): void;
}

type Failed = (why: Closed) => void;

export class Dialer {
  readonly #host: DialerHost;
  #urls: readonly PeerUrl[];
  /** Which URL is called next. */
  #next = 0;
  #failures = 0;
  #openedAt: MonoMs = 0;
  #isStopped = false;
  /** There was no URL to call. */
  #isIdle = false;
  /** Takes back the call or the pause; undefined: there is a connection, or nobody to call. */
  #cancel: Cancel | undefined;

  constructor(urls: readonly PeerUrl[], host: DialerHost) {
    this.#host = host;
    this.#urls = urls;
    this.#call();
  }

  get urls(): readonly PeerUrl[] {
    return this.#urls;
  }

  /** The addresses from now on. A connection that is there stays. */
  setUrls(urls: readonly PeerUrl[]): void {
    if (urls.length === this.#urls.length && urls.every(({ text }, i) => text === this.#urls[i]?.text))
      return;
    this.#urls = urls;
    this.#next = 0;
    if (this.#isIdle) this.#call();
  }

  /** The connection that `opened` gave is gone. */
  lost(): void {
    if (this.#isStopped) return;
    // A peer that accepts and then hangs up is called less and less often too.
    const { clock, backoffMaxMs } = this.#host;
    if (clock.now() - this.#openedAt >= backoffMaxMs) this.#failures = 0;
    this.#pause();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #call(): void {
    this.#cancel = undefined;
    const url = this.#urls[this.#next % this.#urls.length];
    this.#isIdle = url === undefined;
    if (url === undefined) return;
    const opened = (connection: Connection): void => {
      this.#cancel = undefined;
      this.#openedAt = this.#host.clock.now();
      this.#host.opened(connection);
    };
    const failed = (why: Closed): void => {
      if (this.#isStopped) return;
      this.#next = (this.#next + 1) % Math.max(1, this.#urls.length);
      this.#host.failed(url, why);
      // Whoever refuses now refuses in ten milliseconds too.
      if (why.type === "refused" || why.type === "garbage") this.#failures = 32;
      this.#pause();
    };
    this.#cancel = this.#host.call(url, opened, failed);
  }

  #pause(): void {
    const { clock, random, backoffMinMs, backoffMaxMs } = this.#host;
    const most = Math.min(backoffMaxMs, backoffMinMs * 2 ** this.#failures);
    this.#failures = Math.min(32, this.#failures + 1);
    const pauseMs = random.int(Math.ceil(most / 2), Math.ceil(most) + 1);
    this.#cancel = clock.wakeAt(clock.now() + pauseMs, () => this.#call());
  }
}
