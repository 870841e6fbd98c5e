// Goal: who may speak consensus with a member, and what those who may not are told. Method: one table over
// the pure judgement; each row changes one thing of a hello or a standing that is accepted otherwise.
import { expect, it } from "vitest";
import type { PeerStanding } from "../../../src/env/index.ts";
import type { PeerHello } from "../../../src/pb/index.ts";
import { judgeHello, type LocalMember } from "../../../src/peer/index.ts";

const local: LocalMember = { cluster: 0xc1n, member: 0xan, instance: 0x1an };
const hello: PeerHello = {
  version: 1,
  cluster: 0xc1n,
  member: 0xbn,
  instance: 0x1bn,
  to: 0xan,
  purpose: "consensus",
};
const pinned: PeerStanding = { type: "known", pinnedInstance: 0x1bn };
const unpinned: PeerStanding = { type: "known", pinnedInstance: 0n };
const unknown: PeerStanding = { type: "unknown" };
const removed: PeerStanding = { type: "removed" };

interface Row {
  readonly name: string;
  readonly standing: PeerStanding;
  readonly hello?: Partial<PeerHello>;
  /** Empty: accepted. */
  readonly reason: string;
}

const rows: readonly Row[] = [
  { name: "pinned instance", standing: pinned, reason: "" },
  { name: "not pinned yet", standing: unpinned, reason: "" },
  { name: "unknown member: this one may lag", standing: unknown, reason: "" },
  { name: "snapshot connection", standing: pinned, hello: { purpose: "snapshot" }, reason: "" },
  {
    name: "newer protocol",
    standing: pinned,
    hello: { version: 2 },
    reason: "peer protocol version 2 is newer than this program speaks (1)",
  },
  {
    name: "other cluster",
    standing: pinned,
    hello: { cluster: 0xc2n },
    reason: "member b is of cluster c2, this is cluster c1",
  },
  {
    name: "misrouted",
    standing: pinned,
    hello: { to: 0xcn },
    reason: "member b means member c, this is member a",
  },
  {
    name: "own identity",
    standing: pinned,
    hello: { member: 0xan },
    reason: "member a is this member's own identity a (data directory instance 1b here 1a)",
  },
  {
    name: "own data directory under another identity",
    standing: unknown,
    hello: { instance: 0x1an },
    reason:
      "member b comes with the data directory instance 1a of this member a: its data directory is a copy",
  },
  {
    name: "removed",
    standing: removed,
    reason: "member b has been removed from the cluster c1; identities are not used again",
  },
  {
    name: "lost its data",
    standing: pinned,
    hello: { instance: 0x2bn },
    reason:
      "member b comes with data directory instance 2b, but the cluster knows it with 1b: it lost its data, " +
      "or a copy of it runs. It cannot come back under its old identity, because it has forgotten its vote " +
      "and what it acknowledged. Replace it: kvctl member remove b, " +
      "then kvctl member add <name> --peer-urls=... --learner",
  },
  {
    name: "lost its data, on the snapshot connection",
    standing: pinned,
    hello: { instance: 0x2bn, purpose: "snapshot" },
    reason: "kvctl member remove b",
  },
];

it.each(rows)("$name", ({ standing, hello: change, reason }) => {
  const verdict = judgeHello(local, standing, { ...hello, ...change });
  if (reason === "") expect(verdict).toEqual({ type: "accepted" });
  else expect(verdict).toEqual({ type: "refused", reason: expect.stringContaining(reason) });
});

it("names the cluster before the instance: a member of another cluster is not told to replace itself", () => {
  const verdict = judgeHello(local, pinned, { ...hello, cluster: 0xc2n, instance: 0x2bn });
  expect(verdict).toEqual({ type: "refused", reason: expect.not.stringContaining("kvctl") });
});
