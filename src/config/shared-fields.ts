/** Fields that several kinds have in common, and the forms of names, hosts, paths and headers. */
import {
  choice,
  defaulted,
  dictionary,
  type Format,
  fields,
  integer,
  list,
  optional,
  required,
  type TextSchema,
  text,
  variant,
} from "./schema.ts";

/** Longest time that can be asked for, milliseconds: a day. */
export const MAX_TIME_MS = 86_400_000;

const NAME: Format = {
  pattern: /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/,
  says: "lower-case letters, digits, '-', '_' and '.', with a letter or digit at both ends",
};
const LABEL: Format = {
  pattern: /^[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?$/,
  says: "letters, digits, '-', '_', '.' and '/', with a letter or digit at both ends",
};
const HOST_PATTERN: Format = {
  pattern:
    /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$|^\[[0-9a-f:.]+\]$/,
  says: "a host name without port such as shop.example, or *.shop.example for all names below it",
};
const HOST: Format = {
  pattern: /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$|^\[[0-9a-f:.]+\]$/,
  says: "a host name or an IP address, IPv6 in brackets",
};
const TOKEN: Format = {
  pattern: /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/,
  says: "a header name: letters, digits and !#$%&'*+-.^_`|~",
};
const METHOD: Format = {
  pattern: /^[A-Z][A-Z0-9_-]*$/,
  says: "a method in capitals, as it is sent",
};
/** Beyond ASCII, programs do not agree on how a header is to be read. */
const FIELD_VALUE: Format = { pattern: /^[\t -~]*$/, says: "one line of ASCII text" };
const PATH: Format = {
  pattern: /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$/,
  says: "a path that begins with / and has no query, other characters percent-encoded",
};

/** Name of an object. */
export const NAME_TEXT: TextSchema = text({ max: 128, format: NAME });
export const LABEL_TEXT: TextSchema = text({ max: 128, format: LABEL });
/** Host of a request to match: exact, or everything below a suffix. */
export const HOST_PATTERN_TEXT: TextSchema = text({ max: 253, format: HOST_PATTERN, lower: true });
export const HOST_TEXT: TextSchema = text({ max: 253, format: HOST, lower: true });
/** Header names are compared without regard to case. */
export const HEADER_NAME_TEXT: TextSchema = text({ max: 128, format: TOKEN, lower: true });
export const HEADER_VALUE_TEXT: TextSchema = text({ max: 2048, min: 0, format: FIELD_VALUE });
export const METHOD_TEXT: TextSchema = text({ max: 32, format: METHOD });
export const PATH_TEXT: TextSchema = text({ max: 1024, format: PATH });
export const REGEX_TEXT: TextSchema = text({ max: 512 });

/** Text of a person, one line or more. */
export const PROSE_TEXT: TextSchema = text({ max: 1024, min: 0 });

/** Labels that a gateway must have. */
export const SELECTOR = dictionary(LABEL_TEXT, text({ max: 128, min: 0 }), 32);

const VALUE_MATCH = variant({
  exact: { schema: HEADER_VALUE_TEXT, doc: "The value, byte for byte." },
  prefix: { schema: HEADER_VALUE_TEXT, doc: "How the value begins." },
  regex: { schema: REGEX_TEXT, doc: "A pattern that describes the whole value." },
  present: { schema: choice("yes", "no"), doc: "Whether it must be there at all, or must not." },
});

/** Which requests are meant; what is absent matches everything, what is there must hold together. */
export const REQUEST_MATCH = fields({
  hosts: defaulted(
    list(HOST_PATTERN_TEXT, { max: 32 }),
    [],
    "Hosts, without port; `*.shop.example` takes every name below, at any depth. Empty: every host.",
  ),
  path: optional(
    variant({
      exact: { schema: PATH_TEXT, doc: "The whole path, without query." },
      prefix: {
        schema: PATH_TEXT,
        doc: "A beginning of the path in whole segments: /a takes /a and /a/b, never /ab. A last / says nothing.",
      },
      regex: { schema: REGEX_TEXT, doc: "A pattern that describes the whole path." },
    }),
    "Path of the request after normalization. Absent: every path.",
  ),
  methods: defaulted(list(METHOD_TEXT, { max: 16 }), [], "Methods. Empty: every method."),
  headers: defaulted(
    dictionary(HEADER_NAME_TEXT, VALUE_MATCH, 16),
    {},
    "Headers by name; all must match. Repeated headers are joined by a comma and a space first.",
  ),
  query: defaulted(
    dictionary(text({ max: 128 }), VALUE_MATCH, 16),
    {},
    "Parameters of the query by name, decoded; all must match. Of a repeated one the first counts.",
  ),
});

/** Times of a request. Absent fields take the mesh's defaults, then the built-in ones. */
export const TIMEOUTS = fields({
  requestMs: optional(
    integer(0, MAX_TIME_MS),
    "Milliseconds from the last byte of the request's head until the head of the answer. 0: no limit.",
  ),
  idleMs: optional(
    integer(0, MAX_TIME_MS),
    "Milliseconds without a byte in either direction, then the request ends. 0: no limit.",
  ),
});

/** Repeating a request that failed. Only idempotent methods whose body was not sent are ever repeated. */
export const RETRY = fields({
  attempts: required(integer(0, 10), "How often it is tried again. 0: never."),
  on: defaulted(
    list(choice("connect-failure", "reset", "timeout", "502", "503", "504"), { max: 6 }),
    ["connect-failure", "reset"],
    "After which failures.",
  ),
  perTryTimeoutMs: optional(
    integer(1, MAX_TIME_MS),
    "Milliseconds that one attempt may take until the head of its answer. Absent: what is left of requestMs.",
  ),
});
const HEADER_CHANGES = fields({
  set: defaulted(
    dictionary(HEADER_NAME_TEXT, HEADER_VALUE_TEXT, 32),
    {},
    "Headers that get this value, whatever they had.",
  ),
  add: defaulted(
    dictionary(HEADER_NAME_TEXT, HEADER_VALUE_TEXT, 32),
    {},
    "Headers that get this value beside those they have.",
  ),
  remove: defaulted(list(HEADER_NAME_TEXT, { max: 32 }), [], "Headers that are taken away."),
});

/** What is done to a request or its answer, in the order of the list. */
export const FILTER = variant({
  requestHeaders: { schema: HEADER_CHANGES, doc: "Changes headers on the way to the upstream." },
  responseHeaders: { schema: HEADER_CHANGES, doc: "Changes headers of the answer." },
  rewritePath: {
    schema: variant({
      full: { schema: PATH_TEXT, doc: "The new path; the query stays." },
      prefix: { schema: PATH_TEXT, doc: "What stands in place of the prefix that matched." },
    }),
    doc: "Changes the path that the upstream sees.",
  },
  rewriteHost: { schema: HOST_TEXT, doc: "The host that the upstream sees. Absent: that of the request." },
  redirect: {
    schema: fields({
      scheme: optional(choice("http", "https"), "New scheme. Absent: that of the request."),
      host: optional(HOST_TEXT, "New host. Absent: that of the request."),
      port: optional(integer(1, 65535), "New port. Absent: the usual one of the scheme."),
      path: optional(PATH_TEXT, "New path; the query stays. Absent: that of the request."),
      status: defaulted(integer(301, 308), 302, "Status of the answer: 301, 302, 303, 307 or 308."),
    }),
    doc: "Answers with a redirect. Such a route has no backends.",
  },
  cors: {
    schema: fields({
      allowOrigins: required(
        list(
          text({
            max: 256,
            format: {
              pattern: /^(?:\*|null|[a-z][a-z0-9+.-]*:\/\/[^\s/]+)$/,
              says: "*, null or an origin such as https://shop.example",
            },
          }),
          { max: 64, min: 1 },
        ),
        "Origins whose pages may read the answer. *: all.",
      ),
      allowMethods: defaulted(
        list(METHOD_TEXT, { max: 16 }),
        ["GET", "HEAD", "POST"],
        "Methods that a page may use.",
      ),
      allowHeaders: defaulted(list(HEADER_NAME_TEXT, { max: 64 }), [], "Headers that a page may send."),
      exposeHeaders: defaulted(
        list(HEADER_NAME_TEXT, { max: 64 }),
        [],
        "Headers of the answer that a page may read.",
      ),
      allowCredentials: defaulted({ type: "flag" }, false, "Whether cookies may travel with the request."),
      maxAgeSeconds: defaulted(
        integer(0, 86_400),
        600,
        "Seconds that a browser may remember this. 0: not at all.",
      ),
    }),
    doc: "Answers preflight requests and marks answers for browsers (CORS).",
  },
});
