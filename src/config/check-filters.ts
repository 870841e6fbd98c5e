/** What a description cannot say of filters, wherever they are listed. */
import type { Report } from "./kind.ts";
import type { Infer } from "./schema.ts";
import type { FILTER } from "./shared-fields.ts";

export type Filter = Infer<typeof FILTER>;

/** Headers by which HTTP/1.1 frames messages: whoever changes them changes where a message ends. */
const FRAMING = new Set([
  "connection",
  "content-length",
  "host",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const REDIRECT_STATUS = [301, 302, 303, 307, 308];

export function checkFilters(filters: readonly Filter[], report: Report): void {
  filters.forEach((filter, i) => {
    const path = `/spec/filters/${i}`;
    if (filter.requestHeaders !== undefined)
      checkNames(filter.requestHeaders, `${path}/requestHeaders`, report);
    if (filter.responseHeaders !== undefined)
      checkNames(filter.responseHeaders, `${path}/responseHeaders`, report);
    if (filter.redirect !== undefined && !REDIRECT_STATUS.includes(filter.redirect.status)) {
      const message = `${filter.redirect.status} must be one of ${REDIRECT_STATUS.join(", ")}`;
      report("not-a-choice", `${path}/redirect/status`, message);
    }
    if (filter.cors?.allowCredentials === true && filter.cors.allowOrigins.includes("*")) {
      const message = "browsers refuse credentials together with the origin *";
      report("bad-combination", `${path}/cors/allowCredentials`, message, "list the origins");
    }
  });
}

function checkNames(
  changes: { readonly set: object; readonly add: object; readonly remove: readonly string[] },
  path: string,
  report: Report,
): void {
  const places = [
    ...Object.keys(changes.set).map((name) => [name, `set/${name}`] as const),
    ...Object.keys(changes.add).map((name) => [name, `add/${name}`] as const),
    ...changes.remove.map((name, i) => [name, `remove/${i}`] as const),
  ];
  for (const [name, place] of places) {
    if (!FRAMING.has(name)) continue;
    const message = `the header ${name} belongs to the connection and is not for filters`;
    report("bad-combination", `${path}/${place}`, message, name === "host" ? "use rewriteHost" : undefined);
  }
}
