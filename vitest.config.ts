import { defineConfig } from "vitest/config";

/** Tests run as files in `test/`; pure synchronous code needs no isolation between files, so threads are shared. */
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    pool: "threads",
    maxWorkers: 2,
  },
});
