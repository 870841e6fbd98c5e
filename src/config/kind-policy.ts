/** Policy: what is allowed, refused or bounded, for a mesh, for listeners or for routes. */
import { checkMatch } from "./check-match.ts";
import type { LocalCheck } from "./kind.ts";
import {
  choice,
  defaulted,
  fields,
  type Infer,
  integer,
  list,
  optional,
  required,
  text,
  variant,
} from "./schema.ts";
import { HEADER_NAME_TEXT, NAME_TEXT, PROSE_TEXT, REQUEST_MATCH } from "./shared-fields.ts";

/** Most objects that one policy names. */
const MAX_TARGETS = 64;

const NOTHING = fields({});

export const POLICY_SPEC = fields({
  target: required(
    variant({
      mesh: { schema: NOTHING, doc: "Every request of the mesh." },
      listeners: {
        schema: list(text({ ...NAME_TEXT, reference: "Listener" }), { max: MAX_TARGETS, min: 1 }),
        doc: "Requests that come in by these listeners.",
      },
      routes: {
        schema: list(text({ ...NAME_TEXT, reference: "Route" }), { max: MAX_TARGETS, min: 1 }),
        doc: "Requests that these routes take.",
      },
    }),
    "Whose requests it judges.",
  ),
  order: defaulted(
    integer(-1_000_000, 1_000_000),
    0,
    "Policies of one request run by ascending order, then by name, wherever they are attached.",
  ),
  match: defaulted(REQUEST_MATCH, {}, "Which of these requests it judges. Empty: all."),
  action: required(
    variant({
      allow: { schema: NOTHING, doc: "Lets it pass: no later policy that denies or resets is asked." },
      deny: {
        schema: fields({
          status: defaulted(integer(400, 599), 403, "Status of the answer."),
          body: defaulted(text({ max: 4096, min: 0 }), "", "Text of the answer."),
        }),
        doc: "Answers in place of the upstream.",
      },
      reset: { schema: NOTHING, doc: "Resets the connection without an answer." },
      rateLimit: {
        schema: fields({
          requests: required(integer(1, 10_000_000), "Requests per period, per gateway."),
          periodMs: defaulted(integer(1, 3_600_000), 1000, "The period in milliseconds."),
          burst: optional(integer(1, 10_000_000), "Requests that may come at once. Absent: as `requests`."),
          key: defaulted(
            variant({
              all: { schema: NOTHING, doc: "All requests together." },
              client: { schema: NOTHING, doc: "Each client address by itself." },
              header: { schema: HEADER_NAME_TEXT, doc: "Each value of this header by itself." },
            }),
            { all: {} },
            "What is counted together.",
          ),
        }),
        doc: "Answers 429 beyond a rate.",
      },
      requestSize: {
        schema: fields({ maxBytes: required(integer(0, 2 ** 40), "Largest body in bytes. 0: none at all.") }),
        doc: "Answers 413 to a larger body.",
      },
    }),
    "What happens.",
  ),
  mode: defaulted(
    choice("enforce", "dryRun"),
    "enforce",
    "dryRun: it is only counted and logged what would happen.",
  ),
  description: optional(PROSE_TEXT, "For people."),
});

export type PolicySpec = Infer<typeof POLICY_SPEC>;

/** Patterns compile. */
export const checkPolicy: LocalCheck<PolicySpec> = (spec, report) => {
  checkMatch(spec.match, "/spec/match", report);
};
