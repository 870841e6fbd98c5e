// Goal: proto/raft.proto says what the codecs do. Method: bytes of the codecs are read by protobufjs
// reflection over that file and the other way round, for generated values; and every field that the file has
// must have been seen.
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { CODECS } from "./values.ts";

const root = new protobuf.Root().loadSync(
  fileURLToPath(new URL("../../../proto/raft.proto", import.meta.url)),
  {
    keepCase: true,
  },
);

const AS_OBJECT = { longs: String, enums: Number, defaults: true, arrays: true } as const;

/** Protobufjs gives Buffers and, for absent messages, null; neither says anything here. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([, part]) => part !== null && part !== undefined);
  return Object.fromEntries(kept.map(([key, part]) => [key, plain(part)]));
}

describe.each(CODECS)("$name as $proto", ({ proto, value, encode, decode, toProto }) => {
  const type = root.lookupType(`waymark.raft.${proto}`);

  it("is read by reflection as the value that was encoded", () => {
    fc.assert(
      fc.property(value, (v) => {
        expect(plain(type.toObject(type.decode(encode(v)), AS_OBJECT))).toEqual(plain(toProto(v)));
      }),
      { numRuns: 200 },
    );
  });

  it("reads what reflection wrote, explicit defaults included", () => {
    fc.assert(
      fc.property(value, (v) => {
        const bytes = type.encode(type.fromObject(toProto(v) as Record<string, unknown>)).finish();
        expect(decode(bytes)).toEqual({ type: "ok", value: v });
      }),
      { numRuns: 200 },
    );
  });
});

/** Paths of all fields below a message, `a.b.c`. */
function fieldPaths(type: protobuf.Type, prefix: string): string[] {
  return type.fieldsArray.flatMap((field) => {
    const path = `${prefix}.${field.name}`;
    const below = field.resolve().resolvedType;
    return below instanceof protobuf.Type ? [path, ...fieldPaths(below, path)] : [path];
  });
}

function seenPaths(value: unknown, prefix: string, into: Set<string>): void {
  if (Array.isArray(value)) for (const part of value) seenPaths(part, prefix, into);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  for (const [key, part] of Object.entries(value)) {
    if (Array.isArray(value)) continue;
    into.add(`${prefix}.${key}`);
    seenPaths(part, `${prefix}.${key}`, into);
  }
}

it("every field of every message is written by a codec", () => {
  const seen = new Set<string>();
  for (const { proto, value, encode } of CODECS) {
    const type = root.lookupType(`waymark.raft.${proto}`);
    for (const v of fc.sample(value, { numRuns: 300, seed: 1 })) {
      seenPaths(type.toObject(type.decode(encode(v)), { longs: String }), proto, seen);
    }
  }
  const all = [...new Set(CODECS.map(({ proto }) => proto))].flatMap((proto) => {
    return fieldPaths(root.lookupType(`waymark.raft.${proto}`), proto);
  });
  expect(all.filter((path) => !seen.has(path))).toEqual([]);
  expect(all.length).toBeGreaterThan(80);
});
