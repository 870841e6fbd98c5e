/** RouteTest: a request and the answer that it must get; run at every write that can change it. */
import type { LocalCheck } from "./kind.ts";
import { normalizePath } from "./normalize.ts";
import {
  choice,
  defaulted,
  dictionary,
  fields,
  type Infer,
  integer,
  optional,
  required,
  text,
} from "./schema.ts";
import {
  HEADER_NAME_TEXT,
  HEADER_VALUE_TEXT,
  HOST_TEXT,
  METHOD_TEXT,
  NAME_TEXT,
  PROSE_TEXT,
} from "./shared-fields.ts";

const TARGET = {
  pattern: /^\/[^\s#]*$/,
  says: "a path that begins with /, with a query or without",
};

export const ROUTE_TEST_SPEC = fields({
  request: required(
    fields({
      listener: required(text({ ...NAME_TEXT, reference: "Listener" }), "Listener by which it comes in."),
      method: defaulted(METHOD_TEXT, "GET", "Method."),
      host: required(HOST_TEXT, "Host, without port."),
      path: required(text({ max: 2048, format: TARGET }), "Path, and query after a ?."),
      headers: defaulted(dictionary(HEADER_NAME_TEXT, HEADER_VALUE_TEXT, 32), {}, "Headers."),
    }),
    "The request.",
  ),
  expect: required(
    fields({
      route: optional(NAME_TEXT, "Route that takes it."),
      noRoute: optional(choice("yes"), "No route takes it."),
      upstream: optional(NAME_TEXT, "An upstream that may get it, with a weight above 0."),
      status: optional(
        integer(100, 599),
        "Status that the gateway itself answers: 404 without a route, 403 of a policy, 302 of a redirect.",
      ),
      policy: optional(
        fields({
          verdict: required(
            choice("pass", "allow", "deny", "reset"),
            "What the policies say; pass: none objects.",
          ),
          name: optional(NAME_TEXT, "The policy that says it."),
        }),
        "Verdict of the policies.",
      ),
    }),
    "What must come out; at least one field.",
  ),
  description: optional(PROSE_TEXT, "For people."),
});

export type RouteTestSpec = Infer<typeof ROUTE_TEST_SPEC>;

/** It expects something that can be, of a request that can be. */
export const checkRouteTest: LocalCheck<RouteTestSpec> = (spec, report) => {
  const { expect, request } = spec;
  if (Object.keys(expect).length === 0) report("too-few", "/spec/expect", "the test expects nothing");
  if (expect.noRoute !== undefined && (expect.route !== undefined || expect.upstream !== undefined)) {
    report("bad-combination", "/spec/expect/noRoute", "no route, and a route or an upstream, cannot both be");
  }
  if (expect.policy?.verdict === "pass" && expect.policy.name !== undefined) {
    report("bad-combination", "/spec/expect/policy/name", "pass is said by no policy");
  }
  if (normalizePath(request.path.replace(/\?.*$/, "")) === undefined) {
    report("bad-format", "/spec/request/path", `a gateway refuses the path of "${request.path}"`);
  }
};
