// Goal: how the leader sees one member: transitions, window, and that late answers move nothing back. Method: tables
// of event sequences; one random walk that checks the invariants after every event.
import { describe, expect, test } from "vitest";
import { Progress } from "../../../src/raft/progress.ts";
import { seededRandom } from "../../support/raft-disk.ts";

type Event =
  | ["sent", number]
  | ["match", number]
  | ["reject", number, number]
  | ["beat"]
  | ["probe"]
  | ["replicate"]
  | ["snapshot", number]
  | ["failed"];

function run(events: readonly Event[], window = 3): Progress {
  const progress = new Progress(10, window);
  for (const event of events) apply(progress, event);
  progress.checkInvariants(1000);
  return progress;
}

function apply(progress: Progress, event: Event): void {
  switch (event[0]) {
    case "sent":
      progress.sent(event[1]);
      break;
    case "match":
      progress.maybeMatch(event[1]);
      break;
    case "reject":
      progress.maybeBacktrack(event[1], event[2]);
      break;
    case "beat":
      progress.heartbeatAnswered();
      break;
    case "probe":
      progress.becomeProbe();
      break;
    case "replicate":
      progress.becomeReplicate();
      break;
    case "snapshot":
      progress.becomeSnapshot();
      progress.pendingSnapshot = event[1];
      break;
    case "failed":
      progress.snapshotFailed();
      break;
  }
}

interface View {
  readonly state: string;
  readonly match: number;
  readonly next: number;
  readonly paused: boolean;
  readonly inflight: number;
}

const table: [name: string, events: Event[], view: View][] = [
  [
    "it begins by probing at the end of the log",
    [],
    { state: "probe", match: 0, next: 10, paused: false, inflight: 0 },
  ],
  ["probe: one at a time", [["sent", 3]], { state: "probe", match: 0, next: 10, paused: true, inflight: 0 }],
  [
    "probe: a heartbeat's answer opens the way",
    [["sent", 3], ["beat"]],
    { state: "probe", match: 0, next: 10, paused: false, inflight: 0 },
  ],
  [
    "probe: refused",
    [
      ["sent", 3],
      ["reject", 9, 4],
    ],
    { state: "probe", match: 0, next: 5, paused: false, inflight: 0 },
  ],
  [
    "probe: refused without a better hint goes back by one at least",
    [
      ["sent", 3],
      ["reject", 9, 9],
    ],
    { state: "probe", match: 0, next: 9, paused: false, inflight: 0 },
  ],
  [
    "probe: a hint of 0 goes to the beginning",
    [
      ["sent", 3],
      ["reject", 9, 0],
    ],
    { state: "probe", match: 0, next: 1, paused: false, inflight: 0 },
  ],
  [
    "probe: a late refusal of another append is not heard",
    [
      ["sent", 3],
      ["reject", 7, 2],
    ],
    { state: "probe", match: 0, next: 10, paused: true, inflight: 0 },
  ],
  [
    "probe: the same refusal twice moves once",
    [
      ["sent", 1],
      ["reject", 9, 4],
      ["sent", 1],
      ["reject", 9, 4],
    ],
    { state: "probe", match: 0, next: 5, paused: true, inflight: 0 },
  ],
  [
    "probe: never to or below match (etcd raft #149)",
    [["match", 7], ["probe"], ["reject", 7, 3]],
    { state: "probe", match: 7, next: 8, paused: false, inflight: 0 },
  ],
  [
    "match moves next along",
    [["match", 12]],
    { state: "probe", match: 12, next: 13, paused: false, inflight: 0 },
  ],
  [
    "match does not fall",
    [
      ["match", 12],
      ["match", 5],
    ],
    { state: "probe", match: 12, next: 13, paused: false, inflight: 0 },
  ],
  [
    "replicate: from match on",
    [["match", 5], ["replicate"]],
    { state: "replicate", match: 5, next: 6, paused: false, inflight: 0 },
  ],
  [
    "replicate: pipelined",
    [["match", 5], ["replicate"], ["sent", 2], ["sent", 3]],
    { state: "replicate", match: 5, next: 11, paused: false, inflight: 2 },
  ],
  [
    "replicate: until the window is full",
    [["match", 5], ["replicate"], ["sent", 1], ["sent", 1], ["sent", 1]],
    { state: "replicate", match: 5, next: 9, paused: true, inflight: 3 },
  ],
  [
    "replicate: an append without entries takes no room",
    [["match", 5], ["replicate"], ["sent", 0], ["sent", 0]],
    { state: "replicate", match: 5, next: 6, paused: false, inflight: 0 },
  ],
  [
    "replicate: an answer frees all up to it",
    [["match", 5], ["replicate"], ["sent", 1], ["sent", 1], ["sent", 1], ["match", 7]],
    { state: "replicate", match: 7, next: 9, paused: false, inflight: 1 },
  ],
  [
    "replicate: a heartbeat's answer frees one of a full window",
    [["match", 5], ["replicate"], ["sent", 1], ["sent", 1], ["sent", 1], ["beat"]],
    { state: "replicate", match: 5, next: 9, paused: false, inflight: 2 },
  ],
  [
    "replicate: and none of one that is not full",
    [["match", 5], ["replicate"], ["sent", 1], ["beat"]],
    { state: "replicate", match: 5, next: 7, paused: false, inflight: 1 },
  ],
  [
    "replicate: a refusal goes back to probing behind match",
    [["match", 5], ["replicate"], ["sent", 4], ["reject", 9, 7]],
    { state: "probe", match: 5, next: 6, paused: false, inflight: 0 },
  ],
  [
    "replicate: a late refusal is not heard",
    [["match", 5], ["replicate"], ["sent", 4], ["reject", 5, 2]],
    { state: "replicate", match: 5, next: 10, paused: false, inflight: 1 },
  ],
  [
    "snapshot: nothing is sent",
    [["snapshot", 8]],
    { state: "snapshot", match: 0, next: 10, paused: true, inflight: 0 },
  ],
  [
    "snapshot: not by a heartbeat's answer either",
    [["snapshot", 8], ["beat"]],
    { state: "snapshot", match: 0, next: 10, paused: true, inflight: 0 },
  ],
  [
    "snapshot: a refusal is not heard",
    [
      ["snapshot", 8],
      ["reject", 9, 1],
    ],
    { state: "snapshot", match: 0, next: 10, paused: true, inflight: 0 },
  ],
  [
    "snapshot: done, probing goes on behind it",
    [["snapshot", 8], ["probe"]],
    { state: "probe", match: 0, next: 9, paused: false, inflight: 0 },
  ],
  [
    "snapshot: failed, it counts for nothing",
    [["snapshot", 8], ["failed"], ["probe"]],
    { state: "probe", match: 0, next: 1, paused: false, inflight: 0 },
  ],
  [
    "snapshot: behind what is known to match anyway",
    [["match", 20], ["snapshot", 8], ["probe"]],
    { state: "probe", match: 20, next: 21, paused: false, inflight: 0 },
  ],
];

test.each(table)("%s", (_, events, view) => {
  const progress = run(events);
  const { state, match, next, inflight } = progress;
  expect({ state, match, next, inflight, paused: progress.isPaused() }).toEqual(view);
});

describe("guards", () => {
  test("an append to a member that waits for a snapshot is a bug", () => {
    expect(() =>
      run([
        ["snapshot", 3],
        ["sent", 1],
      ]),
    ).toThrow("snapshot");
  });

  test.each([
    ["next 0", 0, 1],
    ["window 0", 1, 0],
  ])("cannot begin with %s", (_, next, window) => {
    expect(() => new Progress(next, window)).toThrow("out of range");
  });
});

test("random walks keep match < next, the window, and never lower match", () => {
  let steps = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    const progress = new Progress(10, 4);
    let match = 0;
    for (let i = 0; i < 60; i++) {
      const event = randomEvent(random, progress);
      apply(progress, event);
      progress.checkInvariants(100_000);
      if (progress.match < match) throw new Error(`seed ${seed} step ${i}: match fell to ${progress.match}`);
      match = progress.match;
      steps++;
    }
  }
  expect(steps).toBe(300 * 60);
});

function randomEvent(random: ReturnType<typeof seededRandom>, progress: Progress): Event {
  switch (random.int(0, 7)) {
    case 0:
      // A member cannot have what was never sent to it.
      return ["match", random.int(0, progress.next)];
    case 1:
      return ["reject", random.int(0, progress.next + 3), random.int(0, progress.next + 3)];
    case 2:
      return ["beat"];
    case 3:
      return ["probe"];
    case 4:
      return ["replicate"];
    case 5:
      return ["snapshot", random.int(0, progress.next)];
    default:
      return progress.isPaused() ? ["beat"] : ["sent", random.int(0, 4)];
  }
}
