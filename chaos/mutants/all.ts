/** All mutants, in the order of the table. */
import { APPLY_MUTANTS } from "./apply-mutants.ts";
import { DRIVER_MUTANTS } from "./driver-mutants.ts";
import { LEASE_MUTANTS } from "./lease-mutants.ts";
import { MEMBER_MUTANTS } from "./member-mutants.ts";
import { MVCC_MUTANTS } from "./mvcc-mutants.ts";
import { ELECTION_MUTANTS, LOG_MUTANTS, MEMBERSHIP_MUTANTS, READ_MUTANTS } from "./raft-mutants.ts";
import type { Mutant } from "./types.ts";
import { PEER_MUTANTS, WAL_MUTANTS } from "./wal-mutants.ts";
import { WATCH_MUTANTS } from "./watch-mutants.ts";

export const MUTANTS: readonly Mutant[] = [
  ...ELECTION_MUTANTS,
  ...LOG_MUTANTS,
  ...READ_MUTANTS,
  ...MEMBERSHIP_MUTANTS,
  ...MEMBER_MUTANTS,
  ...APPLY_MUTANTS,
  ...MVCC_MUTANTS,
  ...WATCH_MUTANTS,
  ...LEASE_MUTANTS,
  ...WAL_MUTANTS,
  ...PEER_MUTANTS,
  ...DRIVER_MUTANTS,
];
