/** The program kvctl: its commands and flags, and how it ends. Everything outside comes through `System`. */
import { Command, CommanderError } from "commander";
import { completion } from "./completion.ts";
import { defrag, endpointHashKv, endpointHealth, endpointStatus } from "./endpoint-commands.ts";
import { CliError, EXIT, messageOf } from "./exit.ts";
import { compaction, del, get, put } from "./key-commands.ts";
import { withDelOptions, withGetOptions, withPutOptions } from "./key-requests.ts";
import { leaseGrant, leaseKeepAlive, leaseList, leaseRevoke, leaseTimeToLive } from "./lease-commands.ts";
import {
  alarmDisarm,
  alarmList,
  memberAdd,
  memberList,
  memberPromote,
  memberRemove,
  memberUpdate,
  moveLeader,
} from "./member-commands.ts";
import { type Flags, globalOptions, Session, variableOf } from "./session.ts";
import { snapshotSave } from "./snapshot-commands.ts";
import type { System } from "./system.ts";
import { txn } from "./txn-command.ts";
import { watch, withWatchOptions } from "./watch-command.ts";

type Run = (session: Session, args: readonly string[], flags: Flags) => Promise<void>;

/** Runs one command line. @param version of this program @returns the exit code; never rejects for what a user did */
export async function runKvctl(words: readonly string[], system: System, version: string): Promise<number> {
  const dashes = words.indexOf("--");
  const isWatch = words.includes("watch") && dashes >= 0;
  const own = isWatch ? words.slice(0, dashes) : words;
  const behindDashes = isWatch ? words.slice(dashes + 1) : [];
  const program = programOf(system, version, behindDashes);
  try {
    await program.parseAsync(withoutValues(own), { from: "user" });
    return EXIT.ok;
  } catch (error: unknown) {
    return exitCodeOf(error, system);
  }
}

function programOf(system: System, version: string, behindDashes: readonly string[]): Command {
  const program = new Command("kvctl")
    .description("asks and changes an etcd-compatible store")
    .exitOverride()
    .configureOutput({ writeOut: (text) => system.out(text), writeErr: () => undefined })
    .helpCommand(true);
  for (const option of globalOptions()) {
    const name = option.long?.slice(2) ?? "";
    const value = system.env[variableOf(name)];
    if (value !== undefined) option.default(option.required ? value : value === "true");
    program.addOption(option);
  }
  program.action(() => program.outputHelp());

  const leaf = (parent: Command, name: string, description: string, run: Run, make = plain): Command => {
    const command = make(parent.command(name)).description(description).allowExcessArguments(true);
    return command.action(async () => {
      const flags: Flags = command.optsWithGlobals();
      const session = await Session.open(system, flags);
      try {
        await run(session, command.args, flags);
      } finally {
        session.close();
      }
    });
  };
  const group = (name: string, description: string): Command => {
    const command = program.command(name).description(description);
    return command.action(() => command.outputHelp());
  };

  leaf(program, "put", "puts a key into the store", put, withPutOptions);
  leaf(program, "get", "gets a key or a range of keys", get, withGetOptions);
  leaf(program, "del", "removes a key or a range of keys", del, withDelOptions);
  leaf(program, "txn", "does all of several requests, or none", txn, (command) =>
    plain(command).option("-i, --interactive", "say what is to be typed"),
  );
  const watching: Run = (session, args, flags) => watch(session, args, behindDashes, flags);
  leaf(program, "watch", "tells what happens to keys", watching, withWatchOptions);
  leaf(program, "compaction", "forgets the history up to a revision", compaction, (command) =>
    plain(command).option("--physical", "wait until it is deleted"),
  );
  addLeases(leaf, group("lease", "leases: keys that go when nobody keeps them"));
  addMembers(leaf, program, group);
  addEndpoints(leaf, program, group);
  leaf(group("snapshot", "a member's state as a file"), "save", "saves it", snapshotSave);
  program
    .command("version")
    .description("tells the version of kvctl")
    .action(() => system.out(`kvctl version: ${version}\nAPI version: 3.6\n`));
  program
    .command("completion")
    .argument("[shell]")
    .description("prints a script that completes commands: bash, zsh or fish")
    .action((shell: string | undefined) => system.out(completion(program, shell)));
  return program;
}

type Leaf = (
  parent: Command,
  name: string,
  description: string,
  run: Run,
  make?: (command: Command) => Command,
) => Command;

function addLeases(leaf: Leaf, lease: Command): void {
  leaf(lease, "grant", "creates one; the argument is its time to live in seconds", leaseGrant);
  leaf(lease, "revoke", "ends one, and deletes its keys", leaseRevoke);
  leaf(lease, "timetolive", "tells what is left of one", leaseTimeToLive, (command) =>
    plain(command).option("--keys", "tell its keys, too"),
  );
  leaf(lease, "list", "lists all", leaseList);
  leaf(lease, "keep-alive", "renews one until it is interrupted", leaseKeepAlive, (command) =>
    plain(command).option("--once", "renew it once"),
  );
}

function addMembers(
  leaf: Leaf,
  program: Command,
  group: (name: string, description: string) => Command,
): void {
  const withUrls = (command: Command): Command =>
    plain(command).option("--peer-urls <list>", "where the other members reach it, comma-separated", "");
  const member = group("member", "members of the cluster");
  leaf(member, "list", "lists them", memberList, (command) =>
    plain(command).option("--consistency <l|s>", "linearizable, or what the member that is asked has", "l"),
  );
  leaf(member, "add", "adds one", memberAdd, (command) =>
    withUrls(command).option("--learner", "without a vote, until it is promoted"),
  );
  leaf(member, "remove", "removes one", memberRemove);
  leaf(member, "promote", "gives a learner its vote", memberPromote);
  leaf(member, "update", "gives one other URLs", memberUpdate, withUrls);
  leaf(program, "move-leader", "makes another member the leader", moveLeader);
  const alarm = group("alarm", "alarms of the members");
  leaf(alarm, "list", "lists them", alarmList);
  leaf(alarm, "disarm", "switches all of them off", alarmDisarm);
}

function addEndpoints(
  leaf: Leaf,
  program: Command,
  group: (name: string, description: string) => Command,
): void {
  const ofCluster = (command: Command): Command =>
    plain(command).option("--cluster", "all members, not only --endpoints");
  const endpoint = group("endpoint", "how the members are");
  leaf(endpoint, "health", "whether each can read with a quorum", endpointHealth, ofCluster);
  leaf(endpoint, "status", "what each says of itself", endpointStatus, ofCluster);
  leaf(endpoint, "hashkv", "the hash of each one's history", endpointHashKv, (command) =>
    ofCluster(command).option("--rev <n>", "up to this revision", "0"),
  );
  leaf(program, "defrag", "gives space back", defrag, ofCluster);
}

function plain(command: Command): Command {
  return command.argument("[args...]");
}

/** Go's flags without a value may be given one: `--prefix=true`. */
function withoutValues(words: readonly string[]): string[] {
  const end = words.indexOf("--");
  return words.flatMap((word, i) => {
    const match = /^(--[a-z-]+)=(true|false)$/.exec(word);
    if (match === null || (end >= 0 && i > end)) return [word];
    return match[2] === "true" ? [match[1] ?? word] : [];
  });
}

function exitCodeOf(error: unknown, system: System): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    system.err(`Error: ${usageError(error)}\n`);
    return EXIT.error;
  }
  const message = messageOf(error);
  if (message !== "") system.err(`Error: ${message}\n`);
  return error instanceof CliError ? error.exitCode : EXIT.error;
}

/** In the words of etcdctl, where it has some. */
function usageError(error: CommanderError): string {
  const quotedWord = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  if (error.code === "commander.unknownOption") return `unknown flag: ${quotedWord}`;
  if (error.code === "commander.unknownCommand") return `unknown command "${quotedWord}" for "kvctl"`;
  return error.message.replace(/^error: /, "");
}
