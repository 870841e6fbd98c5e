export { Driver } from "./driver.ts";
export { DriverError, type FailedPart } from "./errors.ts";
export { NodeClock } from "./node-clock.ts";
export { type OpenHooks, openDriver } from "./opening.ts";
export type { ClosableLogFiles, DriverOptions, DriverPorts } from "./types.ts";
