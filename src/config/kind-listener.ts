/** Listener: an address and port on which chosen gateways take requests. */

import { checkFilters } from "./check-filters.ts";
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
import { FILTER, HOST_PATTERN_TEXT, MAX_TIME_MS, PROSE_TEXT, SELECTOR } from "./shared-fields.ts";

const ADDRESS = {
  pattern: /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:.]*:[0-9a-f:.]*)$/,
  says: "an IP address such as 0.0.0.0, 127.0.0.1 or ::",
};
const FILE = { pattern: /^\/[ -~]*$/, says: "an absolute path of a file on the gateway's machine" };

const CERTIFICATE = fields({
  serverNames: defaulted(
    list(HOST_PATTERN_TEXT, { max: 64 }),
    [],
    "Names (SNI) for which it is shown. Empty: for every name that no other certificate of the listener has.",
  ),
  certificateFile: required(
    text({ max: 1024, format: FILE }),
    "PEM file with the certificate and its chain. A changed file is taken at once.",
  ),
  privateKeyFile: required(
    text({ max: 1024, format: FILE }),
    "PEM file with the private key. Keys never lie in the store.",
  ),
});

export const LISTENER_SPEC = fields({
  address: defaulted(
    text({ max: 45, format: ADDRESS, lower: true }),
    "0.0.0.0",
    "IP address to listen on. 0.0.0.0: all of IPv4; :: all of both.",
  ),
  port: required(integer(1, 65535), "TCP port. A gateway may be started with another one in its place."),
  protocols: defaulted(
    list(choice("http"), { max: 1, min: 1 }),
    ["http"],
    "What is spoken: HTTP/1.1, inside TLS if `tls` is there.",
  ),
  tls: optional(
    fields({
      certificates: required(
        list(CERTIFICATE, { max: 64, min: 1 }),
        "Certificates, by the name that is asked for.",
      ),
      minVersion: defaulted(choice("1.2", "1.3"), "1.2", "Oldest version of TLS."),
    }),
    "TLS. Absent: plain text.",
  ),
  selector: defaulted(SELECTOR, {}, "Labels that a gateway must have to open it. Empty: every gateway."),
  filters: defaulted(
    list(FILTER, { max: 16, distinct: false }),
    [],
    "Done to every request before the filters of its route. No redirect, no path rewrite.",
  ),
  timeouts: defaulted(
    fields({
      headMs: defaulted(integer(1, MAX_TIME_MS), 10_000, "Milliseconds that the head of a request may take."),
      keepAliveMs: defaulted(
        integer(1, MAX_TIME_MS),
        75_000,
        "Milliseconds that an idle connection stays open.",
      ),
    }),
    {},
    "Times of a client's connection.",
  ),
  limits: defaulted(
    fields({
      maxConnections: defaulted(
        integer(1, 1_000_000),
        10_000,
        "Connections at a time; more are closed at once.",
      ),
      maxHeadBytes: defaulted(
        integer(1024, 262_144),
        32_768,
        "Bytes of a request's head; more get status 431.",
      ),
    }),
    {},
    "Bounds per gateway.",
  ),
  accessLog: defaulted(FLAG, true, "Whether each request is logged in one line."),
  description: optional(PROSE_TEXT, "For people."),
});

export type ListenerSpec = Infer<typeof LISTENER_SPEC>;

/** One certificate per name, and only filters that make sense before a route is known. */
export const checkListener: LocalCheck<ListenerSpec> = (spec, report) => {
  const [a, b, c, d] = spec.address.split(".").map(Number);
  if (
    spec.address.includes(".") &&
    !spec.address.includes(":") &&
    [a, b, c, d].some((part) => (part ?? 256) > 255)
  ) {
    report("bad-format", "/spec/address", `"${spec.address}" must be ${ADDRESS.says}`);
  }
  const owners = new Map<string, number>();
  spec.tls?.certificates.forEach((certificate, i) => {
    const names = certificate.serverNames.length === 0 ? ["every other name"] : certificate.serverNames;
    for (const name of names) {
      const owner = owners.get(name);
      if (owner !== undefined) {
        const path = `/spec/tls/certificates/${i}/serverNames`;
        report("repeated-item", path, `certificate ${owner} is already shown for ${name}`);
      }
      owners.set(name, i);
    }
  });
  spec.filters.forEach((filter, i) => {
    const before = filter.redirect !== undefined ? "redirect" : filter.rewritePath && "rewritePath";
    if (before === undefined) return;
    report(
      "bad-combination",
      `/spec/filters/${i}/${before}`,
      `${before} belongs to a route, not to a listener`,
    );
  });
  checkFilters(spec.filters, report);
};
