// Goal: TCP, TLS and the twin in memory keep the same contract of the peer transport. Method: one suite on all of them;
// over sockets every connection passes a relay that the test can cut and hold.
import type { MemberId } from "../../src/base/index.ts";
import { MemoryNetwork } from "../../src/peer/memory.ts";
import { makeCertificate } from "../support/certificates.ts";
import { until } from "../support/peer-side.ts";
import { TcpWorld } from "../support/tcp-world.ts";
import { peerConformance } from "./peers.ts";

peerConformance("memory", async () => {
  const network = new MemoryNetwork();
  const both = (act: (from: MemberId, to: MemberId) => void, a: MemberId, b: MemberId): void => {
    act(a, b);
    act(b, a);
  };
  return {
    async start(side) {
      const transport = network.join();
      await transport.start(side);
      return transport;
    },
    address: (_, to) => ({ id: to, urls: ["memory"] }),
    until: (condition) =>
      until(
        condition,
        () => "in memory",
        () => network.run(),
      ),
    cut: (a, b) => network.cut(a, b),
    heal: (a, b) => network.heal(a, b),
    hold: (a, b) => both((from, to) => network.hold(from, to), a, b),
    release: (a, b) => both((from, to) => network.release(from, to), a, b),
    stop: async () => undefined,
  };
});

peerConformance("tcp", async () => new TcpWorld());

const certificate = makeCertificate();
if (certificate !== undefined) {
  const tls = { ...certificate, clientCertAuth: true };
  peerConformance("tls", async () => new TcpWorld({ tls }));
}
