/** What the process itself costs, under the names that every exporter uses. */
import { readdirSync } from "node:fs";
import process from "node:process";
import type { Registry } from "../transport/metrics/index.ts";

export function registerProcess(registry: Registry): void {
  const startedAt = Date.now() / 1000 - process.uptime();
  registry.gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  registry.gauge("process_start_time_seconds", "When the process began, since 1970.", () => startedAt);
  registry.gauge("process_open_fds", "Open file descriptors; 0: not known here.", openFiles);
  registry.gauge(
    "nodejs_heap_size_used_bytes",
    "Memory that objects use.",
    () => process.memoryUsage().heapUsed,
  );
  registry.gauge(
    "process_cpu_seconds_total",
    "User and system time.",
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    "counter",
  );
}

function openFiles(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    // Only Linux has it; a dashboard can do without.
    return 0;
  }
}
