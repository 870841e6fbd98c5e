/**
 * The names of the simulated disk, durable apart from the files' content: a new file, a rename or a removal that was
 * not followed by `syncDir` may be lost in a power cut, each for itself.
 */
import { fail } from "../../src/base/index.ts";
import type { LogDirectory } from "../../src/env/index.ts";
import type { Rng } from "./rng.ts";
import { drawSurvival, durableBytes, isSynced, losePower, type SimFile } from "./sim-file.ts";

type NameChange =
  | { readonly type: "link"; readonly name: string; readonly file: SimFile }
  | { readonly type: "rename"; readonly from: string; readonly to: string; readonly file: SimFile }
  | { readonly type: "unlink"; readonly name: string };

/** Invariant: the durable names plus all unsynced changes give the visible names. */
export class DirectoryEntries {
  readonly #visible = new Map<string, SimFile>();
  readonly #durable = new Map<string, SimFile>();
  readonly #unsynced: NameChange[] = [];

  get(name: string): SimFile | undefined {
    return this.#visible.get(name);
  }

  /** @throws AssertionError: the log asked for a file that does not exist. */
  must(name: string): SimFile {
    return this.#visible.get(name) ?? fail("no such file", { name });
  }

  names(): string[] {
    return [...this.#visible.keys()].sort();
  }

  create(name: string, file: SimFile): void {
    if (this.#visible.has(name)) fail("file exists", { name });
    this.#change({ type: "link", name, file });
  }

  rename(from: string, to: string): void {
    this.#change({ type: "rename", from, to, file: this.must(from) });
  }

  remove(name: string): void {
    this.must(name);
    this.#change({ type: "unlink", name });
  }

  /** All names are durable. */
  sync(): void {
    for (const change of this.#unsynced) apply(this.#durable, change);
    this.#unsynced.length = 0;
  }

  /** Whether the file under this visible name has its content and its name on the platter. */
  isDurable(name: string): boolean {
    const file = this.#visible.get(name);
    // Released meanwhile by a list that ran beside: nothing of it is claimed any more.
    if (file === undefined) return true;
    return isSynced(file) && this.#durable.get(name) === file;
  }

  isAllDurable(): boolean {
    if (this.#unsynced.length > 0) return false;
    for (const file of this.#visible.values()) if (!isSynced(file)) return false;
    return true;
  }

  /** Keeps or loses each unsynced change of names, then of every file's content. */
  losePower(rng: Rng): void {
    const survives = drawSurvival(rng);
    const total = this.#unsynced.length;
    for (let i = 0; i < total; i++) {
      const change = this.#unsynced[i];
      if (change !== undefined && survives(i, total)) apply(this.#durable, change);
    }
    this.#unsynced.length = 0;
    this.#visible.clear();
    for (const name of [...this.#durable.keys()].sort()) {
      const file = this.#durable.get(name) as SimFile;
      losePower(file, drawSurvival(rng));
      this.#visible.set(name, file);
    }
  }

  clear(): void {
    this.#visible.clear();
    this.#durable.clear();
    this.#unsynced.length = 0;
  }

  view(): LogDirectory {
    return {
      list: () => this.names().map((name) => ({ name, bytes: this.must(name).length })),
      read: (name) => {
        const file = this.must(name);
        return file.bytes.slice(0, file.length);
      },
    };
  }

  /** Only what is durable: names and sectors. */
  durableView(): LogDirectory {
    return {
      list: () => [...this.#durable].map(([name, file]) => ({ name, bytes: file.durableLength })),
      read: (name) => durableBytes(this.#durable.get(name) ?? fail("no such file", { name })),
    };
  }

  #change(change: NameChange): void {
    this.#unsynced.push(change);
    apply(this.#visible, change);
  }
}

function apply(names: Map<string, SimFile>, change: NameChange): void {
  switch (change.type) {
    case "link":
      names.set(change.name, change.file);
      return;
    case "rename":
      // If the creation of `from` was lost, the rename still carries the file: both entries change as one.
      if (names.get(change.from) === change.file) names.delete(change.from);
      names.set(change.to, change.file);
      return;
    case "unlink":
      names.delete(change.name);
      return;
  }
}
