#!/usr/bin/env node
/**
 * Starts kvd with room for the disk: a LevelDB write that sleeps must not hold the thread that the log's `fdatasync`
 * needs (DESIGN §2). libuv asks for the size when its pool is first used, which the loader of ES modules already does;
 * so this file is CommonJS and comes before it.
 */
process.env["UV_THREADPOOL_SIZE"] ??= "16";

void import("./kvd.ts");
