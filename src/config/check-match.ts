/**
 * What a description cannot say of a match: patterns compile, and a path is written as requests will have
 * it.
 */

import { pointer } from "./finding.ts";
import type { Report } from "./kind.ts";
import { normalizePath } from "./normalize.ts";
import { compileRegex } from "./regex.ts";
import type { Infer } from "./schema.ts";
import type { REQUEST_MATCH } from "./shared-fields.ts";

export type RequestMatch = Infer<typeof REQUEST_MATCH>;

export function checkMatch(match: RequestMatch, path: string, report: Report): void {
  if (match.path !== undefined) checkPath(match.path, `${path}/path`, report);
  for (const table of ["headers", "query"] as const) {
    for (const [name, value] of Object.entries(match[table])) {
      if (value.regex !== undefined) {
        checkRegex(value.regex, `${pointer(`${path}/${table}`, name)}/regex`, report);
      }
    }
  }
}

function checkPath(path: NonNullable<RequestMatch["path"]>, at: string, report: Report): void {
  if (path.regex !== undefined) checkRegex(path.regex, `${at}/regex`, report);
  const written = path.exact ?? path.prefix;
  if (written === undefined) return;
  const normal = normalizePath(written);
  if (normal === written) return;
  const step = path.exact === undefined ? "prefix" : "exact";
  const message =
    normal === undefined
      ? `"${written}" is no path that a request can have`
      : `no request has the path "${written}" after normalization`;
  report("bad-format", `${at}/${step}`, message, normal && `write ${normal}`);
}

function checkRegex(pattern: string, at: string, report: Report): void {
  const compiled = compileRegex(pattern);
  if (compiled.type === "regex") return;
  report("bad-regex", at, `at character ${compiled.at + 1} of the pattern: ${compiled.reason}`);
}
