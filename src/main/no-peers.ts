/** The peer transport of a cluster of one: there is nobody to talk to. */
import { fail } from "../base/index.ts";
import type { PeerTransport } from "../env/index.ts";

export const NO_PEERS: PeerTransport = {
  start: () => Promise.resolve(),
  setPeers: (peers) => {
    if (peers.length > 0) fail("a member alone has peers", { peers: peers.length });
  },
  send: () => undefined,
  openSnapshot: () => Promise.reject(new Error("a member alone has nobody to send a snapshot to")),
  close: () => Promise.resolve(),
};
