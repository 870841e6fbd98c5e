/** How a mutant was killed: what the hunting process prints, and what the table shows. */
import type { Mutant } from "./types.ts";

export interface Kill {
  readonly seed: number;
  /** Seeds run until it was killed, this one included. */
  readonly tried: number;
  /** Which invariant, history check or assertion noticed it. */
  readonly id: string;
  readonly message: string;
  /** The folder of src whose own assertion noticed it; "outside" for the simulator's invariants and checkers. */
  readonly area: string;
}

export interface Outcome {
  readonly mutant: Mutant;
  readonly kill: Kill | undefined;
  readonly note: string;
}
