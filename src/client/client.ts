/** A client of etcd's API: all services over one set of endpoints. */
import type { Clock, Random } from "../env/index.ts";
import { type CallerOptions, EndpointPool } from "./calls.ts";
import { Cluster } from "./cluster.ts";
import { Kv } from "./kv.ts";
import { Leases } from "./lease.ts";
import { Maintenance } from "./maintenance.ts";
import { type Told, type WatchOptions, watch } from "./watch.ts";

export interface ClientOptions extends Partial<CallerOptions> {
  /** `host:port`, `http://host:port` or `https://host:port`; at least one. Asked in this order. */
  readonly endpoints: readonly string[];
}

const DEFAULTS: CallerOptions = {
  tls: undefined,
  dialTimeoutMs: 2_000,
  callTimeoutMs: 5_000,
  keepaliveTimeMs: 30_000,
  keepaliveTimeoutMs: 10_000,
};

export class Client {
  readonly kv: Kv;
  readonly leases: Leases;
  readonly cluster: Cluster;
  readonly maintenance: Maintenance;
  readonly #pool: EndpointPool;

  /** Connects when it is first asked. */
  constructor(options: ClientOptions, deps: { readonly clock: Clock; readonly random: Random }) {
    const { endpoints, ...given } = options;
    this.#pool = new EndpointPool(endpoints, { ...DEFAULTS, ...given }, deps);
    this.kv = new Kv(this.#pool);
    this.leases = new Leases(this.#pool);
    this.cluster = new Cluster(this.#pool);
    this.maintenance = new Maintenance(this.#pool);
  }

  /** See `watch` in watch.ts. */
  watch(options: WatchOptions): AsyncGenerator<Told, void, void> {
    return watch(this.#pool, options);
  }

  /** Ends all connections; calls under way fail. Idempotent. */
  close(): void {
    this.#pool.close();
  }
}
