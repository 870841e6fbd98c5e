/**
 * How a member's process starts: the log is recovered and repaired by the real `wal/`, on the simulated disk; then the
 * member opens on log and state. A crash may come at every step, also of the repair.
 */
import type { ClusterId } from "../../src/base/index.ts";
import type { FileOp, RecoveredLog } from "../../src/env/index.ts";
import { bootstrapLog, emptyLog, type Founder, openMember } from "../../src/member/index.ts";
import { createWal, recoverWal, type Wal, type WalOptions } from "../../src/wal/index.ts";
import type { Machine, MachineHost } from "./machine.ts";
import { Rng } from "./rng.ts";
import type { Sometimes } from "./sometimes.ts";
import { violate } from "./violation.ts";

/** What a start needs to know that the machine does not. */
export interface BootContext {
  readonly seed: number;
  readonly cluster: ClusterId;
  readonly segmentBytes: number;
  /** The initial members and their lease, for a machine that is one of them; undefined: it joins. */
  readonly founding: { readonly voters: readonly Founder[]; readonly leaseMs: number } | undefined;
  /** Bits of its log were flipped: recovery may refuse it. */
  readonly damaged: boolean;
  readonly rng: Rng;
  readonly host: MachineHost;
  readonly sometimes: Sometimes;
  /** The machine's data is unusable; its process has ended. */
  refused(machine: Machine, reason: string): void;
  started(machine: Machine): void;
}

/** Starts a process on a machine that has none. */
export function startProcess(machine: Machine, context: BootContext): void {
  const boot = machine.beginProcess();
  const { queue } = context.host;
  const target = { slot: machine.slot, boot, label: "recover" };
  queue.call(queue.now + 1_000 + context.rng.exponential(5_000), target, () => recover(machine, context));
}

function recover(machine: Machine, context: BootContext): void {
  const { invariants } = context.host;
  const options: WalOptions = {
    segmentBytes: context.segmentBytes,
    cluster: context.cluster,
    member: machine.id,
    instance: machine.options.instance,
  };
  const recovery = recoverWal(machine.disk.view(), options);
  switch (recovery.type) {
    case "refused": {
      const text = `${recovery.file}:${recovery.offset}: ${recovery.reason}`;
      if (!context.damaged) violate("refused-at-open", `member ${machine.slot}: ${text}`);
      context.sometimes.reached("damaged log refused");
      machine.crash("kill");
      context.refused(machine, text);
      return;
    }
    case "empty": {
      if (invariants.durableLast(machine.slot) > 0) {
        violate("recovery-keeps-durable", `member ${machine.slot}: the log is gone`);
      }
      const { ops, wal } = createWal(options);
      run(machine, context, [...recovery.cleanup, ...ops], () =>
        found(machine, context, { log: emptyLog(), wal }),
      );
      return;
    }
    case "ok": {
      const { recovered, repair, wal, torn } = recovery;
      if (torn) context.sometimes.reached("torn batch repaired");
      run(machine, context, repair, () => {
        const synced = machine.disk.isAllDurable();
        if (invariants.recovered(machine.slot, recovered, synced))
          context.sometimes.reached("unsynced data lost");
        found(machine, context, { log: recovered, wal });
      });
      return;
    }
  }
}

/** A founding member whose log does not hold the first entry yet writes it. */
function found(machine: Machine, context: BootContext, start: { log: RecoveredLog; wal: Wal }): void {
  const { founding } = context;
  const { log, wal } = start;
  const isNew = log.hardState.term === 0 && log.base.index + log.entries.length === 0;
  if (founding === undefined || !isNew) {
    open(machine, context, start);
    return;
  }
  const first = bootstrapLog(founding);
  const { invariants } = context.host;
  invariants.batchIssued(machine.slot, first.batch, undefined);
  run(machine, context, wal.append(first.batch), () => {
    if (machine.disk.isAllDurable()) invariants.batchDurable(machine.slot);
    open(machine, context, { log: first.log, wal });
  });
}

function open(machine: Machine, context: BootContext, start: { log: RecoveredLog; wal: Wal }): void {
  const { log, wal } = start;
  if (!machine.backend.select(log.snapshot)) {
    violate(
      "state-directory-present",
      `member ${machine.slot}: no directory for ${log.snapshot?.index ?? 0}`,
    );
  }
  machine.backend.removeOthers();
  const random = new Rng(context.seed, `member ${machine.slot} ${machine.boot}`);
  const opened = openMember(
    machine.options,
    { log, state: machine.backend.view(), below: machine.backend.reader() },
    { random },
    machine.now,
  );
  if (opened.type === "refused") violate("refused-at-open", `member ${machine.slot}: ${opened.reason}`);
  machine.run({ member: opened.member, wal });
  context.started(machine);
}

/** Carries out operations before the member runs; if one fails the process ends. */
function run(machine: Machine, context: BootContext, ops: readonly FileOp[], then: () => void): void {
  const { queue } = context.host;
  const { list, end } = machine.disk.start(queue.now, ops);
  queue.call(end, { slot: machine.slot, boot: machine.boot, label: "repaired" }, () => {
    const { failure } = machine.disk.finish(queue.now, list);
    if (failure === undefined) {
      then();
      return;
    }
    machine.crash("power");
    context.host.wantsRestart(machine.slot, failure);
  });
}
