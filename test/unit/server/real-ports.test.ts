// Goal: the driver runs over the real log, the real database and the real clock as it does over the simulated ones.
// Method: one member in a temporary directory, stopped and opened again; waiting is polling with a deadline.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LevelDirectory } from "../../../src/backend/index.ts";
import type { Logger, PeerTransport } from "../../../src/env/index.ts";
import { type Answer, DEFAULT_OPTIONS, type MemberOptions, type Request } from "../../../src/member/index.ts";
import { type Driver, type DriverError, NodeClock, openDriver } from "../../../src/server/index.ts";
import { LogWriter, lockDirectory, readLogDirectory } from "../../../src/wal/index.ts";
import { putRequest } from "../../support/driver-world.ts";
import { seeded } from "../../support/member-harness.ts";

const MEMBER: MemberOptions = {
  ...DEFAULT_OPTIONS,
  id: 1n,
  instance: 7n,
  electionTimeoutMs: 50,
  heartbeatMs: 10,
  backendIntervalMs: 5,
};
const ignore = (): undefined => undefined;
const SILENT: Logger = { error: ignore, warn: ignore, info: ignore, debug: ignore };
/** A member alone has nobody to talk to. */
const NOBODY: PeerTransport = {
  start: async () => undefined,
  setPeers: ignore,
  send: ignore,
  relay: ignore,
  openSnapshot: () => Promise.reject(new Error("there is nobody")),
  close: async () => undefined,
};

let path = "";

async function open(member: MemberOptions = MEMBER): Promise<Driver> {
  const lock = await lockDirectory(path);
  return openDriver(
    {
      cluster: 0xc1n,
      member,
      segmentBytes: 64 * 1024,
      founding: { voters: [{ id: 1n, peerUrls: [] }], leaseMs: 0 },
      addressOf: () => [],
    },
    {
      clock: new NodeClock(),
      random: seeded(1),
      log: SILENT,
      directory: readLogDirectory(path),
      files: new LogWriter(path),
      states: new LevelDirectory(path),
      peers: NOBODY,
      lock,
    },
    {
      onFailure: (error) => {
        throw error;
      },
    },
  );
}

/** Asks again while there is no leader yet. */
async function ask(driver: Driver, request: Request): Promise<Answer> {
  const clock = new NodeClock();
  const deadline = clock.now() + 10_000;
  for (;;) {
    const answer = await driver.request(request);
    if (answer.type !== "refused" || clock.now() > deadline) return answer;
    await clock.giveWay();
  }
}

describe("a member over real ports", () => {
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), "waymark-driver-"));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));

  it("has after a restart what it had before, and leaves nothing locked", async () => {
    for (let life = 0; life < 3; life++) {
      const driver = await open();
      const first = 2 + life * 20;
      for (let i = 0; i < 20; i++) {
        expect(await ask(driver, putRequest(`k${i}`, `${life}`))).toMatchObject({ revision: first + i });
      }
      expect(driver.store().revision).toBe(first + 19);
      await driver.stop();
      expect(readdirSync(path).filter((name) => name.startsWith("lock-"))).toEqual([]);
    }
  });

  it("refuses another member's directory by name, and lets go of it", async () => {
    await (await open()).stop();
    const error: DriverError = await open({ ...MEMBER, id: 2n }).then(
      () => expect.unreachable("it opened"),
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ name: "DriverError", part: "log" });
    expect(error.message).toMatch(/log file 0000000000000001\.wal, offset \d+: .*member/);
    await (await open()).stop();
  });
});
