/**
 * The flags of kvd: names, defaults and meaning are etcd's, as far as they are here. Each can be given as a variable
 * of the environment, too: `ETCD_` and the name in capitals with underscores. A flag goes before its variable.
 */

/** What a member is started with. */
export interface KvdConfig {
  readonly name: string;
  readonly dataDir: string;
  readonly listenClientUrls: readonly string[];
  readonly advertiseClientUrls: readonly string[];
  readonly listenPeerUrls: readonly string[];
  /** Where health and metrics are served; none: nowhere. */
  readonly listenMetricsUrls: readonly string[];
  /** The initial members, each with its peer URLs, this one among them. */
  readonly initialCluster: readonly InitialMember[];
  readonly initialClusterToken: string;
  readonly initialClusterState: "new" | "existing";
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
  /** Infinity: none. */
  readonly quotaBytes: number;
  readonly readMode: "quorum" | "lease";
  readonly snapshotCount: number;
  readonly segmentBytes: number;
  readonly maxTxnOps: number;
  readonly maxRequestBytes: number;
  readonly logLevel: LogLevel;
  /** Certificates of the client port; undefined: none were given. */
  readonly tls: TlsFiles | undefined;
}

/** Paths of PEM files. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities of clients' certificates; undefined: clients need none. */
  readonly clientCaFile: string | undefined;
}

export interface InitialMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** etcd's default, 2 GiB. */
const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3;

/** Flag, default, and a line of help. */
const FLAGS = {
  name: ["default", "human-readable name of this member"],
  "data-dir": ["", "directory of its data; <name>.etcd if not given"],
  "listen-client-urls": ["http://localhost:2379", "where clients are served, comma-separated"],
  "advertise-client-urls": ["", "what clients are told to use; as --listen-client-urls if not given"],
  "listen-peer-urls": ["http://localhost:2380", "where the other members are heard, comma-separated"],
  "initial-advertise-peer-urls": ["", "what the others use; as --listen-peer-urls if not given"],
  "listen-metrics-urls": ["", "where /metrics, /health, /livez, /readyz and /version are served"],
  "initial-cluster": ["", "name=url of every initial member, comma-separated; this one alone if not given"],
  "initial-cluster-token": ["etcd-cluster", "tells clusters with equal members apart"],
  "initial-cluster-state": ["new", "new or existing"],
  "heartbeat-interval": ["100", "milliseconds"],
  "election-timeout": ["1000", "milliseconds; at least five heartbeats"],
  "quota-backend-bytes": ["0", "limit of the data; 0: 2 GiB, negative: none; the same on all members"],
  "read-mode": [
    "quorum",
    "quorum: each read asks a quorum; lease: the leader's lease answers, clocks must be sound",
  ],
  "snapshot-count": ["10000", "entries after which the log is cut"],
  "wal-segment-bytes": ["67108864", "size of a file of the log; a multiple of 4096"],
  "max-txn-ops": ["128", "most operations of a transaction"],
  "max-request-bytes": ["1572864", "largest request"],
  "log-level": ["info", "debug, info, warn or error"],
  "cert-file": ["", "certificate of the client port, PEM"],
  "key-file": ["", "its key, PEM"],
  "trusted-ca-file": ["", "authorities of clients' certificates, PEM"],
  "client-cert-auth": ["false", "whether clients must show a certificate"],
} as const satisfies Record<string, readonly [standard: string, help: string]>;

type FlagName = keyof typeof FLAGS;
/** Flags that stand alone: their value is true, or given with `=`. */
const SWITCHES: ReadonlySet<FlagName> = new Set<FlagName>(["client-cert-auth"]);
type Values = Readonly<Record<FlagName, string>>;

export type Parsed =
  | { readonly type: "ok"; readonly config: KvdConfig }
  /** `--help` or `--version` was asked for. */
  | { readonly type: "help" | "version" }
  /** Names the flag and what is wrong with it. */
  | { readonly type: "refused"; readonly reason: string };

/** Ends the parsing; never leaves this file. */
class Refusal extends Error {}

/** Reads flags, then what is not among them from the environment. */
export function parseFlags(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Parsed {
  try {
    const given = readFlags(args);
    if (given === "help" || given === "version") return { type: given };
    return { type: "ok", config: configOf(withDefaults(given, env)) };
  } catch (error: unknown) {
    if (error instanceof Refusal) return { type: "refused", reason: error.message };
    throw error;
  }
}

/** One line per flag. */
export function helpText(): string {
  const lines = Object.entries(FLAGS).map(
    ([name, [standard, help]]) => `  --${name}  ${help}${standard === "" ? "" : ` (${standard})`}`,
  );
  return `usage: kvd [flags]\n\n${lines.join("\n")}\n`;
}

/** As Go reads flags: one dash or two, the value behind `=` or as the next argument. */
function readFlags(args: readonly string[]): Partial<Record<FlagName, string>> | "help" | "version" {
  const given: Partial<Record<FlagName, string>> = {};
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const match = /^--?([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(arg);
    if (match === null) throw new Refusal(`"${arg}" is no flag; see kvd --help`);
    const [, name = "", inline] = match;
    if (name === "help" || name === "h") return "help";
    if (name === "version") return "version";
    if (!isFlag(name)) throw new Refusal(`unknown flag --${name}; see kvd --help`);
    const value = inline ?? (SWITCHES.has(name) ? "true" : args[++i]);
    if (value === undefined) throw new Refusal(`flag --${name} needs a value`);
    given[name] = value;
  }
  return given;
}

function isFlag(name: string): name is FlagName {
  return Object.hasOwn(FLAGS, name);
}

function withDefaults(
  given: Partial<Record<FlagName, string>>,
  env: Readonly<Record<string, string | undefined>>,
): Values {
  const textOf = (name: FlagName): string =>
    given[name] ?? env[`ETCD_${name.toUpperCase().replaceAll("-", "_")}`] ?? FLAGS[name][0];
  // Every flag of the table gets its value.
  return Object.fromEntries(Object.keys(FLAGS).map((name) => [name, textOf(name as FlagName)])) as Values;
}

function configOf(values: Values): KvdConfig {
  const name = values.name;
  if (name === "") throw new Refusal("--name is empty");
  const tls = tlsFiles(values);
  const listenPeerUrls = urls(values, "listen-peer-urls");
  const listenClientUrls = urls(values, "listen-client-urls", "with TLS");
  if (tls === undefined && listenClientUrls.some(isTls)) {
    throw new Refusal("--listen-client-urls has https, and --cert-file and --key-file are not given");
  }
  const peerUrls =
    values["initial-advertise-peer-urls"] === ""
      ? listenPeerUrls
      : urls(values, "initial-advertise-peer-urls");
  const heartbeatMs = integer(values, "heartbeat-interval", 1, 50_000);
  const electionTimeoutMs = integer(values, "election-timeout", 10, 50_000);
  if (electionTimeoutMs < 5 * heartbeatMs) {
    throw new Refusal(
      `--election-timeout ${electionTimeoutMs} is below five times --heartbeat-interval ${heartbeatMs}`,
    );
  }
  return {
    name,
    dataDir: values["data-dir"] === "" ? `${name}.etcd` : values["data-dir"],
    listenClientUrls,
    advertiseClientUrls:
      values["advertise-client-urls"] === ""
        ? listenClientUrls
        : urls(values, "advertise-client-urls", "with TLS"),
    listenPeerUrls,
    listenMetricsUrls: values["listen-metrics-urls"] === "" ? [] : urls(values, "listen-metrics-urls"),
    initialCluster: initialCluster(values, peerUrls),
    initialClusterToken: values["initial-cluster-token"],
    initialClusterState: choice(values, "initial-cluster-state", ["new", "existing"]),
    heartbeatMs,
    electionTimeoutMs,
    quotaBytes: quota(values),
    readMode: choice(values, "read-mode", ["quorum", "lease"]),
    snapshotCount: integer(values, "snapshot-count", 1, 1_000_000_000),
    segmentBytes: segmentBytes(values),
    maxTxnOps: integer(values, "max-txn-ops", 1, 65_536),
    maxRequestBytes: integer(values, "max-request-bytes", 1_024, 10 * 1024 * 1024),
    tls,
    logLevel: choice(values, "log-level", LOG_LEVELS),
  };
}

function quota(values: Values): number {
  const bytes = integer(values, "quota-backend-bytes", -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  if (bytes === 0) return DEFAULT_QUOTA_BYTES;
  return bytes < 0 ? Number.POSITIVE_INFINITY : bytes;
}

function segmentBytes(values: Values): number {
  const bytes = integer(values, "wal-segment-bytes", 16_384, 2 ** 30);
  if (bytes % 4096 !== 0) throw new Refusal(`--wal-segment-bytes: ${bytes} is no multiple of 4096`);
  return bytes;
}

/** The members with their URLs in the order given; this one must be among them, with the URLs that it advertises. */
function initialCluster(values: Values, ownUrls: readonly string[]): readonly InitialMember[] {
  const { name } = values;
  const text = values["initial-cluster"];
  if (text === "") return [{ name, peerUrls: ownUrls }];
  const members = new Map<string, string[]>();
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    if (at <= 0) throw new Refusal(`--initial-cluster: "${part}" is not name=url`);
    const member = part.slice(0, at);
    const known = members.get(member) ?? [];
    known.push(url("initial-cluster", part.slice(at + 1)));
    members.set(member, known);
  }
  const own = members.get(name);
  if (own === undefined) throw new Refusal(`--initial-cluster does not name this member, "${name}"`);
  if (values["initial-advertise-peer-urls"] !== "" && [...own].sort().join() !== [...ownUrls].sort().join()) {
    throw new Refusal(
      `--initial-cluster has ${own.join(",")} for "${name}", --initial-advertise-peer-urls ${ownUrls.join(",")}`,
    );
  }
  return [...members].map(([member, peerUrls]) => ({ name: member, peerUrls }));
}

function tlsFiles(values: Values): TlsFiles | undefined {
  const { "cert-file": certFile, "key-file": keyFile, "trusted-ca-file": ca } = values;
  if ((certFile === "") !== (keyFile === "")) throw new Refusal("--cert-file and --key-file go together");
  const needsCert = choice(values, "client-cert-auth", ["true", "false"]) === "true";
  if (needsCert && ca === "") throw new Refusal("--client-cert-auth needs --trusted-ca-file");
  if (certFile === "") return undefined;
  return { certFile, keyFile, clientCaFile: needsCert ? ca : undefined };
}

/** Whether an address is one of TLS. */
export function isTls(address: string): boolean {
  return address.startsWith("https:");
}

/** @param schemes `with TLS`: https may be there, too */
function urls(values: Values, name: FlagName, schemes: "plain" | "with TLS" = "plain"): readonly string[] {
  return values[name].split(",").map((text) => url(name, text, schemes));
}

/** An address to listen at or to call: scheme, host and port. */
function url(flag: string, text: string, schemes: "plain" | "with TLS" = "plain"): string {
  const match = /^(https?):\/\/([^/:@]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})\/?$/.exec(text);
  if (match === null || Number(match[3]) > 65_535) {
    throw new Refusal(`--${flag}: "${text}" is not http://host:port`);
  }
  if (match[1] === "https" && schemes === "plain")
    throw new Refusal(`--${flag}: "${text}": certificates cannot be given for it yet, use http`);
  return text.replace(/\/$/, "");
}

function integer(values: Values, name: FlagName, lo: number, hi: number): number {
  const text = values[name];
  const value = Number(text);
  if (!/^-?[0-9]+$/.test(text) || value < lo || value > hi) {
    throw new Refusal(`--${name}: "${text}" is not a whole number in [${lo}, ${hi}]`);
  }
  return value;
}

function choice<const T extends string>(values: Values, name: FlagName, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === values[name]);
  if (found === undefined) throw new Refusal(`--${name}: "${values[name]}" is none of ${allowed.join(", ")}`);
  return found;
}
