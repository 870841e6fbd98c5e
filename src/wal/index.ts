export { recoverWal, type WalRecovery } from "./recovery.ts";
export type { WalOptions, WalRefusal } from "./types.ts";
export { createWal, Wal } from "./wal.ts";
