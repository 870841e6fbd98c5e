/** Calling a peer once: TCP, TLS where its URL says so, handshake; all of it within deadlines. */
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Cancel } from "../env/index.ts";
import {
  type Called,
  type Closed,
  Connection,
  type ConnectionContext,
  type ConnectionOwner,
} from "./connection.ts";
import type { PeerTls, PeerUrl } from "./options.ts";

export interface DialOptions extends Called {
  readonly url: PeerUrl;
  readonly tls: PeerTls | undefined;
  readonly connectTimeoutMs: number;
}

/**
 * Calls a peer. One of `owner`'s methods is called, once, after this has returned.
 * @returns gives up; without effect once the owner was called
 */
export function dial(options: DialOptions, context: ConnectionContext, owner: ConnectionOwner): Cancel {
  const { url, connectTimeoutMs } = options;
  const { clock } = context;
  const socket = url.isTls ? connectSecurely(url, options.tls) : connect({ host: url.host, port: url.port });
  let connection: Connection | undefined;
  let isOver = false;
  const fail = (why: Closed): void => {
    if (isOver) return;
    isOver = true;
    cancelDeadline();
    socket.destroy();
    owner.closed(why, 0);
  };
  const cancelDeadline = clock.wakeAt(clock.now() + connectTimeoutMs, () =>
    fail({ type: "lost", reason: `no connection within ${connectTimeoutMs} ms` }),
  );
  // Stays for good: an error after the socket was given up may not end the process.
  socket.on("error", (error) => {
    if (connection === undefined) fail({ type: "lost", reason: error.message });
  });
  socket.once("close", () => {
    if (connection === undefined) fail({ type: "lost", reason: "the connection was closed" });
  });
  socket.once(url.isTls ? "secureConnect" : "connect", () => {
    if (isOver) return;
    isOver = true;
    cancelDeadline();
    connection = new Connection(socket, options, context, owner);
  });
  return () => {
    const why: Closed = { type: "local", reason: "given up" };
    if (connection === undefined) fail(why);
    else if (!connection.isOpen) connection.close(why);
  };
}

function connectSecurely(url: PeerUrl, tls: PeerTls | undefined): Socket {
  const certificates = tls === undefined ? {} : { cert: tls.cert, key: tls.key };
  const authorities = tls?.ca === undefined ? {} : { ca: tls.ca };
  // A name for the certificate to be chosen by; addresses may not be sent as one (RFC 6066 §3).
  const name = isIP(url.host) === 0 ? { servername: url.host } : {};
  const { host, port } = url;
  return connectTls({ host, port, ...name, ...certificates, ...authorities, minVersion: "TLSv1.2" });
}
