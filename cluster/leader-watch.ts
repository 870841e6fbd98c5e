/**
 * Which members serve, and who leads: asked as any client would, with Status at the client port. A member is believed
 * only about itself: for an election timeout the others still name a leader that is gone.
 */
import { Client, credentials } from "@grpc/grpc-js";
import { services } from "../src/pb/index.ts";
import type { MemberPlace } from "./layout.ts";

const STATUS = "/etcdserverpb.Maintenance/Status";
/** Longest wait for an answer, ms. */
const ANSWER_MS = 1_000;

/** What a member says of itself. */
export interface MemberView {
  readonly name: string;
  /** It answers and knows a leader. */
  readonly isServing: boolean;
  readonly isLeader: boolean;
  readonly term: number;
}

/** Asks members for their status. `close` it. */
export class LeaderWatch {
  readonly #clients: readonly { readonly name: string; readonly client: Client }[];

  constructor(places: readonly MemberPlace[]) {
    const options = {
      // Members come back within a second; a client that waits longer each time would tell it late.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 500,
      // A proxy of the environment is not the way to this machine.
      "grpc.enable_http_proxy": 0,
    };
    this.#clients = places.map(({ name, clientAddress }) => ({
      name,
      client: new Client(clientAddress, credentials.createInsecure(), options),
    }));
  }

  /** Never rejects: a member that does not answer is not serving. */
  look(): Promise<readonly MemberView[]> {
    return Promise.all(this.#clients.map(({ name, client }) => view(name, client)));
  }

  close(): void {
    for (const { client } of this.#clients) client.close();
  }
}

/** The leader of the newest term; undefined: nobody leads just now. */
export function leaderOf(views: readonly MemberView[]): MemberView | undefined {
  return views
    .filter(({ isLeader }) => isLeader)
    .sort((a, b) => b.term - a.term)
    .at(0);
}

function view(name: string, client: Client): Promise<MemberView> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      STATUS,
      () => Buffer.alloc(0),
      (bytes) => bytes,
      undefined,
      { deadline: Date.now() + ANSWER_MS },
      (_error, bytes) => resolve({ name, ...read(bytes) }),
    );
  });
}

function read(bytes: Buffer | undefined): Omit<MemberView, "name"> {
  const silent = { isServing: false, isLeader: false, term: 0 };
  if (bytes === undefined) return silent;
  const decoded = services.statusResponse.decode(bytes);
  if (decoded.type === "refused") return silent;
  const { header, leader, raftTerm } = decoded.value;
  return { isServing: leader !== 0n, isLeader: leader !== 0n && leader === header?.memberId, term: raftTerm };
}
