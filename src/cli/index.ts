export { runKvctl } from "./kvctl.ts";
export type { System } from "./system.ts";
