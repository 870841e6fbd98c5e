/** kvctl in this process: its whole outside is in memory, but the network. */
import { createHash } from "node:crypto";
import { runKvctl, type System } from "../../src/cli/index.ts";
import { systemRandom } from "../../src/main/ports.ts";
import { REAL_CLOCK } from "../support/clocks.ts";

export interface RanHere {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A command that runs, or ran. */
export class Kvctl {
  readonly files = new Map<string, Uint8Array>();
  /** Programs that were run, with what they were told. */
  readonly programs: {
    readonly command: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  }[] = [];
  readonly done: Promise<RanHere>;
  readonly #interruption = new AbortController();
  readonly #out: Buffer[] = [];
  #err = "";

  constructor(
    words: readonly string[],
    given: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ) {
    this.done = runKvctl(words, this.#system(given.input ?? "", given.env ?? {}), "1.2.3").then((code) => ({
      code,
      out: this.out,
      err: this.#err.trim(),
    }));
  }

  get out(): string {
    return Buffer.concat(this.#out).toString();
  }

  interrupt(): void {
    this.#interruption.abort();
  }

  #system(input: string, env: Readonly<Record<string, string>>): System {
    return {
      env,
      clock: REAL_CLOCK,
      random: systemRandom,
      interrupted: this.#interruption.signal,
      out: (piece) => void this.#out.push(Buffer.from(piece)),
      err: (text) => {
        this.#err += text;
      },
      readInput: async () => Buffer.from(input),
      inputLines: async function* () {
        yield* input.split("\n").slice(0, -1);
      },
      readFile: async (path) => {
        const bytes = this.files.get(path);
        if (bytes === undefined) throw new Error(`open ${path}: no such file or directory`);
        return bytes;
      },
      saveFile: async (path, parts, accept) => {
        const all: Uint8Array[] = [];
        for await (const part of parts) all.push(part);
        accept();
        this.files.set(path, Buffer.concat(all));
      },
      sha256: () => {
        const hash = createHash("sha256");
        return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() };
      },
      run: async (command, told) => {
        this.programs.push({ command, env: told });
        return command[0] === "false" ? "exit status 1" : undefined;
      },
    };
  }
}

/** Runs to its end. */
export function kvctl(endpoints: readonly string[], words: readonly string[], input = ""): Promise<RanHere> {
  return new Kvctl([`--endpoints=${endpoints.join(",")}`, ...words], { input }).done;
}
