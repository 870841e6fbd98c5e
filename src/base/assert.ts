/**
 * Assertions state what the code relies on. They are always on, they never leave the process by themselves,
 * and they are never used on input from a network, a disk or a person: that is validated and refused.
 */

/** A bug in this program, not a bad input. Only `main/` catches it, logs it and exits 70. */
export class AssertionError extends Error {
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>>) {
    super(`${message} ${render(details)}`);
    this.name = "AssertionError";
    this.details = details;
  }
}

const NO_DETAILS = {};

/**
 * Throws unless `condition` holds. Put both sides of a comparison into `details`.
 *
 * NOTE: `details` is built before the call even when the condition holds. On a hot path write
 * `if (!condition) fail(message, {...})` instead.
 *
 * @throws AssertionError
 */
export function assert(
  condition: boolean,
  message: string,
  details: Readonly<Record<string, unknown>> = NO_DETAILS,
): asserts condition {
  if (!condition) throw new AssertionError(message, details);
}

/** Throws an AssertionError; the form of `assert` for hot paths. */
export function fail(message: string, details: Readonly<Record<string, unknown>> = NO_DETAILS): never {
  throw new AssertionError(message, details);
}

/** Closes a `switch` over a tagged union: a new member of the union becomes a type error here. */
export function unreachable(value: never): never {
  throw new AssertionError("unreachable case", { value });
}

function render(details: Readonly<Record<string, unknown>>): string {
  const parts: string[] = [];
  for (const [key, value] of Object.entries(details)) {
    const text = typeof value === "bigint" ? value.toString(16) : String(value);
    parts.push(`${key}=${text}`);
  }
  return parts.length === 0 ? "" : `(${parts.join(" ")})`;
}
