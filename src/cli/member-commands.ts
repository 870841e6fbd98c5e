/** `kvctl member …`, `move-leader`, `alarm …`. */
import type { MemberAddResponse } from "../client/index.ts";
import { badArgs } from "./exit.ts";
import { parseUint64 } from "./numbers.ts";
import { type Flags, type Session, textFlag } from "./session.ts";

export async function memberList(session: Session, _args: readonly string[], flags: Flags): Promise<void> {
  const linearizable = textFlag(flags, "consistency") !== "s";
  session.print({ type: "members", answer: await session.client().cluster.list({ linearizable }) });
}

export async function memberAdd(session: Session, args: readonly string[], flags: Flags): Promise<void> {
  const [name] = args;
  if (name === undefined) throw badArgs("member name not provided");
  if (args.length > 1) throw badArgs("too many arguments");
  const peerUrls = peerUrlsOf(flags);
  const client = session.client();
  const answer = await client.cluster.add({ peerUrls, isLearner: flags["learner"] === true });
  session.print({ type: "memberAdded", answer });
  if (session.format !== "simple") return;
  // The member that answered may be behind; a list that has the new one is what the next start needs.
  const { members } = await client.cluster.list();
  session.system.out(startVariables(name, answer, members));
}

/** What the new member has to be started with. */
function startVariables(
  name: string,
  answer: MemberAddResponse,
  members: MemberAddResponse["members"],
): string {
  const id = answer.member?.id;
  const cluster = members.flatMap((one) =>
    one.peerUrls.map((url) => `${one.id === id ? name : one.name}=${url}`),
  );
  const own = (answer.member?.peerUrls ?? []).join(",");
  return [
    "",
    `ETCD_NAME="${name}"`,
    `ETCD_INITIAL_CLUSTER="${cluster.join(",")}"`,
    `ETCD_INITIAL_ADVERTISE_PEER_URLS="${own}"`,
    'ETCD_INITIAL_CLUSTER_STATE="existing"',
    "",
  ].join("\n");
}

export async function memberRemove(session: Session, args: readonly string[]): Promise<void> {
  const id = memberIdOf(args);
  const answer = await session.client().cluster.remove(id);
  session.print({ type: "memberChanged", id, what: "removed from", answer });
}

export async function memberPromote(session: Session, args: readonly string[]): Promise<void> {
  const id = memberIdOf(args);
  const answer = await session.client().cluster.promote(id);
  session.print({ type: "memberChanged", id, what: "promoted in", answer });
}

export async function memberUpdate(session: Session, args: readonly string[], flags: Flags): Promise<void> {
  const id = memberIdOf(args);
  const answer = await session.client().cluster.update({ id, peerUrls: peerUrlsOf(flags) });
  session.print({ type: "memberChanged", id, what: "updated in", answer });
}

/** Asks every endpoint who leads, and the leader to hand over. */
export async function moveLeader(session: Session, args: readonly string[]): Promise<void> {
  const [text] = args;
  if (text === undefined || args.length > 1) throw badArgs("move-leader command needs 1 argument");
  const target = parseUint64(text, 16);
  if (target.type === "refused") throw badArgs(target.reason);
  for (const endpoint of session.endpoints) {
    const client = session.client([endpoint]);
    const { header, leader } = await client.maintenance.status();
    if (header?.memberId !== leader) continue;
    await client.maintenance.moveLeader(target.value);
    session.system.out(
      `Leadership transferred from ${leader.toString(16)} to ${target.value.toString(16)}\n`,
    );
    return;
  }
  throw badArgs(`no leader endpoint given at [${session.endpoints.join(" ")}]`);
}

export async function alarmList(session: Session, args: readonly string[]): Promise<void> {
  if (args.length > 0) throw badArgs("alarm list command accepts no arguments");
  session.print({ type: "alarms", answer: await session.client().maintenance.alarms() });
}

/** Disarms every alarm that is on, and tells them. */
export async function alarmDisarm(session: Session, args: readonly string[]): Promise<void> {
  if (args.length > 0) throw badArgs("alarm disarm command accepts no arguments");
  const { maintenance } = session.client();
  const raised = await maintenance.alarms();
  let answer = { ...raised, alarms: raised.alarms.slice(0, 0) };
  for (const alarm of raised.alarms) {
    const { header, alarms } = await maintenance.disarm(alarm);
    answer = { type: "alarm", header, alarms: [...answer.alarms, ...alarms] };
  }
  session.print({ type: "alarms", answer });
}

function peerUrlsOf(flags: Flags): readonly string[] {
  const text = textFlag(flags, "peerUrls");
  if (text === "") throw badArgs("member peer urls not provided");
  return text.split(",");
}

function memberIdOf(args: readonly string[]): bigint {
  const [text] = args;
  if (text === undefined || args.length > 1) throw badArgs("member ID is not provided");
  const id = parseUint64(text, 16);
  if (id.type === "refused") throw badArgs(`bad member ID arg (${id.reason}), expecting ID in Hex`);
  return id.value;
}
