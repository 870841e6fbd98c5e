/**
 * What the explorer remembers beside the members: facts that stay true once they have happened, even if the
 * member that they happened to crashes. They travel in the set of messages, addressed to nobody, so the
 * properties of the Raft paper's figure 3 are relations between two members of that set, whatever the order
 * in which they got there.
 */
export type Ghost =
  /** Somebody was elected, with this log before its no-op is counted. */
  | { readonly type: "leader"; readonly term: number; readonly id: bigint; readonly log: readonly string[] }
  /** The leader of `term` found entry `what` at `index` committed. */
  | { readonly type: "committed"; readonly term: number; readonly index: number; readonly what: string }
  | { readonly type: "applied"; readonly index: number; readonly what: string }
  /** A member took a message for impossible: between correct members that never happens. */
  | { readonly type: "refusal"; readonly reason: string };

/** The property that `a` and `b` break together, or undefined. Symmetric. */
export function contradiction(a: Ghost, b: Ghost): string | undefined {
  return oneWay(a, b) ?? oneWay(b, a);
}

/** The property that `ghost` breaks by itself, or undefined. */
export function absurdity(ghost: Ghost): string | undefined {
  return ghost.type === "refusal" ? `a correct member's message is refused: ${ghost.reason}` : undefined;
}

function oneWay(a: Ghost, b: Ghost): string | undefined {
  if (a.type === "leader" && b.type === "leader" && a.term === b.term && a.id !== b.id) {
    return `Election Safety: ${a.id} and ${b.id} lead term ${a.term}`;
  }
  if (a.type === "applied" && b.type === "applied" && a.index === b.index && a.what !== b.what) {
    return `State Machine Safety: ${a.what} and ${b.what} are applied at ${a.index}`;
  }
  if (a.type === "committed" && b.type === "committed" && a.index === b.index && a.what !== b.what) {
    return `two commits: ${a.what} and ${b.what} at ${a.index}`;
  }
  if (a.type === "committed" && b.type === "leader" && a.term < b.term && b.log[a.index - 1] !== a.what) {
    const committed = `${a.what} at ${a.index} was committed in term ${a.term}`;
    const own = b.log[a.index - 1] ?? "nothing";
    return `Leader Completeness: ${committed}, ${b.id} leads ${b.term} with ${own}`;
  }
  return undefined;
}
