/** One member with everything around it: data directory, driver, services and their listeners. */
import { readFileSync } from "node:fs";
import { LevelDirectory } from "../backend/index.ts";
import { hex } from "../base/index.ts";
import type { Cancel, Clock, Logger, PeerTransport, Random } from "../env/index.ts";
import { DEFAULT_OPTIONS, type MemberOptions } from "../member/index.ts";
import { DEFAULT_PEER_OPTIONS, TcpPeers } from "../peer/index.ts";
import { createServices, type MemberFacade, type Services } from "../rpc/index.ts";
import { type Driver, type DriverError, openDriver } from "../server/index.ts";
import { createGrpcServer, type ServerTls } from "../transport/grpc-js/index.ts";
import { createHttpServer } from "../transport/http/index.ts";
import { Registry, registerCalls, registerMember } from "../transport/metrics/index.ts";
import { LogWriter, readLogDirectory } from "../wal/index.ts";
import { type DataDirectory, DataDirectoryError, openDataDirectory } from "./data-directory.ts";
import { isTls, type KvdConfig } from "./flags.ts";
import { type FoundingCluster, foundingCluster } from "./identity.ts";
import { findIdentity } from "./joining.ts";
import { registerProcess } from "./process-metrics.ts";

/** Release of etcd that clients may take us for. */
export const ETCD_VERSION = "3.6.14";
/** How often it is looked whether there is a leader, while that is waited for, ms. */
const LOOK_FOR_LEADER_MS = 20;

export interface ServerDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The member cannot go on. Everything is being closed; `stop` says when that is done. */
  readonly onFailure: (error: DriverError) => void;
}

/** A member that runs. */
export interface MemberServer {
  readonly facade: MemberFacade;
  /** Where clients are served, `host:port`, with the ports that were chosen. */
  readonly clientAddresses: readonly string[];
  readonly metricsAddresses: readonly string[];
  /** Ends streams, hands leadership over, closes everything in reverse order. Idempotent, never rejects. */
  stop(): Promise<void>;
}

/**
 * Starts a member. On failure everything that was opened is closed.
 * @throws DataDirectoryError, DirectoryLockedError, DriverError, or the system's error for an address
 */
export async function startMember(config: KvdConfig, deps: ServerDependencies): Promise<MemberServer> {
  const founding = foundingCluster(config);
  const directory = await openDataDirectory(config.dataDir, () =>
    foundIdentity(config, founding, deps.clock),
  );
  const driver = await openDriver(
    {
      ...driverOptions(config, founding, directory),
      addressOf: (id) => founding.members.find((member) => member.id === id)?.peerUrls ?? [],
    },
    {
      ...deps,
      directory: readLogDirectory(directory.walPath),
      files: new LogWriter(directory.walPath),
      states: new LevelDirectory(directory.statePath),
      peers: peersOf(config, deps),
      lock: directory.lock,
    },
    { onFailure: deps.onFailure },
  );
  directory.markFounded();
  const listeners = new Listeners(config, { ...deps, driver });
  try {
    await listeners.start();
  } catch (error) {
    await listeners.stop();
    throw error;
  }
  return listeners;
}

/** What a new directory becomes: a founder, or who was added to a cluster that is there. */
async function foundIdentity(config: KvdConfig, founding: FoundingCluster, clock: Clock) {
  if (config.initialClusterState === "existing") return findIdentity(config, clock);
  const own = founding.members.find(({ name }) => name === config.name);
  if (own === undefined) throw new DataDirectoryError(`--initial-cluster does not name "${config.name}"`);
  return { cluster: founding.cluster, member: own.id };
}

function driverOptions(config: KvdConfig, founding: FoundingCluster, directory: DataDirectory) {
  const { cluster, member, instance } = directory.identity;
  const options: MemberOptions = {
    ...DEFAULT_OPTIONS,
    id: member,
    instance,
    name: config.name,
    clientUrls: config.advertiseClientUrls,
    electionTimeoutMs: config.electionTimeoutMs,
    heartbeatMs: config.heartbeatMs,
    readMode: config.readMode,
    // etcd: five seconds and two election timeouts.
    requestTimeoutMs: 5_000 + 2 * config.electionTimeoutMs,
    snapshotEntries: config.snapshotCount,
    catchUpEntries: Math.min(DEFAULT_OPTIONS.catchUpEntries, config.snapshotCount),
    quotaBytes: config.quotaBytes,
    requestLimits: { maxTxnOps: config.maxTxnOps, maxRequestBytes: config.maxRequestBytes },
  };
  // Who joins may be told of the very members that founded the cluster; its ID is none of theirs.
  const isFounder = founding.cluster === cluster && founding.members.some(({ id }) => id === member);
  return {
    cluster,
    member: options,
    segmentBytes: config.segmentBytes,
    founding: isFounder
      ? { voters: founding.members.map(({ id, peerUrls }) => ({ id, peerUrls })), leaseMs: founding.leaseMs }
      : undefined,
  };
}

/** The times of the peer port follow the heartbeat: a connection that is silent for ten of them is given up. */
function peersOf(config: KvdConfig, { clock, random, log }: ServerDependencies): PeerTransport {
  const { listenPeerUrls, heartbeatMs } = config;
  const options = {
    ...DEFAULT_PEER_OPTIONS,
    listen: listenPeerUrls,
    keepaliveMs: heartbeatMs,
    silenceMs: 10 * heartbeatMs,
  };
  return new TcpPeers(options, { clock, random, log });
}

/** The services of a driver and where they listen. */
class Listeners implements MemberServer {
  readonly clientAddresses: string[] = [];
  readonly metricsAddresses: string[] = [];
  readonly #config: KvdConfig;
  readonly #deps: ServerDependencies;
  readonly #driver: Driver;
  readonly #services: Services;
  readonly #registry = new Registry();
  /** What is closed, last first. */
  readonly #closings: (() => Promise<void>)[] = [];
  #cancelLook: Cancel | undefined;
  #stopped: Promise<void> | undefined;

  constructor(config: KvdConfig, deps: ServerDependencies & { readonly driver: Driver }) {
    this.#config = config;
    this.#deps = deps;
    this.#driver = deps.driver;
    this.#services = createServices(
      { facade: deps.driver, clock: deps.clock, random: deps.random },
      { version: ETCD_VERSION, electionTimeoutMs: config.electionTimeoutMs, heartbeatMs: config.heartbeatMs },
    );
    this.#closings.push(() => this.#driver.stop());
    registerMember(this.#registry, this.#driver, { version: ETCD_VERSION });
    registerProcess(this.#registry);
  }

  get facade(): MemberFacade {
    return this.#driver;
  }

  async start(): Promise<void> {
    const { log, clock } = this.#deps;
    const bug = (path: string, error: unknown): void => {
      log.error(
        { path, reason: error instanceof Error ? (error.stack ?? error.message) : String(error) },
        "a request failed by a bug",
      );
    };
    const observer = { ...registerCalls(this.#registry, this.#services.methods), bug };
    const grpc = createGrpcServer(
      { services: this.#services, clock, observer },
      { maxRequestBytes: this.#config.maxRequestBytes },
    );
    this.#closings.push(() => grpc.stop());
    const tls = readTls(this.#config);
    for (const url of this.#config.listenClientUrls) {
      const { host } = hostPort(url);
      const address = url.replace(/^https?:\/\//, "");
      const port = await naming(
        "listen-client-urls",
        url,
        grpc.listen(address, isTls(url) ? tls : undefined),
      );
      this.clientAddresses.push(`${host}:${port}`);
    }
    for (const url of this.#config.listenMetricsUrls) {
      const http = createHttpServer({
        facade: this.#driver,
        version: ETCD_VERSION,
        metrics: () => this.#registry.render(),
        onBug: bug,
      });
      this.#closings.push(() => http.stop());
      const { host, port } = hostPort(url);
      this.metricsAddresses.push(
        `${host}:${await naming("listen-metrics-urls", url, http.listen(host, port))}`,
      );
    }
    this.#sayWhenReady();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#cancelLook?.();
    for (const close of this.#closings.reverse()) await close();
  }

  /** It serves from now on, and says so when it knows a leader: before that only what may be old is answered. */
  #sayWhenReady(): void {
    const { clock, log } = this.#deps;
    if (this.#driver.status().leader === 0n) {
      this.#cancelLook = clock.wakeAt(clock.now() + LOOK_FOR_LEADER_MS, () => this.#sayWhenReady());
      return;
    }
    const { cluster, member } = this.#driver;
    log.info(
      { cluster: hex(cluster), member: hex(member), address: this.clientAddresses.join(",") },
      "ready to serve client requests",
    );
  }
}

/** The port that is listened at. @throws Error that names flag and URL */
async function naming(flag: string, url: string, listening: Promise<number>): Promise<number> {
  try {
    return await listening;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot listen at ${url} (--${flag}): ${reason}`, { cause });
  }
}

/** @throws the system's error, which names the file */
function readTls({ tls }: KvdConfig): ServerTls | undefined {
  if (tls === undefined) return undefined;
  const { certFile, keyFile, clientCaFile } = tls;
  return {
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
    clientCa: clientCaFile === undefined ? undefined : readFileSync(clientCaFile),
  };
}

/** An IPv6 address stands in brackets in a URL and nowhere else. */
function hostPort(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
}
