/**
 * Work in steps: a generator that yields now and then how many units it has done since it last did, and returns its
 * result. Whoever has an event loop gives way in between; whoever has none runs it to the end.
 */
export type Work<T> = Generator<number, T>;

/** Does all that is left of it. */
export function runToEnd<T>(work: Work<T>): T {
  let next = work.next();
  while (next.done !== true) next = work.next();
  return next.value;
}
