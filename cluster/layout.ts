/**
 * Where the three members of `npm start` live: their names, ports, files and flags. One port base moves all ports:
 *
 *     member   clients         peers
 *     m1       base            base + 1
 *     m2       base + 20000    base + 20001
 *     m3       base + 30000    base + 30001
 *
 * With base 2379, which is used when none is asked for, these are 2379, 22379, 32379 and 2380, 22380, 32380.
 */
import { join } from "node:path";

/** First port if none is asked for: etcd's. */
export const DEFAULT_PORT_BASE = 2379;
/** Highest port base: its last port is 65535. */
export const MAX_PORT_BASE = 65_535 - 30_001;

const HOST = "127.0.0.1";
const MEMBERS = [
  { name: "m1", offset: 0 },
  { name: "m2", offset: 20_000 },
  { name: "m3", offset: 30_000 },
] as const;

/** One member: where it listens and what it keeps where. */
export interface MemberPlace {
  readonly name: string;
  /** `host:port` that clients use. */
  readonly clientAddress: string;
  readonly peerAddress: string;
  readonly dataPath: string;
  readonly logPath: string;
}

/** A port that has to be free. */
export interface NeededPort {
  readonly host: string;
  readonly port: number;
  /** Whose it is to be, for a message: `clients of m1`. */
  readonly use: string;
}

/**
 * The members, their files below `dataDir`.
 * @param portBase in [1, MAX_PORT_BASE]
 */
export function placesOf(portBase: number, dataDir: string): readonly MemberPlace[] {
  return MEMBERS.map(({ name, offset }) => ({
    name,
    clientAddress: `${HOST}:${portBase + offset}`,
    peerAddress: `${HOST}:${portBase + offset + 1}`,
    dataPath: join(dataDir, name),
    logPath: join(dataDir, `${name}.log`),
  }));
}

export function neededPorts(places: readonly MemberPlace[]): readonly NeededPort[] {
  return places.flatMap(({ name, clientAddress, peerAddress }) => [
    { ...hostPort(clientAddress), use: `clients of ${name}` },
    { ...hostPort(peerAddress), use: `peers of ${name}` },
  ]);
}

/** The flags of kvd for one of the members. */
export function flagsOf(place: MemberPlace, all: readonly MemberPlace[]): readonly string[] {
  return [
    ...["--name", place.name],
    ...["--data-dir", place.dataPath],
    ...["--listen-client-urls", `http://${place.clientAddress}`],
    ...["--listen-peer-urls", `http://${place.peerAddress}`],
    ...["--initial-cluster", all.map(({ name, peerAddress }) => `${name}=http://${peerAddress}`).join(",")],
    ...["--initial-cluster-token", "waymark-start"],
    "--read-mode=lease",
    // Half of what kvd takes by itself: on one machine nothing is far away, and an election is most of a start.
    // The lease, and with it the cluster's ID, comes from these: data that began with others is refused.
    ...["--heartbeat-interval=50", "--election-timeout=500"],
    // A quarter of kvd's: the first one is filled before a new member serves, for all three on one disk.
    "--wal-segment-bytes=16777216",
  ];
}

function hostPort(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
}
