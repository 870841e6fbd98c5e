/**
 * Bounds that every decoder and every validator shares. A value beyond them is forged or corrupt: it is refused with
 * a reason and changes nothing.
 */
export const LIMITS = {
  /** Largest term that is believed. Terms grow by one per election: 2^48 elections do not happen. */
  maxTerm: 2 ** 48 - 1,
  /** Largest log index that is believed; leaves room below 2^53 for arithmetic on it. */
  maxIndex: 2 ** 52 - 1,
  /** Most entries in one append message. */
  maxEntriesPerMessage: 65_536,
  /** Largest entry payload, bytes. */
  maxEntryBytes: 16 * 1024 * 1024,
  /** Largest encoded peer message, bytes. */
  maxMessageBytes: 64 * 1024 * 1024,
  /** Most members (voters and learners, both halves of a joint configuration together). */
  maxMembers: 64,
  /** Most peer URLs, and as many client URLs, of one member. */
  maxUrls: 16,
  /** Longest URL of a member, bytes. */
  maxUrlBytes: 1_024,
  /** Longest name of a member, bytes. */
  maxNameBytes: 256,
  /** Longest leader lease, milliseconds. */
  maxLeaseMs: 60_000,
} as const;
