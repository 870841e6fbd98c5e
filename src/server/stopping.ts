/** Closing, in reverse order of opening. What fails is told and does not keep the rest open. */
import type { Logger } from "../env/index.ts";
import { reasonOf } from "./words.ts";

/** What is closed, and how. */
export type Closing = readonly [what: string, close: () => Promise<unknown> | undefined];

/** Closes one after the other. Never rejects. */
export async function closeInOrder(log: Logger, closings: readonly Closing[]): Promise<void> {
  for (const [what, close] of closings) {
    try {
      await close();
    } catch (error) {
      log.error({ what, reason: reasonOf(error) }, "closing failed");
    }
  }
}
