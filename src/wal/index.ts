export { readLogDirectory } from "./directory.ts";
export { type DirectoryLock, DirectoryLockedError, lockDirectory } from "./lock.ts";
export { recoverWal, type WalRecovery } from "./recovery.ts";
export type { WalOptions, WalRefusal } from "./types.ts";
export { createWal, Wal } from "./wal.ts";
export { LogWriteError, LogWriter } from "./writer.ts";
