export { LEASE_PREFIX, type LessorLoader, type LoadedLeases } from "./lease-record.ts";
export { Lessor, type LessorOptions } from "./lessor.ts";
export { REVOKES_PER_SECOND } from "./spread.ts";
export { type LeaseClock, type LeaseInfo, type LeaseTable, MAX_LEASE_TTL } from "./types.ts";
