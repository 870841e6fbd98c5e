// Goal: a stranger is told who the members are, and nothing else; a member that cannot be asked is named. Method: the
// TCP transport on loopback, asked by the function that joins, and by hand.
import { connect, createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { encodeLookup, type PeerDirectory } from "../../../src/pb/index.ts";
import { framed } from "../../../src/peer/frames.ts";
import { DEFAULT_PEER_OPTIONS, lookUp, TcpPeers } from "../../../src/peer/index.ts";
import { NodeClock } from "../../../src/server/index.ts";
import { seeded } from "../../support/member-harness.ts";
import { PeerSide } from "../../support/peer-side.ts";

const LIST: PeerDirectory = {
  cluster: 0xc1n,
  applied: 12,
  members: [{ id: 0xan, peerUrls: ["http://a:1", "http://b:2"], isStarted: true }],
};

const clock = new NodeClock();
const closings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0)) await close();
});

async function member(): Promise<{ readonly url: string; readonly side: PeerSide }> {
  const side = new PeerSide(0xan);
  side.directory = () => LIST;
  const silent = {
    error: () => undefined,
    warn: () => undefined,
    info: () => undefined,
    debug: () => undefined,
  };
  const options = { ...DEFAULT_PEER_OPTIONS, listen: ["http://127.0.0.1:0"] };
  const peers = new TcpPeers(options, { clock, random: seeded(1), log: silent });
  await peers.start(side);
  closings.push(() => peers.close());
  return { url: peers.urls[0] ?? "", side };
}

function listening(server: Server): Promise<number> {
  closings.push(() => new Promise((resolve) => server.close(() => resolve())));
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

describe("looking up", () => {
  it("gives the members as the asked one knows them", async () => {
    const { url } = await member();
    expect(await lookUp(url, clock, 10_000)).toEqual(LIST);
  });

  it("is all that a stranger may do: what follows is not read", async () => {
    const { url, side } = await member();
    const { port } = new URL(url);
    const socket = connect({ host: "127.0.0.1", port: Number(port) });
    const ended = new Promise<number>((resolve) => {
      let bytes = 0;
      socket.on("data", (chunk: Uint8Array) => {
        bytes += chunk.length;
      });
      socket.on("error", () => resolve(bytes));
      socket.on("close", () => resolve(bytes));
    });
    for (const chunk of framed([encodeLookup(), encodeLookup(), encodeLookup()])) socket.write(chunk);
    socket.end();
    const once = await ended;
    expect(once).toBeGreaterThan(0);
    expect(once).toBeLessThan(100);
    expect([side.received, side.relays, side.lost]).toEqual([[], [], []]);
  });

  it("names the URL when nobody listens, and when what answers is no member", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.resume();
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    const port = await listening(server);
    await expect(lookUp(`http://127.0.0.1:${port}`, clock, 10_000)).rejects.toThrow(
      `http://127.0.0.1:${port}: a frame of`,
    );
    await expect(lookUp("http://127.0.0.1:1", clock, 10_000)).rejects.toThrow("http://127.0.0.1:1: ");
    await expect(lookUp("https://a:1", clock, 10_000)).rejects.toThrow("by http only");
  });
});
