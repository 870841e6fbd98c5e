/** What a member's own view says, under the names that etcd's dashboards and alerts ask for. */
import { hex } from "../../base/index.ts";
import type { MemberFacade } from "../../rpc/index.ts";
import type { Registry } from "./registry.ts";

/** Registers the metrics of a member; they are read when somebody asks for them. */
export function registerMember(
  registry: Registry,
  facade: MemberFacade,
  options: { readonly version: string },
): void {
  const status = () => facade.status();
  const store = () => facade.store();
  const bool = (is: boolean): number => (is ? 1 : 0);
  registry.gauge("etcd_server_has_leader", "Whether a leader is known. 1: yes.", () =>
    bool(status().leader !== 0n),
  );
  registry.gauge("etcd_server_is_leader", "Whether this member leads. 1: yes.", () =>
    bool(status().leader === facade.member),
  );
  registry.gauge("etcd_server_is_learner", "Whether this member is a learner. 1: yes.", () =>
    bool(status().conf.learners.includes(facade.member)),
  );
  registry.gauge(
    "etcd_server_proposals_committed_total",
    "Index of the last committed entry.",
    () => status().commit,
  );
  registry.gauge(
    "etcd_server_proposals_applied_total",
    "Index of the last applied entry.",
    () => status().applied,
  );
  registry.gauge("etcd_server_quota_backend_bytes", "Quota, bytes; 0: none.", () => {
    const { quotaBytes } = store();
    return Number.isFinite(quotaBytes) ? quotaBytes : 0;
  });
  const used = (): number => store().usedBytes;
  registry.gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes that count against the quota.", used);
  registry.gauge(
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "Bytes that count against the quota, in use.",
    used,
  );
  registry.gauge("etcd_debugging_mvcc_current_revision", "Newest revision.", () => store().revision);
  registry.gauge(
    "etcd_debugging_mvcc_compact_revision",
    "Revision of the last compaction.",
    () => store().compactRevision,
  );
  registry.gauge("etcd_server_version", "Version that this server is compatible with.", () => [
    [{ server_version: options.version }, 1],
  ]);
  registry.gauge("etcd_server_id", "This member.", () => [[{ server_id: hex(facade.member) }, 1]]);
}
