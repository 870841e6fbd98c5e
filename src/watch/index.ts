export { WatchHub, type WatchHubDependencies, type WatchHubOptions } from "./hub.ts";
export type { WatchCreate, WatchHubApi, WatchOutput, WatchStream } from "./types.ts";
