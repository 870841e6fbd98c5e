/** Mutants of leases (etcd #13508, #15247 and others, and our own). */
import { mutant } from "./mutant.ts";
import type { Mutant } from "./types.ts";

const leaseMutant = mutant.bind(undefined, "lease");

export const LEASE_MUTANTS: readonly Mutant[] = [
  leaseMutant("lease-not-saved", "A granted lease is forgotten by whoever restarts.", [
    "lessor.ts",
    "    this.#save(lease);\n    if (this.#primary)",
    "    if (this.#primary)",
  ]),
  leaseMutant("revoked-lease-stays-saved", "A revoked lease comes back with the next restart.", [
    "lessor.ts",
    "this.#records.delete(recordOfLease(id));",
    "",
  ]),
  leaseMutant("lease-not-detached", "A key that is put without its lease still goes with that lease.", [
    "lessor.ts",
    "if (from !== 0n) this.#leases.get(from)?.keys.delete(meta.key);",
    `if (from !== 0n && type === "delete") this.#leases.get(from)?.keys.delete(meta.key);`,
  ]),
  leaseMutant("granted-again", "A grant of a lease that is there replaces it, without its keys.", [
    "lessor.ts",
    "if (this.#leases.has(id)) return ERR.leaseExists;",
    "if (this.#leases.has(id)) this.revoke(id);",
  ]),
  leaseMutant(
    "expired-lease-revived",
    "A lease whose revoke is on its way is renewed all the same (etcd #20616).",
    [
      "lessor.ts",
      "if (lease === undefined || deadlineOf(lease) <= now) return 0;",
      "if (lease === undefined) return 0;",
    ],
    [
      "lessor.ts",
      "    this.#expiry.postpone(id, deadline);\n    if (lease.mark",
      "    this.#expiry.postpone(id, Math.max(deadline, now + RETRY_MS));\n    if (lease.mark",
    ],
  ),
  leaseMutant("renewal-moves-nothing", "A keepalive is answered, and the lease ends as if it had not been.", [
    "lessor.ts",
    "    this.#expiry.postpone(id, deadline);\n    if (lease.mark",
    "    if (lease.mark",
  ]),
  leaseMutant(
    "new-leader-does-not-extend",
    "A new leader takes half of what a lease was granted for what is left.",
    [
      "lessor.ts",
      "const asked = leases.map((lease) => now + secondsOf(lease) * 1000 + extendMs);",
      "const asked = leases.map((lease) => now + secondsOf(lease) * 500);",
    ],
  ),
  leaseMutant(
    "checkpoint-not-taken-back",
    "A lease that was renewed after a checkpoint has its old remaining time at the next leader (etcd #13508).",
    ["lessor.ts", "if (lease.mark > 0) this.#renewed.add(id);", "if (lease.mark > 0) forgetMarks(lease);"],
  ),
];
