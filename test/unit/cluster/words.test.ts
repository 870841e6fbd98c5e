// Goal: what becomes of a member is said in full: which process, how it ended, what comes next, and why it stays down.
// Method: a table of events and their lines.
import { expect, test } from "vitest";
import { leaderOf, type MemberView } from "../../../cluster/leader-watch.ts";
import { eventText } from "../../../cluster/words.ts";

const LOG = { lines: ["one", "two"], path: "data/m1.log" };

test.each([
  [
    "a member that ends",
    { type: "ended", pid: 7, how: "was ended by SIGKILL", delayMs: 100 },
    "m1, process 7, was ended by SIGKILL; starting it again in 100 ms",
  ],
  [
    "a member that comes back",
    { type: "started", pid: 8, isFirst: false },
    "m1 is started again as process 8",
  ],
  [
    "a member that is given up, with the end of its log",
    { type: "gave up", how: "ended with code 1", starts: 5 },
    "m1 ended with code 1, 5 times right after its start: it stays down. " +
      "Mend what its log says, then Ctrl-C and npm start. The end of data/m1.log:\n    one\n    two",
  ],
] as const)("%s", (_name, event, text) => {
  expect(eventText("m1", event, LOG)).toBe(text);
});

test("of two that say that they lead, the one of the newer term does", () => {
  const view = (name: string, isLeader: boolean, term: number): MemberView => ({
    name,
    isServing: true,
    isLeader,
    term,
  });
  expect(leaderOf([view("m1", true, 2), view("m2", true, 3), view("m3", false, 3)])?.name).toBe("m2");
  expect(leaderOf([view("m1", false, 2), view("m2", false, 2)])).toBeUndefined();
});
