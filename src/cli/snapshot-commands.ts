/** `kvctl snapshot save`: a member's state as a file, in etcd's format where the member has it. */
import { equalBytes } from "../base/index.ts";
import { ClientError } from "../client/index.ts";
import { badArgs, CliError, EXIT, messageOf } from "./exit.ts";
import type { Session } from "./session.ts";

/** etcd's pages are a multiple of this, so what is left over at the end is the hash. */
const SECTOR_BYTES = 512;
const HASH_BYTES = 32;

export async function snapshotSave(session: Session, args: readonly string[]): Promise<void> {
  const [path] = args;
  if (path === undefined || args.length > 1) throw badArgs("snapshot save expects one argument");
  if (session.endpoints.length !== 1) {
    throw badArgs(
      `snapshot must be requested to one selected node, not multiple [${session.endpoints.join(" ")}]`,
    );
  }
  const { system } = session;
  const file = new HashedFile(system.sha256());
  const parts = session.client().maintenance.snapshot(system.interrupted);
  let version = "";
  async function* blobs(): AsyncGenerator<Uint8Array, void, void> {
    for await (const part of parts) {
      if (part.version !== "") version = part.version;
      file.add(part.blob);
      yield part.blob;
    }
  }
  try {
    await system.saveFile(path, blobs(), () => file.check());
  } catch (error: unknown) {
    if (error instanceof CliError) throw error;
    const exitCode = error instanceof ClientError ? EXIT.interrupted : EXIT.io;
    throw new CliError(exitCode, messageOf(error), error);
  }
  system.out(`Snapshot saved at ${path}\n`);
  if (version !== "") system.out(`Server version ${version}\n`);
}

/** Follows a file whose last 32 bytes are the SHA-256 of the others. */
class HashedFile {
  readonly #hash: { update(bytes: Uint8Array): void; digest(): Uint8Array };
  /** The newest bytes, which may be the hash and so are not hashed yet. */
  #tail: Uint8Array = new Uint8Array(0);
  #bytes = 0;

  constructor(hash: { update(bytes: Uint8Array): void; digest(): Uint8Array }) {
    this.#hash = hash;
  }

  add(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    const joined = new Uint8Array(this.#tail.length + bytes.length);
    joined.set(this.#tail);
    joined.set(bytes, this.#tail.length);
    const body = Math.max(0, joined.length - HASH_BYTES);
    this.#hash.update(joined.subarray(0, body));
    this.#tail = joined.slice(body);
  }

  /** @throws CliError: the file is not what the member sent */
  check(): void {
    if (this.#bytes % SECTOR_BYTES !== HASH_BYTES) {
      const message = `sha256 checksum not found: ${this.#bytes} bytes came; the snapshot was cut off, save it again`;
      throw new CliError(EXIT.io, message);
    }
    if (equalBytes(this.#hash.digest(), this.#tail)) return;
    throw new CliError(
      EXIT.io,
      "sha256 checksum does not match: the snapshot was damaged on its way, save it again",
    );
  }
}
