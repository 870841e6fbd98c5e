/**
 * The ports through which effects leave the synchronous core, and through which time and chance enter it. Interfaces
 * only. Every port has an in-memory twin and one conformance suite that runs on both.
 */

/**
 * Milliseconds of a monotonic clock, possibly fractional. Its zero means nothing and differs from member to member.
 * It may not be stepped; its rate may be off by the bound of DESIGN §6, and it goes on while the process is stopped.
 */
export type MonoMs = number;

/** Chance, from a seed in the simulator and in tests. */
export interface Random {
  /** An integer in [lo, hi). Requires lo < hi, both safe integers. */
  int(lo: number, hi: number): number;
}

/** Structured log: a constant lower-case event and fields. IDs in hex; never values or tokens. */
export interface Logger {
  error(fields: LogFields, event: string): void;
  warn(fields: LogFields, event: string): void;
  info(fields: LogFields, event: string): void;
  debug(fields: LogFields, event: string): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;
