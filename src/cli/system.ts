/** What kvctl needs of the machine it runs on. `main/` gives the real one; tests give one in memory. */
import type { Clock, Random } from "../env/index.ts";

export interface System {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted when the user interrupts. */
  readonly interrupted: AbortSignal;
  out(bytes: Uint8Array | string): void;
  err(text: string): void;
  /** All of standard input. */
  readInput(): Promise<Uint8Array>;
  /** Lines of standard input without their ends; a last line that has none is not one, as etcdctl has it. */
  inputLines(): AsyncIterator<string>;
  /** @throws Error when it cannot be read */
  readFile(path: string): Promise<Uint8Array>;
  /**
   * Writes a file by way of `path.part`, durably; an existing one is replaced only when all is there. `accept` sees the
   * whole when it is written, and throws if it is not to be kept.
   */
  saveFile(path: string, parts: AsyncIterable<Uint8Array>, accept: () => void): Promise<void>;
  sha256(): { update(bytes: Uint8Array): void; digest(): Uint8Array };
  /** Runs a program with more variables in its environment. @returns undefined for success, or what went wrong */
  run(command: readonly string[], env: Readonly<Record<string, string>>): Promise<string | undefined>;
}
