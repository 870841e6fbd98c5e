/**
 * A store member: takes etcd's flags, serves until SIGTERM or SIGINT, and stops in good order then; a second signal
 * ends it at once.
 *
 * Exit codes: 0 stopped as asked; 1 could not start, or could not go on; 2 the flags are wrong; 70 a bug.
 */
import process from "node:process";
import { type DriverError, NodeClock } from "../server/index.ts";
import { helpText, parseFlags } from "./flags.ts";
import { ETCD_VERSION, type MemberServer, startMember } from "./member-server.ts";
import { systemLogger, systemRandom } from "./ports.ts";

/** Fewer threads, and a slow write of the state holds up the log (kvd-bin.cts sees to it). */
const MIN_THREADS = 16;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_BUG = 70;

async function main(): Promise<void> {
  const parsed = parseFlags(process.argv.slice(2), process.env);
  switch (parsed.type) {
    case "help":
      process.stdout.write(helpText());
      return;
    case "version":
      process.stdout.write(`kvd, compatible with etcd ${ETCD_VERSION}\n`);
      return;
    case "refused":
      process.stderr.write(`kvd: ${parsed.reason}\n`);
      process.exitCode = EXIT_USAGE;
      return;
    case "ok":
      break;
  }
  const { config } = parsed;
  const log = systemLogger(config.logLevel);
  if (Number(process.env["UV_THREADPOOL_SIZE"] ?? 4) < MIN_THREADS) {
    log.warn({ min: MIN_THREADS }, "few threads for the disk; set UV_THREADPOOL_SIZE or start kvd-bin");
  }
  process.on("uncaughtException", (error) => {
    log.error({ reason: error.stack ?? error.message }, "ended by a bug");
    process.exit(EXIT_BUG);
  });
  let server: MemberServer | undefined;
  const onFailure = (error: DriverError): void => {
    log.error({ part: error.part, reason: error.message }, "the member cannot go on");
    const code = error.part === "program" ? EXIT_BUG : EXIT_FAILED;
    const end = (): void => process.exit(code);
    if (server === undefined) end();
    else server.stop().then(end, end);
  };
  try {
    server = await startMember(config, { clock: new NodeClock(), random: systemRandom, log, onFailure });
  } catch (error: unknown) {
    log.error({ reason: error instanceof Error ? error.message : String(error) }, "the member cannot start");
    process.exitCode = EXIT_FAILED;
    return;
  }
  stopOnSignals(server, log);
}

function stopOnSignals(server: MemberServer, log: ReturnType<typeof systemLogger>): void {
  let isStopping = false;
  const stop = (signal: string): void => {
    if (isStopping) process.exit(EXIT_FAILED);
    isStopping = true;
    log.info({ signal }, "stopping");
    server.stop().then(() => {
      log.info({}, "stopped");
      process.exit(0);
    });
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop(signal));
}

await main();
