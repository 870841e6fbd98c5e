// Goal: a port that is taken is named with the process that has it. Method: a listener of this very process, and the
// kernel's table as text.
import { createServer } from "node:net";
import { platform } from "node:os";
import { expect, test } from "vitest";
import { neededPorts, placesOf } from "../../../cluster/layout.ts";
import { problemsOf, socketsAt } from "../../../cluster/ports.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const row = (local: string, state: string, inode: number): string =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0000 100 0`;

test("of the sockets at a port those count that listen, else those that hold it otherwise", () => {
  // 0x094B is 2379; a connection of a client that has 2380 as its own port.
  const table = [HEAD, row("0100007F:094B", "0A", 11), row("0100007F:094B", "01", 12)].join("\n");
  expect([...socketsAt(2379, `${table}\n${row("0100007F:094C", "01", 13)}`)]).toEqual(["11"]);
  expect([...socketsAt(2380, `${table}\n${row("0100007F:094C", "01", 13)}`)]).toEqual(["13"]);
  expect([...socketsAt(2381, table)]).toEqual([]);
});

test("a socket that has no inode any more has no holder", () => {
  expect([...socketsAt(2379, `${HEAD}\n${row("0100007F:094B", "06", 0)}`)]).toEqual([]);
});

test("a taken port is named with its use and, where the system tells it, its holder", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const needed = { host: "127.0.0.1", port, use: "clients of m1" };
  const [problem = ""] = await problemsOf([needed]);
  expect(problem).toContain(`port ${port} (clients of m1) is taken by `);
  if (platform() === "linux") expect(problem).toContain(`process ${process.pid}: `);
  await new Promise((resolve) => server.close(resolve));
  expect(await problemsOf([needed])).toEqual([]);
});

test("the ports of the base that is used when none is asked for are etcd's, moved apart", () => {
  expect(neededPorts(placesOf(2379, "data")).map(({ port }) => port)).toEqual([
    2379, 2380, 22379, 22380, 32379, 32380,
  ]);
});
