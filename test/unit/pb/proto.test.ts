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

function typeOf(proto: string): protobuf.Type {
  return root.lookupType(proto.startsWith(".") ? proto : `waymark.raft.${proto}`);
}

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
  const type = typeOf(proto);

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

/** All fields of a message and of those inside it, `Type.field`; messages may contain themselves. */
function fieldsOf(type: protobuf.Type, into: Set<string>): void {
  for (const field of type.fieldsArray) {
    const name = `${type.fullName}.${field.name}`;
    if (into.has(name)) continue;
    into.add(name);
    const below = field.resolve().resolvedType;
    if (below instanceof protobuf.Type) fieldsOf(below, into);
  }
}

function addSeen(type: protobuf.Type, value: object, into: Set<string>): void {
  for (const [key, part] of Object.entries(value)) {
    const field = type.fields[key];
    if (field === undefined) continue;
    into.add(`${type.fullName}.${key}`);
    const below = field.resolve().resolvedType;
    if (!(below instanceof protobuf.Type)) continue;
    for (const one of Array.isArray(part) ? part : [part]) addSeen(below, one, into);
  }
}

it("every field of every message is written by a codec", () => {
  const seen = new Set<string>();
  const all = new Set<string>();
  for (const { proto, value, encode } of CODECS) {
    const type = typeOf(proto);
    fieldsOf(type, all);
    for (const v of fc.sample(value, { numRuns: 300, seed: 1 })) {
      addSeen(type, type.toObject(type.decode(encode(v)), { longs: String }), seen);
    }
  }
  expect([...all].filter((field) => !seen.has(field))).toEqual([]);
  expect(all.size).toBeGreaterThan(130);
});
