export type { WalOptions, WalRecovery, WalRefusal } from "./types.ts";
export { createWal, recoverWal, Wal } from "./wal.ts";
