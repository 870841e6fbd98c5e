/**
 * How a member that joins finds out who it is. `member add` drew its ID and told the cluster where it will listen. So
 * it asks the members that its flags name for their list, and takes the ID that was added with its own peer URLs.
 *
 * Two members never have one URL, so the match is unique. A list may be old: all members are asked, and the one that
 * has applied most counts; should even that be too old, the others refuse whoever was removed (`peer/handshake.ts`).
 * Who has published a data directory already is no newcomer: it would be a member that lost its data.
 */
import { type ClusterId, hex, type MemberId } from "../base/index.ts";
import type { Clock } from "../env/index.ts";
import type { PeerDirectory } from "../pb/index.ts";
import { lookUp } from "../peer/index.ts";
import { DataDirectoryError } from "./data-directory.ts";
import type { KvdConfig } from "./flags.ts";

const LOOK_UP_MS = 2_000;
/** How often all are asked, and the pause between: `member add` may have been answered a moment ago. */
const ATTEMPTS = 5;
const PAUSE_MS = 500;

/** @throws DataDirectoryError when nobody answers, or nobody added this member */
export async function findIdentity(
  config: KvdConfig,
  clock: Clock,
): Promise<{ readonly cluster: ClusterId; readonly member: MemberId }> {
  const own = config.initialCluster.find(({ name }) => name === config.name)?.peerUrls ?? [];
  const urls = config.initialCluster
    .filter(({ name }) => name !== config.name)
    .flatMap(({ peerUrls }) => peerUrls);
  if (urls.length === 0) {
    throw new DataDirectoryError(
      "--initial-cluster-state=existing needs a member to join in --initial-cluster",
    );
  }
  let problem = "";
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const found = await askAll(urls, clock);
    if ("members" in found) {
      const member = judge(found, own);
      if (typeof member === "bigint") return { cluster: found.cluster, member };
      problem = member;
    } else {
      problem = found.problem;
    }
    if (attempt < ATTEMPTS) await pause(clock);
  }
  throw new DataDirectoryError(`cannot join: ${problem}`);
}

/** The newest list, or why there is none. */
async function askAll(
  urls: readonly string[],
  clock: Clock,
): Promise<PeerDirectory | { readonly problem: string }> {
  const asked = await Promise.allSettled(urls.map((url) => lookUp(url, clock, LOOK_UP_MS)));
  const answers = asked.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const [first] = answers;
  if (first === undefined) {
    const reasons = asked.map((one) => (one.status === "rejected" ? String(one.reason) : ""));
    return { problem: `no member answers: ${reasons.join("; ")}` };
  }
  const other = answers.find(({ cluster }) => cluster !== first.cluster);
  if (other !== undefined) {
    return { problem: `members of two clusters answer: ${hex(first.cluster)} and ${hex(other.cluster)}` };
  }
  return answers.reduce((newest, one) => (one.applied > newest.applied ? one : newest));
}

/** The ID that waits for a member with these URLs, or why none does. */
function judge({ members }: PeerDirectory, own: readonly string[]): MemberId | string {
  const found = members.find(({ peerUrls }) => own.some((url) => peerUrls.includes(url)));
  const urls = own.join(",");
  if (found === undefined)
    return `no member was added with ${urls}; run: kvctl member add <name> --peer-urls=${urls}`;
  if (!found.isStarted) return found.id;
  const id = hex(found.id);
  return (
    `member ${id} listens at ${urls} and has run on another data directory; ` +
    `remove it (kvctl member remove ${id}) and add it again, or restore its data directory`
  );
}

function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.wakeAt(clock.now() + PAUSE_MS, resolve);
  });
}
