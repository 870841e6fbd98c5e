/**
 * One spelling for each host and path, so that a rule about /admin also holds for /./admin, //admin and
 * /%61dmin. A gateway normalizes a request once, matches it and forwards the very same path.
 *
 * Source: RFC 3986 §6.2.2; repeated slashes are one slash beyond that.
 */

const UNRESERVED = /^[A-Za-z0-9._~-]$/;
/** What may stand in a path unescaped (RFC 3986 §3.3), with escapes and separators. */
const PATH_CHARACTERS = /^[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$/;
/**
 * Not allowed unescaped, yet sent by browsers and old clients. There is one way to read them, so they get
 * escaped.
 */
const TOLERATED = /["<>[\\\]^`{|}]/g;
const NEEDS_WORK = /%|\/\/|\/\.\.?(?:\/|$)/;

/**
 * The normal form of a path without query; undefined: refuse the request. Refused are escapes that are none,
 * NUL, control characters, what is not ASCII, and `..` above the root. An escaped slash stays escaped: it is
 * no separator.
 */
export function normalizePath(written: string): string | undefined {
  let path = written;
  if (!PATH_CHARACTERS.test(path)) {
    path = path.replace(TOLERATED, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
    if (!PATH_CHARACTERS.test(path)) return undefined;
  }
  if (!path.startsWith("/")) return undefined;
  if (!NEEDS_WORK.test(path)) return path;
  const decoded = path.includes("%") ? normalizeEscapes(path) : path;
  if (decoded === undefined) return undefined;
  const segments = decoded.slice(1).split("/");
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === "..") {
      if (kept.pop() === undefined) return undefined;
    } else if (segment !== "." && segment !== "") kept.push(segment);
  }
  const last = segments.at(-1);
  const ends = last === "" || last === "." || last === "..";
  return kept.length === 0 ? "/" : `/${kept.join("/")}${ends ? "/" : ""}`;
}

/**
 * The host of a request as it is matched: lower case, without port and without the dot of a complete name.
 * Empty stays empty: a request without host, which only routes for every host take.
 */
export function normalizeHost(host: string): string {
  const lower = host.toLowerCase();
  if (lower.startsWith("[")) {
    const end = lower.indexOf("]");
    return end < 0 ? lower : lower.slice(0, end + 1);
  }
  const colon = lower.indexOf(":");
  const name = colon < 0 ? lower : lower.slice(0, colon);
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

function normalizeEscapes(path: string): string | undefined {
  let bad = false;
  const out = path.replace(/%(..?)?/g, (whole, digits: string | undefined) => {
    if (digits === undefined || !/^[0-9A-Fa-f]{2}$/.test(digits)) {
      bad = true;
      return whole;
    }
    const code = Number.parseInt(digits, 16);
    if (code === 0) bad = true;
    const character = String.fromCharCode(code);
    return UNRESERVED.test(character) ? character : whole.toUpperCase();
  });
  return bad ? undefined : out;
}
