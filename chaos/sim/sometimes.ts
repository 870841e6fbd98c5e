/**
 * Things that must happen now and then, or the simulator has stopped testing what it claims to test. Each is counted
 * per run; a long run that never reached one of them fails (reliability.md, T20).
 */

/** Every point, with what it means to have reached it. */
export const SOMETIMES = {
  "lease read served": "a leader answered a linearizable read at once, by its lease",
  "lease refused after transfer": "a leader that had sent TimeoutNow had no lease left when a read came",
  "lease void by configuration change":
    "a leader lost its lease by proposing or applying a configuration change",
  "vote withheld by promise": "a member bound by a lease promise did not grant a vote",
  "vote withheld after restart": "a member did not grant a vote because of what it may have promised before",
  "lease expired, quorum round used": "a leader in lease mode answered a read after its lease had run out",
  "read waited for the new term":
    "a read came to a leader that had committed nothing in its term, and waited",
  "snapshot opened": "a view of the state was opened for a stream",
  "snapshot sent": "a stream was reported complete to its sender",
  "snapshot broken": "a stream ended before it was complete",
  "snapshot received": "a complete snapshot directory became durable at a receiver",
  "snapshot record durable": "the log record that commits a snapshot became durable",
  "crash between snapshot directory and record":
    "a process died with a complete directory and no record of it",
  "snapshot installed": "a member went on from a snapshot",
  "crash while sending a snapshot": "a process died in the middle of a stream that it sent",
  "crash while receiving a snapshot": "a process died in the middle of a stream that came",
  "crash between snapshot record and install":
    "a process died when the log named a snapshot that it had not loaded yet",
  "two snapshots sent at once": "a stream was opened while another one was being sent",
  "snapshot comes while another does":
    "a stream began at a member that was receiving or installing another one",
  "watcher across a snapshot": "a member with watchers went on from a snapshot",
  "snapshot over conflicting entries":
    "a snapshot replaced a log that held other entries at its place or behind",
  "stale snapshot discarded": "a complete snapshot was no longer wanted",
  "leader change with uncommitted tail":
    "a leader began with entries of earlier terms that nobody had committed",
  "conflicting entries overwritten": "a follower overwrote entries of its log",
  "torn batch repaired": "recovery found an unfinished last batch and cleared its room",
  "power lost at a moment of the log": "a machine lost power at a step of its log on which recovery hangs",
  "slow disk hands over": "a leader whose disk stalled asked another to campaign",
  "joint configuration left": "a member applied the end of a joint configuration",
  "leader removed itself": "a leader applied a configuration without itself",
  "learner promoted": "a learner became a voter",
  "wiped member refused": "a member without its data was refused under its old identity",
  "damaged log refused": "a log with flipped bits was refused at open",
  "dead member replaced": "an operator took a dead member out and a new one became a voter in its place",
  "duplicate proposal dropped": "a leader got the same forwarded proposal twice and appended it once",
  "forged message refused": "a message that no member sends was refused",
  "process paused": "a process stood still while its clock went on",
  "leader paused past its lease": "a leader came back from a pause after its lease had run out",
  "power cut everywhere": "all machines lost power at once",
  "unsynced data lost": "a recovered log lacked a batch that had been handed to the disk",
  "disk error was fatal": "a member stopped because its log could not be written",
  "disk full was fatal": "a member stopped because the disk had no room for its log",
  "graceful stop": "a member handed over and stopped",
  "lease length changed": "a configuration change gave the lease another length",
  "watch progress on request": "a watch stream reported its progress because it was asked",
  "watch cancelled by compaction": "a watcher began below the floor and was cancelled",
  "watch resumed at another process": "a watcher went on where it had stopped when its member died",
  "watch response in fragments": "the events of one revision came in several responses",
  "watcher behind catches up": "a watcher was told of old revisions",
  "lease expired": "the leader revoked a lease whose time was over",
  "lease kept alive": "a lease was renewed",
  "lease checkpoint applied": "remaining times of leases were replicated",
  "compaction applied": "history was cut",
  "read below the floor refused": "a read at a compacted revision was refused",
  "txn failed its compare": "a txn took its second branch",
  "out of space": "a write was refused because the quota was reached",
  "crash while deleting what was compacted":
    "a process died between a compaction and the end of its deletions",
  "unknown write took effect": "a write that its client never heard of is in the log",
} as const;

export type SometimesPoint = keyof typeof SOMETIMES;

export const SOMETIMES_POINTS = Object.keys(SOMETIMES) as SometimesPoint[];

/** How often each point was reached. */
export class Sometimes {
  readonly counts = new Map<SometimesPoint, number>();

  reached(point: SometimesPoint): void {
    this.counts.set(point, (this.counts.get(point) ?? 0) + 1);
  }
}
