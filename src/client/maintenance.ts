/** etcd's Maintenance service. Most of it concerns one member: use a client of one endpoint. */
import { type MessageOf, services } from "../pb/index.ts";
import type { Caller, CallOptions } from "./calls.ts";
import { type Alarm, type Answered, answerOf, ask } from "./kv.ts";
import { decoded } from "./lease.ts";
import { type SnapshotResponse, snapshotResponse } from "./messages.ts";

export type MemberStatus = MessageOf<typeof services.statusResponse>;
export type HashKv = MessageOf<typeof services.hashKvResponse>;

const path = (name: string): string => `/etcdserverpb.Maintenance/${name}`;

export class Maintenance {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async status(options?: CallOptions): Promise<MemberStatus> {
    const bytes = await this.#caller.unary(path("Status"), "read", services.empty.encode({}), options);
    return decoded(services.statusResponse.decode(bytes), "Status");
  }

  /** @param revision 0: the newest */
  async hashKv(revision: number, options?: CallOptions): Promise<HashKv> {
    const request = services.hashKvRequest.encode({ revision });
    const bytes = await this.#caller.unary(path("HashKV"), "read", request, options);
    return decoded(services.hashKvResponse.decode(bytes), "HashKV");
  }

  /** The alarms that are on. */
  async alarms(options?: CallOptions): Promise<Answered<"alarm">> {
    const request = services.alarmQuery.encode({ action: "get", member: 0n, alarm: "none" });
    return answerOf("alarm", await this.#caller.unary(path("Alarm"), "read", request, options));
  }

  disarm(alarm: Alarm, options?: CallOptions): Promise<Answered<"alarm">> {
    return ask(this.#caller, "write", { type: "alarm", action: "deactivate", ...alarm }, options);
  }

  async defragment(options?: CallOptions): Promise<void> {
    await this.#caller.unary(path("Defragment"), "write", services.empty.encode({}), options);
  }

  /** Only the leader takes this. */
  async moveLeader(target: bigint, options?: CallOptions): Promise<void> {
    await this.#caller.unary(
      path("MoveLeader"),
      "write",
      services.moveLeaderRequest.encode({ target }),
      options,
    );
  }

  /** The member's state as a file, in parts; the last one is the SHA-256 of the others. Never begun twice. */
  async *snapshot(signal: AbortSignal): AsyncGenerator<SnapshotResponse, void, void> {
    const stream = await this.#caller.serverStream(path("Snapshot"), services.empty.encode({}), signal);
    for await (const bytes of stream.messages()) yield decoded(snapshotResponse.decode(bytes), "Snapshot");
  }
}
