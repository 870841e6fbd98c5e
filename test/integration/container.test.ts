// Goal: the container files describe a cluster that starts: each member's environment is one that kvd takes, all
// three are members of one cluster, on the ports of `npm start`, and the health check asks where health is served.
// Method: the files are read and given to kvd's own parser; docker compose judges its file where an engine answers.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { DEFAULT_PORT_BASE, placesOf } from "../../cluster/layout.ts";
import { type KvdConfig, parseFlags } from "../../src/main/flags.ts";
import { foundingCluster } from "../../src/main/identity.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dockerfile = readFileSync(join(root, "Dockerfile"), "utf8");
const compose = parse(readFileSync(join(root, "docker-compose.yml"), "utf8"), { merge: true });
const services: readonly (readonly [string, Service])[] = Object.entries(compose.services);

interface Service {
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
}

/** What kvd is told in a container: the image's variables, and the service's over them. */
function configOf({ environment }: Service): KvdConfig {
  const image = Object.fromEntries(
    [...dockerfile.matchAll(/\b(ETCD_[A-Z_]+)=(\S+)/g)].map(([, name = "", value]) => [name, value]),
  );
  const parsed = parseFlags([], { ...image, ...environment });
  if (parsed.type !== "ok") throw new Error(parsed.type === "refused" ? parsed.reason : parsed.type);
  return parsed.config;
}

it("has the members and the ports of npm start", () => {
  const published = services.map(([name, { ports }]) => [name, ports]);
  const wanted = placesOf(DEFAULT_PORT_BASE, "").map(({ name, clientAddress }) => [
    name,
    [`${clientAddress}:2379`],
  ]);
  expect(published).toEqual(wanted);
});

describe.each(services)("%s", (name, service) => {
  const config = configOf(service);

  it("is a member of the one cluster, under its own name", () => {
    const others = services.map(([, other]) => foundingCluster(configOf(other)).cluster);
    expect(new Set(others)).toEqual(new Set([foundingCluster(config).cluster]));
    expect(config.name).toBe(name);
    expect(config.initialCluster.map((member) => member.name)).toEqual(["m1", "m2", "m3"]);
    expect(config.readMode).toBe("lease");
  });

  it("tells its clients the port that is published, and keeps its data in a volume of its own", () => {
    expect(service.ports).toEqual([
      `${config.advertiseClientUrls.join().replace("http://", "")}:${config.listenClientUrls.join().split(":")[2]}`,
    ]);
    expect(service.volumes).toEqual([`${name}:${config.dataDir}`]);
    expect(Object.keys(compose.volumes)).toContain(name);
  });

  it("is asked for its health where it serves it", () => {
    const [, port] = /fetch\('http:\/\/127\.0\.0\.1:(\d+)\/health'\)/.exec(dockerfile) ?? [];
    expect(config.listenMetricsUrls).toEqual([`http://0.0.0.0:${port}`]);
  });
});

describe.runIf(composeAnswers())("docker compose", () => {
  it("takes the file", () => {
    execFileSync("docker", ["compose", "config", "--quiet"], { cwd: root, timeout: 20_000 });
  });
});

/** Whether there is an engine with compose; says in one line that its test is skipped if not. */
function composeAnswers(): boolean {
  try {
    execFileSync("docker", ["info"], { stdio: "ignore", timeout: 5_000 });
    execFileSync("docker", ["compose", "version"], { stdio: "ignore", timeout: 5_000 });
    return true;
  } catch {
    console.log("no container engine with compose answers, docker-compose.yml is only read, not started");
    return false;
  }
}
