/** `/health`, `/livez`, `/readyz`, `/version` and `/metrics` over HTTP/1.1, with etcd's paths, codes and bodies. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type CheckName, checkHealth, type MemberFacade, PROBES, runChecks } from "../../rpc/index.ts";

export interface HttpServer {
  /**
   * Begins to listen; port 0 takes a free one.
   * @returns the port
   * @throws when the address cannot be listened at
   */
  listen(host: string, port: number): Promise<number>;
  /** Closes every connection and stops listening. Idempotent. */
  stop(): Promise<void>;
}

export interface HttpDependencies {
  readonly facade: MemberFacade;
  /** The metrics as text, in the format of Prometheus. */
  readonly metrics: () => string;
  /** As Status tells it. */
  readonly version: string;
  /** A handler threw, which none may do. */
  readonly onBug: (path: string, error: unknown) => void;
}

/** What is answered. */
interface Page {
  readonly code: number;
  readonly type: "application/json" | "text/plain; charset=utf-8";
  readonly body: string;
}

export function createHttpServer(deps: HttpDependencies): HttpServer {
  const server = createServer((request, response) => {
    answer(deps, request, response).catch((error: unknown) => {
      deps.onBug(request.url ?? "", error);
      response.writeHead(500).end("internal error\n");
    });
  });
  let stopped: Promise<void> | undefined;
  return {
    listen: (host, port) => listen(server, host, port),
    stop() {
      stopped ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return stopped;
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      const address = server.address();
      // A TCP listener has an address with a port; that of a pipe is a string.
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

async function answer(
  deps: HttpDependencies,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://member");
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { allow: "GET" }).end("Method Not Allowed\n");
    return;
  }
  const page = (await pageOf(deps, url)) ?? NOT_FOUND;
  response.writeHead(page.code, {
    "content-type": page.type,
    "content-length": Buffer.byteLength(page.body),
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : page.body);
}

const NOT_FOUND: Page = text(404, "404 page not found\n");

async function pageOf(deps: HttpDependencies, url: URL): Promise<Page | undefined> {
  const [, root = "", check] = url.pathname.split("/");
  switch (root) {
    case "health":
      return check === undefined ? health(deps.facade, url) : undefined;
    case "livez":
    case "readyz":
      return probe(deps.facade, url, PROBES[root], check);
    case "version":
      return versions(deps);
    case "metrics":
      return text(200, deps.metrics());
    default:
      return undefined;
  }
}

async function health(facade: MemberFacade, url: URL): Promise<Page> {
  const { isHealthy, reason } = await checkHealth(facade, {
    exclude: url.searchParams.getAll("exclude"),
    serializable: url.searchParams.get("serializable") === "true",
  });
  return json(isHealthy ? 200 : 503, { health: String(isHealthy), reason });
}

/** @param only the one check that the path names */
async function probe(
  facade: MemberFacade,
  url: URL,
  all: readonly CheckName[],
  only: string | undefined,
): Promise<Page | undefined> {
  const excluded = url.searchParams.getAll("exclude");
  const names = all.filter((name) => (only === undefined ? !excluded.includes(name) : name === only));
  if (only !== undefined && names.length === 0) return undefined;
  const { isOk, report } = await runChecks(facade, names);
  if (!isOk) return text(503, report);
  return text(200, url.searchParams.has("verbose") ? `${report}ok\n` : "ok\n");
}

/** The cluster has a version from its first leader on. */
function versions({ facade, version }: HttpDependencies): Page {
  const minor = version.replace(/^(\d+\.\d+)\..*$/, "$1.0");
  const etcdcluster = facade.status().leader === 0n ? "not_decided" : minor;
  return json(200, { etcdserver: version, etcdcluster, storage: minor });
}

function text(code: number, body: string): Page {
  return { code, type: "text/plain; charset=utf-8", body };
}

function json(code: number, value: object): Page {
  return { code, type: "application/json", body: JSON.stringify(value) };
}
