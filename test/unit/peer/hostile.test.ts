// Goal: whatever a stranger or a broken peer does on the port ends in a closed connection and one line, and nothing
// reaches the member. Method: raw sockets on the loopback against a real transport; time stands still until moved.
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bytesOf, concatBytes } from "../../../src/base/index.ts";
import { encodeHello, encodeMessage, encodeVerdict } from "../../../src/pb/index.ts";
import { DEFAULT_PEER_OPTIONS, TcpPeers } from "../../../src/peer/index.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { VirtualClock } from "../../support/clocks.ts";
import { beat, CLUSTER, fixedRandom, KeptLog, PeerSide, until } from "../../support/peer-side.ts";

const [A, B, C] = [0xan, 0xbn, 0xcn] as const;

let side: PeerSide;
let log: KeptLog;
let clock: VirtualClock;
let peers: TcpPeers;
const sockets: Socket[] = [];

beforeEach(async () => {
  side = new PeerSide(A);
  log = new KeptLog();
  clock = new VirtualClock();
  const options = {
    ...DEFAULT_PEER_OPTIONS,
    listen: ["http://127.0.0.1:0"],
    logIntervalMs: 0,
    maxUnproven: 4,
  };
  peers = new TcpPeers(options, { clock, random: fixedRandom(), log });
  await peers.start(side);
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await peers.close();
});

interface Stranger {
  readonly socket: Socket;
  readonly received: () => number;
  readonly isClosed: () => boolean;
}

async function call(): Promise<Stranger> {
  const socket = connect(Number(peers.urls[0]?.replace(/.*:/, "")), "127.0.0.1");
  sockets.push(socket);
  let received = 0;
  let isClosed = false;
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => {
    received += chunk.length;
  });
  socket.on("close", () => {
    isClosed = true;
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, received: () => received, isClosed: () => isClosed };
}

function frame(bytes: Uint8Array): Uint8Array {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, bytes.length);
  return concatBytes([head, bytes]);
}

const HELLO = frame(
  encodeHello({ version: 1, cluster: CLUSTER, member: B, instance: 0x1bn, to: A, purpose: "consensus" }),
);
const GREETING = concatBytes([HELLO, frame(encodeVerdict({ type: "accepted" }))]);
const BEAT = frame(encodeMessage(beat(B, A, 1)));

describe("on the port", () => {
  it.each<[string, Uint8Array, string]>([
    [
      "an HTTP request",
      bytesOf("GET / HTTP/1.1\r\n\r\n"),
      "a frame of 1195725856 bytes is above the limit of 4096",
    ],
    ["an empty frame before the hello", new Uint8Array(4), "peer hello: purpose 0 is unknown"],
    ["a message before the hello", BEAT, "peer hello"],
    ["a message before the verdict", concatBytes([HELLO, BEAT]), "peer verdict"],
    ["another sender", concatBytes([GREETING, frame(encodeMessage(beat(C, A, 1)))]), "from member c to a"],
    ["another receiver", concatBytes([GREETING, frame(encodeMessage(beat(B, C, 1)))]), "from member b to c"],
    ["a frame above the limit", concatBytes([GREETING, new Uint8Array([0xff, 0, 0, 0])]), "above the limit"],
    [
      "a round above 2^53 - 1",
      concatBytes([GREETING, frame(roundBeyond())]),
      "round 9007199254740992 is above 9007199254740991",
    ],
  ])("%s closes the connection, with one line", async (_, bytes, reason) => {
    const { socket, isClosed } = await call();
    socket.write(bytes);
    await until(isClosed);
    expect(log.lines.length).toBe(1);
    expect(log.lines[0]?.event).toBe("peer connection closed: not what a member sends");
    expect(log.lines[0]?.fields["reason"]).toContain(reason);
    expect(side.received).toEqual([]);
  });

  it("a flip of any bit of a greeting, and its end at any byte, does no harm", async () => {
    const whole = concatBytes([GREETING, BEAT]);
    for (let at = 0; at < whole.length; at++) {
      const flipped = whole.slice();
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      for (const bytes of [flipped, whole.subarray(0, at)]) {
        const before = log.lines.length;
        const { socket, isClosed } = await call();
        socket.end(bytes);
        await until(isClosed);
        await until(() => log.lines.length > before);
        expect(log.lines.length).toBe(before + 1);
      }
    }
    const good = await call();
    good.socket.write(whole);
    const before = side.received.length;
    await until(() => side.received.length > before);
  });

  it("a caller that says nothing hears nothing and is closed after five seconds", async () => {
    const { received, isClosed } = await call();
    const second = await call();
    second.socket.write(HELLO.subarray(0, 3));
    // A third caller's answer shows that the first two were accepted.
    const third = await call();
    third.socket.write(GREETING);
    await until(() => third.received() > 0);
    clock.advance(4_999);
    expect(log.reasons("peer connection closed: no handshake in time")).toEqual([]);
    clock.advance(1);
    await until(() => isClosed() && second.isClosed());
    expect(received()).toBe(0);
    expect(log.reasons("peer connection closed: no handshake in time").length).toBe(2);
  });

  it("a crowd of silent callers makes room, oldest first", async () => {
    const crowd: Stranger[] = [];
    for (let i = 0; i < 6; i++) crowd.push(await call());
    await until(() => crowd.slice(0, 2).every(({ isClosed }) => isClosed()));
    const member = await call();
    member.socket.write(concatBytes([GREETING, BEAT]));
    await until(() => side.received.length === 1);
    expect(log.reasons("peer connection closed: no handshake in time").length).toBe(3);
  });

  it("a member that falls silent is closed after a second; one that is idle says that it lives", async () => {
    const { socket, isClosed, received } = await call();
    socket.write(concatBytes([GREETING, BEAT]));
    await until(() => side.received.length === 1);
    const before = received();
    clock.advance(1_000);
    await until(() => received() > before);
    expect(isClosed()).toBe(false);
    clock.advance(200);
    await until(isClosed);
    expect(log.lines.at(-1)?.event).toBe("peer connection closed: silence");
    expect(side.lost).toEqual([B]);
  });
});

/** A heartbeat whose round is 2^53, which no encoder of ours writes. */
function roundBeyond(): Uint8Array {
  const good = encodeMessage(beat(B, A, 2 ** 52));
  const at = good.length - 8;
  const bytes = good.slice();
  // The eight bytes of the varint of 2^52 end in 0x08: doubled, 0x10.
  bytes[at + 7] = 0x10;
  return bytes;
}

const certificate = makeCertificate();
if (certificate !== undefined) {
  const stranger = makeCertificate();
  it.each([
    ["plain bytes", undefined],
    ["no certificate", {}],
    ["a certificate of another authority", { cert: stranger?.cert, key: stranger?.key }],
  ])("over TLS, %s is turned away before the hello, with one line", async (_, own) => {
    const listen = ["https://127.0.0.1:0"];
    const tls = { ...certificate, clientCertAuth: true };
    const secure = new TcpPeers(
      { ...DEFAULT_PEER_OPTIONS, listen, tls, logIntervalMs: 0 },
      { clock, random: fixedRandom(), log },
    );
    await secure.start(side);
    const port = Number(secure.urls[0]?.replace(/.*:/, ""));
    const to = { host: "127.0.0.1", port };
    const socket = own === undefined ? connect(to) : connectTls({ ...to, ...own, ca: certificate.ca });
    sockets.push(socket);
    let isClosed = false;
    let received = 0;
    socket.on("error", () => undefined);
    socket.on("data", () => received++);
    socket.on("close", () => {
      isClosed = true;
    });
    socket.write(concatBytes([GREETING, BEAT]));
    await until(() => isClosed && log.lines.length > 0);
    await secure.close();
    expect(log.lines.length).toBe(1);
    expect(side.received).toEqual([]);
    if (own !== undefined) expect(received).toBe(0);
  });
}
