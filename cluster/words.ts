/** What the terminal shows. Pure: names, numbers and paths in, lines out. */
import type { MemberPlace } from "./layout.ts";
import type { ChildEvent } from "./supervised.ts";

/** A member and the process that it runs in. */
export interface Running {
  readonly place: MemberPlace;
  /** undefined: none just now. */
  readonly pid: number | undefined;
}

/** Who is where, shown once the members have been started. @param shorten a path as it is shown */
export function placesText(members: readonly Running[], shorten: (path: string) => string): string {
  const rows = [
    ["member", "clients", "peers", "process", "data", "log"],
    ...members.map(({ place, pid }) => [
      place.name,
      place.clientAddress,
      place.peerAddress,
      pid === undefined ? "none" : String(pid),
      shorten(place.dataPath),
      shorten(place.logPath),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, i) => cell.padEnd((widths[i] ?? 0) + 2)).join(""));
  return `Three members, reads by the leader's lease (--read-mode=lease: it trusts the clocks' rates)\n\n${lines
    .map((line) => `  ${line.trimEnd()}\n`)
    .join("")}`;
}

/** Four commands to paste, shown once the cluster serves. */
export function commandsText(cli: string, members: readonly Running[], leader: Running): string {
  const endpoints = members.map(({ place }) => place.clientAddress).join(",");
  const call = `${cli} --endpoints=${endpoints}`;
  return `
  ${call} put greeting hello
  ${call} get greeting
  ${call} watch greeting
  ${killCommand(leader)}        # the leader: another takes over, and it is started again

Ctrl-C stops all.

`;
}

export function leaderLine(leader: Running, term: number): string {
  return `${leader.place.name} leads in term ${term}; to end it: ${killCommand(leader)}`;
}

function killCommand({ pid }: Running): string {
  return `kill -9 ${pid ?? ""}`;
}

/** @param log the last lines of its log, and `logPath` as it is shown */
export function eventText(
  name: string,
  event: ChildEvent,
  log: { readonly lines: readonly string[]; readonly path: string },
): string {
  switch (event.type) {
    case "started":
      return `${name} is started again as process ${event.pid}`;
    case "ended":
      return `${name}, process ${event.pid}, ${event.how}; starting it again in ${event.delayMs} ms`;
    case "gave up": {
      const end = log.lines.map((line) => `\n    ${line}`).join("");
      return (
        `${name} ${event.how}, ${event.starts} times right after its start: it stays down. ` +
        `Mend what its log says, then Ctrl-C and npm start. The end of ${log.path}:${end}`
      );
    }
  }
}
