// Goal: a candidate's vote for itself counts when the disk has it, not when some older batch returns. Method: a sole
// voter whose batch of an earlier term is under way while it begins to campaign.
import { expect, test } from "vitest";
import { changeConf, EMPTY_CONF, Raft } from "../../../src/raft/index.ts";

test("a sole voter leads only once its own vote is durable (Raft paper, figure 2)", () => {
  const result = changeConf(EMPTY_CONF, {
    joint: false,
    steps: [{ type: "addVoter", id: 1n }],
    leaseMs: undefined,
  });
  if (result.type === "refused") throw new Error(result.reason);
  const raft = new Raft(
    {
      id: 1n,
      electionTimeoutMs: 1000,
      heartbeatMs: 100,
      leaseReads: false,
      maxInflightMessages: 8,
      maxAppendBytes: 1000,
      maxUncommittedBytes: 1000,
      maxPendingReads: 8,
    },
    {
      hardState: { term: 1, vote: 0n, commit: 1 },
      base: { index: 1, term: 1 },
      entries: [],
      applied: 1,
      conf: result.conf,
      longestLeaseMs: 0,
    },
    { random: { int: (lo) => lo }, now: 0 },
  );
  // Somebody who does not know that it was removed asks in a later term: that term goes to the disk.
  raft.step(1, {
    type: "voteRequest",
    from: 2n,
    to: 1n,
    term: 5,
    pre: false,
    lastIndex: 0,
    lastTerm: 0,
    transfer: false,
  });
  expect(raft.takeBatch()?.hardState).toMatchObject({ term: 5, vote: 0n });

  raft.tick(5000);
  expect(raft.role).toBe("candidate");
  raft.persisted(5001);
  expect(raft.role).toBe("candidate");

  expect(raft.takeBatch()?.hardState).toMatchObject({ term: 6, vote: 1n });
  raft.persisted(5002);
  expect(raft.role).toBe("leader");
});
