/** Mutants of the consensus core (reliability.md §7, "Mutants for T1", and our own). */
import { mutant } from "./mutant.ts";
import type { Mutant } from "./types.ts";

const F = {
  state: "state.ts",
  raft: "raft.ts",
  log: "log.ts",
  election: "election.ts",
  follower: "follower.ts",
  leader: "leader.ts",
  membership: "membership.ts",
  quorum: "quorum.ts",
  rounds: "rounds.ts",
};

const raftMutant = mutant.bind(undefined, "raft");

export const ELECTION_MUTANTS: readonly Mutant[] = [
  raftMutant(
    "vote-sent-before-persisted",
    "A vote leaves before the disk has it: after a crash the member votes again in the same term.",
    [F.election, `s.hold({ type: "voteResponse"`, `s.send({ type: "voteResponse"`],
  ),
  raftMutant(
    "vote-request-before-persisted",
    "A candidate asks for votes with a log end and a term that its disk does not hold.",
    [F.election, "else s.hold(request);", "else s.send(request);"],
  ),
  raftMutant("vote-not-persisted", "A restarted member has forgotten whom it voted for.", [
    F.state,
    "this.vote = start.hardState.vote;",
    "this.vote = NO_MEMBER;",
  ]),
  raftMutant("term-not-persisted", "A restarted member believes the term of its last entry to be its own.", [
    F.state,
    "this.term = start.hardState.term;",
    "this.term = this.log.lastTerm;",
  ]),
  raftMutant("vote-twice", "A member votes for everybody who asks in its term.", [
    F.election,
    "s.vote === m.from || (s.vote === NO_MEMBER && s.leader === NO_MEMBER) || (m.pre && m.term > s.term);",
    "s.term > 0;",
  ]),
  raftMutant("no-up-to-date-check", "A vote goes to a candidate whose log is behind (Raft paper §5.4.1).", [
    F.election,
    "free && !isBoundToLeader(s, m) && s.log.isUpToDate(m.lastIndex, m.lastTerm)",
    "free && !isBoundToLeader(s, m)",
  ]),
  raftMutant("up-to-date-by-length", "The longer log wins whatever its last term is (skiff's bug).", [
    F.log,
    "return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);",
    "return lastTerm >= 0 && lastIndex >= this.lastIndex;",
  ]),
  raftMutant(
    "pre-vote-counts-as-vote",
    "A granted pre-vote is counted in the real election.",
    [
      F.election,
      `const asked = m.pre ? s.role === "preCandidate" : s.role === "candidate";`,
      `const asked = s.role === "preCandidate" || s.role === "candidate";`,
    ],
    [F.election, "if (m.pre && m.granted && m.term !== s.term + 1) return;", ""],
  ),
  raftMutant(
    "pre-vote-bumps-term",
    "A pre-vote request changes the receiver's term: a cut-off member inflates it.",
    [F.raft, "if (m.pre) return true;", "if (m.pre) s.becomeFollower(m.term, NO_MEMBER);"],
  ),
  raftMutant("vote-of-one-half", "An election in a joint configuration needs only the incoming majority.", [
    F.quorum,
    "const outgoing = majorityVote(conf.votersOutgoing, votes);",
    "const outgoing = incoming;",
  ]),
  raftMutant("vote-reset-lost", "A vote survives into the next term, so it is given to the wrong one.", [
    F.state,
    "if (term > this.term) this.enterTerm(term, NO_MEMBER);",
    "if (term > this.term) this.enterTerm(term, this.vote);",
  ]),
];

export const LOG_MUTANTS: readonly Mutant[] = [
  raftMutant("ack-before-fsync", "An append is acknowledged before it is on the disk (etcd #14370).", [
    F.follower,
    `function acknowledge(s: RaftState, to: MemberId, index: number): void {\n  s.hold({`,
    `function acknowledge(s: RaftState, to: MemberId, index: number): void {\n  s.send({`,
  ]),
  raftMutant("leader-counts-unpersisted", "The leader counts itself before its own disk has the entry.", [
    F.state,
    "if (id === this.id) return this.log.persisted;",
    "if (id === this.id) return this.log.lastIndex;",
  ]),
  raftMutant(
    "overwritten-batch-counts",
    "A batch that came back from the disk counts although it was overwritten since.",
    [
      F.log,
      "const to = Math.min(this.#savingTo, this.#unsavedFrom - 1);",
      "const to = Math.min(this.#savingTo, this.lastIndex);",
    ],
    [F.log, `assert(this.#persisted < this.#unsavedFrom, "persisted and unsaved", {`, `assert(true, "", {`],
  ),
  raftMutant(
    "commit-old-term-by-count",
    "An entry of an older term is committed by counting (Raft paper, figure 8).",
    [
      F.leader,
      "if (index <= s.log.committed || s.log.termAt(index) !== s.term) return false;",
      "if (index <= s.log.committed) return false;",
    ],
  ),
  raftMutant(
    "heartbeat-commits-unmatched",
    "A heartbeat carries the leader's commit whatever the member has (etcd #10166).",
    [
      F.leader,
      "const commit = Math.min(progress.match, s.log.committed);",
      "const commit = s.log.committed;",
    ],
  ),
  raftMutant(
    "no-log-matching-check",
    "An append is taken without looking at the term before it (liferaft's bug).",
    [
      F.follower,
      "if (s.log.termAt(m.prevIndex) !== m.prevTerm) {",
      "if (s.log.termAt(m.prevIndex) === undefined) {",
    ],
  ),
  raftMutant("no-truncate-on-conflict", "Entries that conflict with the leader's are kept.", [
    F.log,
    "if (this.termAt(entry.index) !== entry.term) return entry;",
    "if (this.termAt(entry.index) === undefined) return entry;",
  ]),
  raftMutant(
    "late-append-truncates",
    "A late or repeated append cuts off what came after it (skiff's bug).",
    [F.follower, "const conflict = s.log.firstConflict(m.entries);", "const conflict = m.entries[0];"],
  ),
  raftMutant(
    "apply-before-persisted",
    "Committed entries are applied before this member's own disk has them.",
    [F.log, "const to = Math.min(this.#committed, this.#persisted);", "const to = this.#committed;"],
  ),
  raftMutant("check-quorum-off", "A leader that hears nobody stays leader.", [
    F.leader,
    "if (s.now - heardAt > s.options.electionTimeoutMs) {",
    "if (s.now < heardAt) {",
  ]),
  raftMutant("snapshot-conf-lost", "A member that installs a snapshot keeps its old configuration.", [
    F.raft,
    "s.conf = meta.conf;",
    "",
  ]),
];

export const READ_MUTANTS: readonly Mutant[] = [
  raftMutant(
    "read-before-commit-in-term",
    "A new leader answers reads before it knows what is committed (etcd #7331).",
    [
      F.leader,
      "if (!s.hasCommittedInTerm()) {\n    s.rounds.waitForCommit(reader);",
      "if (s.log.committed < 0) {\n    s.rounds.waitForCommit(reader);",
    ],
    [F.state, "this.hasCommittedInTerm() &&\n      this.now", "this.now"],
  ),
  raftMutant(
    "read-without-quorum",
    "A leader answers reads without asking anybody whether it still is one.",
    [
      F.leader,
      "s.rounds.wait(reader, s.log.committed);\n",
      "answerReader(s, reader, s.log.committed, false);\n",
    ],
  ),
  raftMutant(
    "lease-by-receive-time",
    "The lease runs from when the answers came, not from when the question left.",
    [
      F.leader,
      "s.rounds.promise(promised, s.conf.leaseMs);",
      "s.rounds.promise(promised, s.conf.leaseMs + s.now - s.rounds.sentAt(promised));",
    ],
    [
      F.rounds,
      "  /** Ends the lease:",
      "  sentAt(round: number): MonoMs {\n    return this.#sentAt[round % REMEMBERED_ROUNDS] as MonoMs;\n  }\n\n  /** Ends the lease:",
    ],
  ),
  raftMutant("lease-kept-over-transfer", "The lease goes on after MsgTimeoutNow (tikv #964).", [
    F.leader,
    "s.leaseGivenUp = true;\n  s.rounds.voidLease();\n",
    "",
  ]),
  raftMutant("restart-forgets-promise", "A restarted member votes at once, whatever it promised before.", [
    F.state,
    "this.promiseUntil = deps.now + start.longestLeaseMs * PROMISE_FACTOR;",
    "this.promiseUntil = deps.now;",
  ]),
  raftMutant(
    "promise-not-kept",
    "A member votes and campaigns while it is bound by a promise, once its leader seems gone.",
    [F.election, "return s.hasLiveLeader() || s.now < s.promiseUntil;", "return s.hasLiveLeader();"],
    [F.election, "if (s.now < s.promiseUntil) {", "if (s.now < s.promiseUntil - 60_000) {"],
  ),
  raftMutant(
    "promise-without-margin",
    "The promise is as long as the lease: no room for clocks of different rates.",
    [F.state, "export const PROMISE_FACTOR = 1.1;", "export const PROMISE_FACTOR = 1.0;"],
  ),
];

export const MEMBERSHIP_MUTANTS: readonly Mutant[] = [
  raftMutant("two-pending-changes", "A change is proposed while another is not applied.", [
    F.membership,
    "if (!s.hasCommittedInTerm() || s.pendingConfIndex > s.applied)\n    return dropped(",
    "if (!s.hasCommittedInTerm())\n    return dropped(",
  ]),
  raftMutant("learner-counted", "A learner's acknowledgement counts towards the majority.", [
    F.quorum,
    "const incoming = majorityReached(conf.voters, reached);",
    "const incoming = conf.learners.length === 0 ? majorityReached(conf.voters, reached) :\n" +
      "    conf.voters.concat(conf.learners).map(reached).sort((a, b) => b - a)[conf.voters.length >> 1] ?? 0;",
  ]),
  raftMutant("commit-by-one-half", "A joint configuration commits by its incoming majority alone.", [
    F.quorum,
    "if (conf.votersOutgoing.length === 0) return incoming;",
    "if (conf.votersOutgoing.length >= 0) return incoming;",
  ]),
  raftMutant("joint-never-left", "Nobody leaves the joint configuration.", [
    F.membership,
    `if (s.role !== "leader" || !isJoint(s.conf) || s.transfer !== undefined) return;`,
    `if (s.role === "leader" || !isJoint(s.conf) || s.transfer !== undefined) return;`,
  ]),
];
