/**
 * The way to one peer. Both members call each other, and each sends on the connection that it made itself, or, while it
 * has none, on the one that the other made; both are read. So no rule is needed for who may call, none for calls that
 * cross, and a member that joins with an empty log and knows nobody can answer whoever calls it. The price is a second
 * socket for each pair.
 */
import type { Relay } from "../pb/index.ts";
import type { Message } from "../raft/types.ts";
import type { Closed, Connection, ConnectionUser } from "./connection.ts";
import { Outbox } from "./outbox.ts";

/** Handed to a socket at once; a heartbeat that comes then waits behind no more than this. */
const BATCH_BYTES = 64 * 1024;

/** Who made a connection: this member or the peer. */
export type Maker = "own" | "their";

export interface Broken {
  readonly connection: Connection;
  readonly maker: Maker;
  readonly why: Closed;
  /** Messages to the peer may be lost with it. */
  readonly lost: boolean;
}

export interface LinkHost {
  /** A frame of the peer. */
  frame(link: Link, connection: Connection, bytes: Uint8Array): void;
  /** A connection ended. */
  broken(link: Link, broken: Broken): void;
}

export class Link {
  readonly #host: LinkHost;
  readonly #outbox: Outbox;
  /** The connection that this member made, and the newest one that the peer made. */
  #own: Connection | undefined;
  #their: Connection | undefined;

  constructor(maxUnsentBytes: number, host: LinkHost) {
    this.#host = host;
    this.#outbox = new Outbox(maxUnsentBytes);
  }

  /** Whether there is a connection to send on. */
  get isUp(): boolean {
    return this.#connection !== undefined;
  }

  get #connection(): Connection | undefined {
    return this.#own ?? this.#their;
  }

  /** Takes over an open connection. A newer one of the same maker takes the older one's place. */
  adopt(connection: Connection, maker: Maker): void {
    connection.use(this.#userOf(connection, maker));
    const older = maker === "own" ? this.#own : this.#their;
    if (maker === "own") this.#own = connection;
    else this.#their = connection;
    // The peer would not have called again if the older one still worked for it.
    older?.close({ type: "local", reason: "replaced by a newer connection" });
    this.flush();
  }

  /** Takes a message to be sent with the next flush. False: it is lost. */
  post(message: Message): boolean {
    const connection = this.#connection;
    return connection !== undefined && this.#outbox.post(message, connection.unsentBytes);
  }

  /** As `post`, for a question or an answer. */
  relay(relay: Relay): boolean {
    const connection = this.#connection;
    return connection !== undefined && this.#outbox.postRelay(relay, connection.unsentBytes);
  }

  /** Sends what waits, as far as the connection takes it now. */
  flush(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    while (!connection.isBlocked && !this.#outbox.isEmpty) connection.send(this.#outbox.take(BATCH_BYTES));
  }

  /** Closes both connections and forgets what waits. */
  close(reason: string): void {
    this.#own?.close({ type: "local", reason });
    this.#their?.close({ type: "local", reason });
    this.#outbox.clear();
  }

  #userOf(connection: Connection, maker: Maker): ConnectionUser {
    return {
      frame: (bytes) => this.#host.frame(this, connection, bytes),
      writable: () => {
        if (connection === this.#connection) this.flush();
      },
      closed: (why) => this.#closed(connection, maker, why),
    };
  }

  #closed(connection: Connection, maker: Maker, why: Closed): void {
    const sent = connection === this.#connection;
    if (connection === this.#own) this.#own = undefined;
    if (connection === this.#their) this.#their = undefined;
    const lost = sent && why.type !== "local";
    if (this.#connection === undefined) this.#outbox.clear();
    this.#host.broken(this, { connection, maker, why, lost });
    // What waited goes on by the other connection.
    if (sent) this.flush();
  }
}
