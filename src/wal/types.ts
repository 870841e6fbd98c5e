/**
 * What the write-ahead log is made with, and how it is refused. Plain data.
 */
import type { ClusterId, InstanceId, MemberId } from "../base/index.ts";

/** Identity and geometry of one log. The identities are in every segment; a log with others is refused by name. */
export interface WalOptions {
  /**
   * Length of a new segment file, bytes: a multiple of 4096, at least 16 KiB. A batch that does not fit into a new
   * segment gets one that is made as large as it needs. May differ from run to run of one log.
   */
  readonly segmentBytes: number;
  readonly cluster: ClusterId;
  readonly member: MemberId;
  readonly instance: InstanceId;
}

/** The log is damaged, foreign or too new. Nothing may be written to the directory. */
export interface WalRefusal {
  readonly type: "refused";
  /** Name inside the log directory. */
  readonly file: string;
  /** Byte offset in the file of the first thing that is wrong. */
  readonly offset: number;
  readonly reason: string;
  /** What the operator should do. */
  readonly advice: string;
}
