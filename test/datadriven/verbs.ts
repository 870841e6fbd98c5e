/**
 * The directives of the stories. Members are named by their number. Every directive answers with what
 * happened; the option `quiet` leaves only the news.
 *
 * - `add-members N [lease=MS] [inflight=N] [append-bytes=N]`: initial members 1..N
 * - `add-member ID [voters=1,2,3] [learners=4] [log=1x3,4x2] [term=T] [commit=I] [append-bytes=N]`: one with a past;
 *   without voters one that joins
 * - `campaign ID`, `heartbeat ID`: the clock moves to when that is due, and only that member notices
 * - `elect ID`: a whole election, of which only the outcome is told
 * - `advance MS`, `tick ID...`, `run MS`: move the clock; tell members the time; live on, with everything delivered
 * - `deliver`, `drop`, `duplicate` `[from=] [to=] [type=] [max=]`: messages on their way; `network` lists them
 * - `manual ID... [persist] [apply]`, `persist ID...`, `apply ID...`: who waits for its disk or its state
 * - `propose ID TEXT...`, `forward ID TEXT [conf]`, `propose-conf ID CHANGE`, `read-index ID WAITER`,
 *   `transfer ID [to=ID]`
 * - `crash ID...`, `restart ID...`, `cut A B`, `cut A > B`, `isolate ID`, `heal`
 * - `compact ID INDEX`, `open-snapshot FROM TO`, `send-snapshot FROM TO [fail]`, `unreachable ID PEER`
 * - `stabilize`, `status [ID...]`, `log [ID...]`, `disk [ID...]`, `lease ID...`
 */
import { bytesOf, NO_MEMBER } from "../../src/base/index.ts";
import {
  type ConfState,
  changeConf,
  EMPTY_CONF,
  type Entry,
  type ProposedEntry,
  type RaftOptions,
} from "../../src/raft/index.ts";
import type { Directive } from "./datadriven.ts";
import { logText, type MessageFilter, Story } from "./story.ts";
import { emptyDisk, StoryMember, seededDisk } from "./story-member.ts";
import { arrowText, confText, entryText, idText, parseChange, position, roleText } from "./words.ts";

const ELECTION_MS = 1000;
const HEARTBEAT_MS = 100;

type Verb = (world: World, d: Directive) => void;

/** A story and the settings that later members share with the first ones. */
interface World {
  readonly story: Story;
  options: Omit<RaftOptions, "id">;
}

/** An interpreter for one story file. */
export function storyteller(): (directive: Directive) => readonly string[] {
  const world: World = {
    story: new Story(),
    options: {
      electionTimeoutMs: ELECTION_MS,
      heartbeatMs: HEARTBEAT_MS,
      leaseReads: false,
      maxInflightMessages: 16,
      maxAppendBytes: 1024,
      maxUncommittedBytes: 1_000_000,
      maxPendingReads: 100,
    },
  };
  return (d) => {
    const verb = VERBS.get(d.verb);
    if (verb === undefined) throw new Error(`"${d.verb}" is no directive`);
    world.story.quiet = d.words.includes("quiet");
    verb(world, d);
    return world.story.takeLines();
  };
}

const VERBS: ReadonlyMap<string, Verb> = new Map<string, Verb>([
  ["add-members", addMembers],
  ["add-member", addMember],
  ["advance", ({ story }, d) => advance(story, d)],
  ["apply", ({ story }, d) => each(story, d, (m) => story.apply(m))],
  ["campaign", ({ story }, d) => wake(story, d)],
  ["compact", ({ story }, d) => story.member(id(d, 0)).compact(number(d, 1))],
  ["crash", ({ story }, d) => each(story, d, (m) => m.crash())],
  ["cut", ({ story }, d) => cut(story, d)],
  ["deliver", ({ story }, d) => messages(story, d, (m) => story.deliver(m))],
  ["disk", ({ story }, d) => each(story, d, (m) => story.news(diskText(m)))],
  ["drop", ({ story }, d) => messages(story, d, (m) => story.detail(`dropped ${arrowText(m)}`))],
  ["duplicate", ({ story }, d) => duplicate(story, d)],
  ["elect", ({ story }, d) => elect(story, d)],
  ["forward", ({ story }, d) => forward(story, d)],
  ["heal", ({ story }) => story.cut.clear()],
  ["heartbeat", ({ story }, d) => wake(story, d)],
  ["isolate", ({ story }, d) => each(story, d, (m) => isolate(story, m))],
  ["lease", ({ story }, d) => each(story, d, (m) => story.news(leaseText(story, m)))],
  ["log", ({ story }, d) => each(story, d, (m) => story.news(`${m.id}: ${logText(m.live)}`))],
  ["manual", ({ story }, d) => each(story, d, (m) => manual(m, d))],
  ["network", ({ story }) => tellNetwork(story)],
  ["open-snapshot", ({ story }, d) => openSnapshot(story, d)],
  ["persist", ({ story }, d) => each(story, d, (m) => story.persist(m))],
  ["propose", ({ story }, d) => propose(story, d)],
  ["propose-conf", ({ story }, d) => proposeConf(story, d)],
  ["read-index", ({ story }, d) => act(story, d, (raft, now) => raft.readIndex(now, number(d, 1)))],
  ["restart", ({ story }, d) => each(story, d, (m) => restart(story, m))],
  ["run", ({ story }, d) => story.run(story.now + number(d, 0))],
  ["send-snapshot", ({ story }, d) => sendSnapshot(story, d)],
  ["stabilize", ({ story }) => story.stabilize()],
  ["status", ({ story }, d) => each(story, d, (m) => story.news(statusText(m)))],
  ["tick", ({ story }, d) => each(story, d, (m) => story.act(m, (raft, now) => raft.tick(now)))],
  ["transfer", ({ story }, d) => transfer(story, d)],
  ["unreachable", ({ story }, d) => act(story, d, (raft, now) => raft.unreachable(now, id(d, 1)))],
]);

function addMembers(world: World, d: Directive): void {
  const ids = Array.from({ length: number(d, 0) }, (_, i) => i + 1);
  const lease = d.options.get("lease");
  adjustOptions(world, d);
  const change = `${ids.map((n) => `+${n}`).join(",")}${lease === undefined ? "" : `,lease:${lease}`}`;
  const first: Entry = { index: 1, term: 1, type: "conf", data: bytesOf(change) };
  const changed = changeConf(EMPTY_CONF, parseChange(change));
  if (changed.type === "refused") throw new Error(changed.reason);
  for (const n of ids)
    join(world, n, seededDisk({ entries: [first], term: 1, commit: 1, conf: changed.conf }));
  world.story.news(confText(changed.conf));
}

/** Settings given with a member hold for those that follow, too. */
function adjustOptions(world: World, d: Directive): void {
  const { options } = world;
  world.options = {
    ...options,
    maxInflightMessages: Number(d.options.get("inflight") ?? options.maxInflightMessages),
    maxAppendBytes: Number(d.options.get("append-bytes") ?? options.maxAppendBytes),
    leaseReads: d.options.has("lease") || options.leaseReads,
  };
}

/** `log=1x3,4x2` are three entries of term 1 and two of term 4. */
function addMember(world: World, d: Directive): void {
  const n = Number(d.words[0]);
  adjustOptions(world, d);
  const voters = list(d.options.get("voters"));
  if (voters.length === 0) {
    join(world, n, emptyDisk());
    return;
  }
  const learners = list(d.options.get("learners"));
  const conf: ConfState = { ...EMPTY_CONF, voters, learners };
  const entries: Entry[] = [];
  for (const part of (d.options.get("log") ?? "1x1").split(",")) {
    const [term, count] = part.split("x").map(Number);
    for (let i = 0; i < (count ?? 1); i++) {
      const index = entries.length + 1;
      entries.push({ index, term: term ?? 0, type: "normal", data: bytesOf(`${term}.${index}`) });
    }
  }
  const lastTerm = entries[entries.length - 1]?.term ?? 1;
  const term = Number(d.options.get("term") ?? lastTerm);
  join(world, n, seededDisk({ entries, term, commit: Number(d.options.get("commit") ?? 1), conf }));
}

function join(world: World, n: number, disk: ConstructorParameters<typeof StoryMember>[1]): void {
  const { story } = world;
  const options: RaftOptions = { ...world.options, id: BigInt(n) };
  story.members.set(BigInt(n), new StoryMember(options, disk, story.now));
}

function wake(story: Story, d: Directive): void {
  const member = story.member(id(d, 0));
  story.now = Math.max(story.now, member.live.nextWake());
  story.act(member, (raft, now) => raft.tick(now));
}

/** A whole election without its messages, for stories that are about something else. */
function elect(story: Story, d: Directive): void {
  wake(story, d);
  story.stabilize();
  story.takeLines();
  story.news(`${id(d, 0)} ${roleText(story.member(id(d, 0)).live)}`);
}

function advance(story: Story, d: Directive): void {
  story.now += number(d, 0);
  story.news(`it is ${story.now} ms`);
}

function propose(story: Story, d: Directive): void {
  const member = story.member(id(d, 0));
  for (const text of d.words.slice(1).filter((w) => w !== "quiet")) {
    const result = story.act(member, (raft, now) =>
      raft.propose(now, [{ type: "normal", data: bytesOf(text) }]),
    );
    if (result.type === "dropped") story.news(`dropped: ${result.reason}`);
  }
}

function proposeConf(story: Story, d: Directive): void {
  const text = d.words[1] === "leave" ? "" : (d.words[1] ?? "");
  const result = story.act(story.member(id(d, 0)), (raft, now) =>
    raft.proposeConfChange(now, parseChange(text), bytesOf(text)),
  );
  if (result.type === "dropped") story.news(`dropped: ${result.reason}`);
}

function forward(story: Story, d: Directive): void {
  const type = d.words.includes("conf") ? "conf" : "normal";
  const entry: ProposedEntry = { type, data: bytesOf(d.words[1] ?? "") };
  const sent = story.act(story.member(id(d, 0)), (raft, now) => raft.forward(now, [entry]));
  if (!sent) story.news("nobody to forward to");
}

function transfer(story: Story, d: Directive): void {
  const to = BigInt(d.options.get("to") ?? NO_MEMBER);
  const result = story.act(story.member(id(d, 0)), (raft, now) => raft.transferLeadership(now, to));
  story.news(result.type === "started" ? `transfer to ${result.to} under way` : `refused: ${result.reason}`);
}

function cut(story: Story, d: Directive): void {
  const oneWay = d.words.includes(">");
  const [a, b] = d.words.filter((w) => w !== ">");
  story.cut.add(`${a}>${b}`);
  if (!oneWay) story.cut.add(`${b}>${a}`);
}

function isolate(story: Story, member: StoryMember): void {
  for (const other of story.members.keys()) {
    if (other === member.id) continue;
    story.cut.add(`${member.id}>${other}`);
    story.cut.add(`${other}>${member.id}`);
  }
}

function manual(member: StoryMember, d: Directive): void {
  member.manualPersist = d.words.includes("persist");
  member.manualApply = d.words.includes("apply");
}

function restart(story: Story, member: StoryMember): void {
  member.start(story.now);
  story.news(statusText(member));
}

/** A view of the sender's state as of now; sending may come much later. */
function openSnapshot(story: Story, d: Directive): void {
  const [from, to] = [story.member(id(d, 0)), id(d, 1)];
  const meta = from.disk.state;
  story.views.set(`${from.id}>${to}`, { term: from.live.term, meta });
  story.act(from, (raft, now) => raft.snapshotOpened(now, to, meta.index));
  story.news(`a view at ${position(meta.index, meta.term)}: ${confText(meta.conf)}`);
}

/** The view arrives complete, or, with `fail`, not at all; the sender learns which. */
function sendSnapshot(story: Story, d: Directive): void {
  const [from, to] = [story.member(id(d, 0)), story.member(id(d, 1))];
  const key = `${from.id}>${to.id}`;
  const view = story.views.get(key);
  if (view === undefined) throw new Error(`${from.id} has no view open for ${to.id}`);
  story.views.delete(key);
  const ok = !d.words.includes("fail");
  if (ok) {
    const { term, meta } = view;
    story.act(to, (raft, now) => {
      const result = raft.restoreSnapshot(now, { from: from.id, to: to.id, term, meta });
      const why = result.type === "ignored" ? `: ${result.reason}` : "";
      story.news(`snapshot ${meta.index} is ${result.type}${why}`);
    });
  }
  story.act(from, (raft, now) => raft.snapshotStatus(now, to.id, ok));
}

function messages(story: Story, d: Directive, use: (m: StoryMessage) => void): void {
  const taken = story.take(filterOf(d), Number(d.options.get("max") ?? Number.POSITIVE_INFINITY));
  for (const m of taken) use(m);
}

type StoryMessage = Story["network"][number];

function tellNetwork(story: Story): void {
  for (const m of story.network) story.news(arrowText(m));
}

/** Delivers what fits and keeps it on its way, ahead of what it causes. */
function duplicate(story: Story, d: Directive): void {
  const max = Number(d.options.get("max") ?? Number.POSITIVE_INFINITY);
  const taken = story.take(filterOf(d), max);
  story.network.unshift(...taken);
  for (const m of taken) story.deliver(m);
}

function filterOf(d: Directive): MessageFilter {
  const [from, to] = [d.options.get("from"), d.options.get("to")];
  return {
    from: from === undefined ? undefined : BigInt(from),
    to: to === undefined ? undefined : BigInt(to),
    type: d.options.get("type"),
  };
}

function act(story: Story, d: Directive, input: Parameters<Story["act"]>[1]): void {
  story.act(story.member(id(d, 0)), input);
}

/** Runs `use` for each member named, or for all when none is. */
function each(story: Story, d: Directive, use: (member: StoryMember) => void): void {
  const named = d.words.filter((w) => /^\d+$/.test(w)).map(BigInt);
  for (const n of named.length === 0 ? [...story.members.keys()] : named) use(story.member(n));
}

function statusText(member: StoryMember): string {
  const { raft } = member;
  if (raft === undefined) return `${member.id}: down`;
  const parts = [
    roleText(raft),
    `vote ${idText(raft.vote)}`,
    `commit ${raft.commit}`,
    `durable ${raft.persistedIndex}`,
    `log ${raft.firstIndex}..${raft.lastIndex}`,
  ];
  for (const p of raft.progressList()) parts.push(`${p.id} ${p.state} match ${p.match}`);
  return `${member.id}: ${parts.join(", ")}`;
}

function diskText(member: StoryMember): string {
  const { hardState, base, entries, state } = member.disk;
  const hard = `term ${hardState.term} vote ${idText(hardState.vote)} commit ${hardState.commit}`;
  const log = entries.length === 0 ? "no entries" : entries.map(entryText).join(", ");
  return `${member.id}: ${hard}; base ${position(base.index, base.term)}; ${log}; state at ${state.index}`;
}

function leaseText(story: Story, member: StoryMember): string {
  const { leaseUntil, promiseUntil } = member.live;
  const lease = leaseUntil > story.now ? `lease for ${leaseUntil - story.now} ms` : "no lease";
  const left = Math.round(promiseUntil - story.now);
  return `${member.id}: ${lease}, ${left > 0 ? `bound for ${left} ms` : "not bound"}`;
}

function list(text: string | undefined): bigint[] {
  return text === undefined ? [] : text.split(",").map(BigInt);
}

function id(d: Directive, at: number): bigint {
  return BigInt(number(d, at));
}

function number(d: Directive, at: number): number {
  const value = Number(d.words[at]);
  if (!Number.isInteger(value)) throw new Error(`"${d.words[at]}" is no number`);
  return value;
}
