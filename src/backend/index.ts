export { BackendError } from "./errors.ts";
export { LevelDirectory } from "./level-directory.ts";
export { type Defer, MemoryDirectory } from "./memory.ts";
