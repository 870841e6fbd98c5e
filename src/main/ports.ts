/** The ports of a process that need nothing else: chance, and the log for people. */
import { randomBytes } from "node:crypto";
import { type Logger as PinoLogger, pino } from "pino";
import type { LogFields, Logger, Random } from "../env/index.ts";
import type { LogLevel } from "./flags.ts";

/** Chance of the operating system. Not for ranges where a bias of 2^-21 matters. */
export const systemRandom: Random = {
  int(lo, hi) {
    const bytes = randomBytes(8);
    const value = (bytes.readUInt32BE(0) & 0x1f_ffff) * 2 ** 32 + bytes.readUInt32BE(4);
    return lo + (value % (hi - lo));
  },
};

/** Lines of JSON on standard error, as etcd writes them. */
export function systemLogger(level: LogLevel): Logger {
  const logger: PinoLogger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  return {
    error: (fields: LogFields, event: string) => logger.error(fields, event),
    warn: (fields: LogFields, event: string) => logger.warn(fields, event),
    info: (fields: LogFields, event: string) => logger.info(fields, event),
    debug: (fields: LogFields, event: string) => logger.debug(fields, event),
  };
}
