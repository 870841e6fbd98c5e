/**
 * Upstream: a service behind the gateways, as a list of endpoints or by what registers itself under leases.
 */
import type { LocalCheck } from "./kind.ts";
import {
  choice,
  defaulted,
  FLAG,
  fields,
  type Infer,
  integer,
  list,
  optional,
  required,
  text,
} from "./schema.ts";
import { HOST_TEXT, MAX_TIME_MS, PROSE_TEXT } from "./shared-fields.ts";

export const UPSTREAM_SPEC = fields({
  protocol: defaulted(
    choice("http"),
    "http",
    "What the endpoints speak: HTTP/1.1, inside TLS if `tls` is there.",
  ),
  lb: defaulted(
    choice("round-robin", "least-requests", "random-of-two"),
    "round-robin",
    "How an endpoint is chosen: in turn by weight; the one with the fewest requests; the better of two by chance.",
  ),
  endpoints: defaulted(
    list(
      fields({
        host: required(HOST_TEXT, "IP address or host name."),
        port: required(integer(1, 65535), "TCP port."),
        weight: defaulted(integer(0, 1000), 1, "Share among the endpoints. 0: none, for now."),
      }),
      { max: 500, distinct: false },
    ),
    [],
    "Fixed endpoints.",
  ),
  endpointsFrom: optional(
    choice("leases"),
    "leases: endpoints register themselves as keys under leases, beside the fixed ones.",
  ),
  allowEmpty: defaulted(FLAG, false, "Whether it may have no endpoint at all; requests then get status 503."),
  health: defaulted(
    fields({
      passive: optional(
        fields({
          failures: defaulted(integer(1, 1000), 5, "Failures in a row after which an endpoint is left out."),
          ejectMs: defaulted(
            integer(1, MAX_TIME_MS),
            10_000,
            "Milliseconds that it is left out, longer each time.",
          ),
          maxEjectedPercent: defaulted(
            integer(0, 100),
            50,
            "Largest share of the endpoints that is left out at a time, in percent.",
          ),
        }),
        "Judges endpoints by the requests they get. Absent: none is ever left out.",
      ),
    }),
    {},
    "Which endpoints count as healthy.",
  ),
  tls: optional(
    fields({
      serverName: optional(
        HOST_TEXT,
        "Name to ask for (SNI) and to find in the certificate. Absent: the endpoint's host.",
      ),
      caFile: optional(
        text({
          max: 1024,
          format: { pattern: /^\/[ -~]*$/, says: "an absolute path of a file on the gateway's machine" },
        }),
        "PEM file with the authorities to trust. Absent: those of the system.",
      ),
    }),
    "TLS towards the endpoints. Absent: plain text.",
  ),
  pool: defaulted(
    fields({
      maxConnections: defaulted(integer(1, 100_000), 100, "Connections to one endpoint, per gateway."),
      maxWaiting: defaulted(
        integer(0, 100_000),
        1000,
        "Requests that wait for a connection; more get status 503.",
      ),
      connectTimeoutMs: defaulted(integer(1, MAX_TIME_MS), 5000, "Milliseconds until a connection stands."),
      idleMs: defaulted(
        integer(1, MAX_TIME_MS),
        4000,
        "Milliseconds that an idle connection is kept. Stay below the endpoint's own limit.",
      ),
    }),
    {},
    "Connections, per gateway.",
  ),
  description: optional(PROSE_TEXT, "For people."),
});

export type UpstreamSpec = Infer<typeof UPSTREAM_SPEC>;

/** Somewhere to go, and each place once. */
export const checkUpstream: LocalCheck<UpstreamSpec> = (spec, report) => {
  const registers = spec.endpointsFrom !== undefined;
  if (spec.endpoints.length === 0 && !registers && !spec.allowEmpty) {
    const hint = "list endpoints, set endpointsFrom: leases, or allowEmpty: true";
    report("too-few", "/spec/endpoints", "there is no endpoint, so every request would fail", hint);
  }
  if (spec.endpoints.length > 0 && !registers && spec.endpoints.every((endpoint) => endpoint.weight === 0)) {
    report("bad-combination", "/spec/endpoints", "all weights are 0, so requests have nowhere to go");
  }
  const seen = new Map<string, number>();
  spec.endpoints.forEach(({ host, port }, i) => {
    const address = `${host}:${port}`;
    const first = seen.get(address);
    if (first === undefined) seen.set(address, i);
    else report("repeated-item", `/spec/endpoints/${i}`, `${address} is already endpoint ${first}`);
  });
};
