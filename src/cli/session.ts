/** What all commands share: the flags that concern the connection and the output, and a client made from them. */
import { Option } from "commander";
import { Client, type ClientOptions, type ClientTls } from "../client/index.ts";
import { badArgs, CliError, EXIT, messageOf } from "./exit.ts";
import { fieldsText, tableText } from "./fields.ts";
import { jsonLine } from "./json-format.ts";
import { parseDurationMs } from "./numbers.ts";
import type { Report } from "./reports.ts";
import { simple } from "./simple.ts";
import type { System } from "./system.ts";

/** Values of the flags before they are understood. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

const FORMATS = ["simple", "json", "fields", "table"] as const;
type Format = (typeof FORMATS)[number];

/** Flags of every command: as commander has them, default, help. */
const GLOBAL_FLAGS: readonly (readonly [flags: string, standard: string | boolean, help: string])[] = [
  ["--endpoints <list>", "127.0.0.1:2379", "where members serve, comma-separated"],
  ["-w, --write-out <format>", "simple", "output format: fields, json, simple or table"],
  ["--hex", false, "print byte strings in hexadecimal"],
  ["--dial-timeout <duration>", "2s", "longest wait for a connection"],
  ["--command-timeout <duration>", "5s", "longest wait for an answer"],
  ["--keepalive-time <duration>", "2s", "pause before a silent connection is asked for a sign of life"],
  ["--keepalive-timeout <duration>", "6s", "longest wait for that sign"],
  ["--cacert <file>", "", "authorities that the server's certificate is checked against, PEM"],
  ["--cert <file>", "", "certificate of this client, PEM"],
  ["--key <file>", "", "its key, PEM"],
  ["--insecure-transport", true, "connect without TLS if no certificates are given"],
  ["--insecure-skip-tls-verify", false, "take any certificate; for tests only"],
  ["--debug", false, "accepted for etcdctl's sake"],
  ["--user <name>", "", "not served yet"],
  ["--password <password>", "", "not served yet"],
];

/** The flags that every command takes. */
export function globalOptions(): readonly Option[] {
  return GLOBAL_FLAGS.map(([flags, standard, help]) => new Option(flags, help).default(standard));
}

/** The variable that stands for a flag, ETCDCTL_ and the name in capitals. */
export function variableOf(flag: string): string {
  return `ETCDCTL_${flag.toUpperCase().replaceAll("-", "_")}`;
}

export class Session {
  readonly system: System;
  readonly format: Format;
  readonly hex: boolean;
  readonly endpoints: readonly string[];
  readonly timeoutMs: number;
  readonly #options: Omit<ClientOptions, "endpoints">;
  readonly #clients: Client[] = [];

  private constructor(system: System, flags: Flags, tls: ClientTls | undefined) {
    this.system = system;
    this.format = formatOf(textFlag(flags, "writeOut"));
    this.hex = flags["hex"] === true;
    this.endpoints = textFlag(flags, "endpoints")
      .split(",")
      .map((endpoint) => endpoint.trim())
      .filter((endpoint) => endpoint !== "");
    if (this.endpoints.length === 0) throw badArgs("no endpoints: give --endpoints=host:port");
    if (textFlag(flags, "user") !== "") {
      throw new CliError(EXIT.badFeature, "users are not served yet: leave --user away");
    }
    this.timeoutMs = duration(flags, "commandTimeout", "command-timeout");
    this.#options = {
      tls,
      dialTimeoutMs: duration(flags, "dialTimeout", "dial-timeout"),
      callTimeoutMs: this.timeoutMs,
      keepaliveTimeMs: duration(flags, "keepaliveTime", "keepalive-time"),
      keepaliveTimeoutMs: duration(flags, "keepaliveTimeout", "keepalive-timeout"),
    };
  }

  /** @throws CliError */
  static async open(system: System, flags: Flags): Promise<Session> {
    return new Session(system, flags, await tlsOf(system, flags));
  }

  /** A client of all endpoints, or of some. It is closed with the session. */
  client(endpoints: readonly string[] = this.endpoints): Client {
    const client = new Client({ endpoints, ...this.#options }, this.system);
    this.#clients.push(client);
    return client;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  /** @throws CliError when the format is not for this report */
  print(report: Report): void {
    switch (this.format) {
      case "simple":
        for (const piece of simple(report, this.hex)) {
          // etcdctl says how endpoints are on standard error.
          if (report.type === "health" && typeof piece === "string") this.system.err(piece);
          else this.system.out(piece);
        }
        return;
      case "json":
        this.system.out(jsonLine(report));
        return;
      case "fields":
        this.system.out(fieldsText(report));
        return;
      case "table": {
        const text = tableText(report);
        if (text === undefined) throw new CliError(EXIT.badFeature, "table not supported as output format");
        this.system.out(text);
        return;
      }
      default:
        this.format satisfies never;
    }
  }

  /** Refuses before anything is sent, so that a command whose answer cannot be printed changes nothing. */
  refuseTable(): void {
    if (this.format === "table") throw new CliError(EXIT.badFeature, "table not supported as output format");
  }
}

export function textFlag(flags: Flags, name: string): string {
  const value = flags[name];
  return typeof value === "string" ? value : "";
}

function formatOf(text: string): Format {
  const format = FORMATS.find((known) => known === text);
  if (format === undefined) throw new CliError(EXIT.badFeature, "unsupported output format");
  return format;
}

function duration(flags: Flags, name: string, flag: string): number {
  const text = textFlag(flags, name);
  const ms = parseDurationMs(text);
  if (ms !== undefined) return ms;
  const reason = `time: invalid duration ${JSON.stringify(text)}`;
  throw new CliError(EXIT.error, `invalid argument ${JSON.stringify(text)} for "--${flag}" flag: ${reason}`);
}

async function tlsOf(system: System, flags: Flags): Promise<ClientTls | undefined> {
  const [ca, cert, key] = ["cacert", "cert", "key"].map((name) => textFlag(flags, name));
  const insecureSkipVerify = flags["insecureSkipTlsVerify"] === true;
  const isPlain = flags["insecureTransport"] === true && !insecureSkipVerify;
  if (ca === "" && cert === "" && key === "" && isPlain) return undefined;
  if ((cert === "") !== (key === "")) throw badArgs("--cert and --key belong together: give both or none");
  const read = async (path: string | undefined): Promise<Uint8Array | undefined> => {
    if (path === undefined || path === "") return undefined;
    try {
      return await system.readFile(path);
    } catch (error: unknown) {
      throw new CliError(EXIT.badArgs, messageOf(error), error);
    }
  };
  return { ca: await read(ca), cert: await read(cert), key: await read(key), insecureSkipVerify };
}
