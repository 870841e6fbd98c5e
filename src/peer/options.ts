/** What can be set of the peer transport, and addresses as flags and member records write them. */
import { LIMITS } from "../base/index.ts";

/** Certificates of the peer port. PEM texts; several certificates may stand in one. */
export interface PeerTls {
  readonly cert: string;
  readonly key: string;
  /** The authorities that peers' certificates must come from; undefined: those that Node trusts. */
  readonly ca: string | undefined;
  /** Whether a peer that connects must show a certificate of these authorities. */
  readonly clientCertAuth: boolean;
}

export interface PeerOptions {
  /** `http://host:port` or `https://host:port`; port 0: any free one. */
  readonly listen: readonly string[];
  /** Needed for https. */
  readonly tls: PeerTls | undefined;
  /** A connection that carried nothing for so long carries an empty frame; about the heartbeat interval. */
  readonly keepaliveMs: number;
  /** A connection on which nothing came for so long is closed: at least some keepalives. */
  readonly silenceMs: number;
  /** From the first packet to a connection, and, with TLS, to the end of its handshake. */
  readonly connectTimeoutMs: number;
  /** From a connection to its accepted hello; before that, on the side that listens, the same again for TLS. */
  readonly handshakeTimeoutMs: number;
  /** Pauses between attempts to connect: from min, doubled up to max, drawn between half and all of it. */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Bytes that may wait for one peer, heartbeats and their answers not counted. */
  readonly maxUnsentBytes: number;
  /** Largest frame that is read, bytes. */
  readonly maxFrameBytes: number;
  /** Connections that have not said who they are. One more, and the oldest of them is closed. */
  readonly maxUnproven: number;
  /** At most one line of each kind per address in this time; 0: all of them. */
  readonly logIntervalMs: number;
}

/** All that has a default. The times fit a heartbeat of 100 ms. */
export const DEFAULT_PEER_OPTIONS = {
  tls: undefined,
  keepaliveMs: 100,
  silenceMs: 1_000,
  connectTimeoutMs: 1_000,
  handshakeTimeoutMs: 5_000,
  backoffMinMs: 10,
  backoffMaxMs: 1_000,
  maxUnsentBytes: 256 * 1024,
  maxFrameBytes: LIMITS.maxMessageBytes,
  maxUnproven: 64,
  logIntervalMs: 10_000,
} as const satisfies Omit<PeerOptions, "listen">;

/** A peer URL taken apart. */
export interface PeerUrl {
  /** As it was written. */
  readonly text: string;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** Takes `http://host:port` apart. @throws Error that names the URL and what is wrong with it */
export function parsePeerUrl(text: string): PeerUrl {
  if (!URL.canParse(text)) throw new Error(`peer URL "${text}" is no URL; write http://host:port`);
  const { protocol, hostname, port, pathname, search, username } = new URL(text);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new Error(`peer URL "${text}" is neither http nor https`);
  }
  if ((pathname !== "" && pathname !== "/") || search !== "" || username !== "") {
    throw new Error(`peer URL "${text}" has more than host and port; write http://host:port`);
  }
  // The parser leaves out a port that is the scheme's own; no peer listens there unless it was written.
  const written = port === "" ? /:(80|443)\/?$/.exec(text)?.[1] : port;
  if (written === undefined) throw new Error(`peer URL "${text}" has no port; write http://host:port`);
  // An IPv6 address stands in brackets in a URL and nowhere else.
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return { text, host, port: Number(written), isTls: protocol === "https:" };
}
