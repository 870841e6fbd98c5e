/** Route: which requests go to which upstreams, and what is done to them on the way. */
import { checkFilters } from "./check-filters.ts";
import { checkMatch } from "./check-match.ts";
import type { LocalCheck } from "./kind.ts";
import { defaulted, fields, type Infer, integer, list, optional, required, text } from "./schema.ts";
import { FILTER, NAME_TEXT, PROSE_TEXT, REQUEST_MATCH, RETRY, TIMEOUTS } from "./shared-fields.ts";

/** Largest absolute priority. */
const MAX_PRIORITY = 1_000_000;

export const ROUTE_SPEC = fields({
  listeners: defaulted(
    list(text({ ...NAME_TEXT, reference: "Listener" }), { max: 32 }),
    [],
    "Listeners that serve it. Empty: all.",
  ),
  match: defaulted(REQUEST_MATCH, {}, "Which requests it takes. Empty: all that no better route takes."),
  priority: defaulted(
    integer(-MAX_PRIORITY, MAX_PRIORITY),
    0,
    "Higher wins, whatever matches. Between equals the closer match: host, path, method, headers, query, name.",
  ),
  backends: defaulted(
    list(
      fields({
        upstream: required(text({ ...NAME_TEXT, reference: "Upstream" }), "Where requests go."),
        weight: defaulted(integer(0, 1_000_000), 1, "Share among the backends. 0: none, for now."),
      }),
      { max: 32, distinct: false },
    ),
    [],
    "Upstreams by weight. Empty only with a redirect.",
  ),
  filters: defaulted(
    list(FILTER, { max: 16, distinct: false }),
    [],
    "Done in order, after the listener's filters.",
  ),
  timeouts: optional(TIMEOUTS, "Times of its requests. Absent: the mesh's defaults."),
  retry: optional(RETRY, "Repeating what failed. Absent: the mesh's defaults."),
  description: optional(PROSE_TEXT, "For people."),
});

export type RouteSpec = Infer<typeof ROUTE_SPEC>;

/** A destination, exactly one kind of it, and filters that fit the match. */
export const checkRoute: LocalCheck<RouteSpec> = (spec, report) => {
  checkMatch(spec.match, "/spec/match", report);
  checkFilters(spec.filters, report);
  const redirects = spec.filters.flatMap((filter, i) => (filter.redirect === undefined ? [] : [i]));
  const [redirect] = redirects;
  if (redirect === undefined && spec.backends.length === 0) {
    report(
      "too-few",
      "/spec/backends",
      "there is no backend and no redirect, so requests have nowhere to go",
    );
  }
  if (redirect !== undefined && spec.backends.length > 0) {
    const path = `/spec/filters/${redirect}/redirect`;
    report("bad-combination", path, "a route with a redirect has no backends");
  }
  if (redirects.length > 1) {
    report("bad-combination", `/spec/filters/${redirects[1]}/redirect`, "one redirect is enough");
  }
  if (spec.backends.length > 0 && spec.backends.every((backend) => backend.weight === 0)) {
    report("bad-combination", "/spec/backends", "all weights are 0, so requests have nowhere to go");
  }
  const seen = new Map<string, number>();
  spec.backends.forEach(({ upstream }, i) => {
    const first = seen.get(upstream);
    if (first === undefined) seen.set(upstream, i);
    else report("repeated-item", `/spec/backends/${i}/upstream`, `"${upstream}" is already backend ${first}`);
  });
  spec.filters.forEach((filter, i) => {
    if (filter.rewritePath?.prefix === undefined || spec.match.path?.prefix !== undefined) return;
    const message = "a prefix can be replaced only where the route matches by path.prefix";
    report("bad-combination", `/spec/filters/${i}/rewritePath/prefix`, message, "use full");
  });
};
