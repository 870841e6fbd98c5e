/**
 * Messages that are asked for a few times a second at most, described by a table of their fields: one line says number,
 * type and meaning, and both directions follow from it. What travels with every request is written by hand in the other
 * files, several times faster.
 *
 * As all messages of etcd they are read as protobuf reads them: integers clamped, the last of two counts, unknown
 * fields passed over.
 */
import { EMPTY_BYTES, fail, MAX_ID } from "../base/index.ts";
import { textProblem, uintProblem } from "./check.ts";
import { int64Problem, longProblem } from "./kv-txn.ts";
import {
  putInt64,
  putLong,
  readBlob,
  readBool,
  readEnum,
  readInt64,
  readLong,
  readUint64,
  readUlong,
} from "./kv-wire.ts";
import type { Decoded } from "./types.ts";
import { decodeWith, enter, leave, type Reader, readText, skipField } from "./wire-read.ts";
import { begin, finish, open, putBytes, putFlag, putText, putUint, type Writer } from "./wire-write.ts";

/** Largest message, bytes: what gRPC can carry. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;
/** Stands for a value of an enum that this program does not know. */
const UNKNOWN_ENUM = 127;
const VARINT = 0;

/** One field of a message. `T` is its value in the program. */
export interface Field<T> {
  readonly number: number;
  /** What an absent field is. */
  readonly absent: T;
  /** Writes the field, or nothing if the value is the one of absence. */
  write(w: Writer, value: T): void;
  /** Reads what stands behind `tag`. @param before the value so far, which repeated fields add to */
  read(r: Reader, tag: number, what: string, before: T): T;
  /** The rule that the value breaks, or undefined. */
  problem(value: T, what: string): string | undefined;
}

/** Fields by their names in the program, numbers ascending. */
export type Shape = { readonly [name: string]: Field<unknown> };

/** The value that a shape describes. */
export type ValueOf<S> = { readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never };

/** Both directions of one message. */
export interface MessageCodec<T> {
  /** The bytes are the caller's. @throws AssertionError when a value does not fit its field */
  encode(value: T): Uint8Array;
  /** Never throws. Bytes inside may be views of `bytes`: the caller gives them up. */
  decode(bytes: Uint8Array): Decoded<T>;
  /** The fields alone, for a message inside another. */
  write(w: Writer, value: T): void;
  /** Reads up to the reader's end. */
  read(r: Reader): T;
  problem(value: T): string | undefined;
}

/** The value that a codec is for. */
export type MessageOf<C> = C extends MessageCodec<infer T> ? T : never;

/** The codec of a message. @param what its name, first words of a reason */
export function message<S extends Shape>(what: string, shape: S): MessageCodec<ValueOf<S>> {
  const fields = Object.entries(shape);
  const byNumber = new Map(fields.map(([name, field]) => [field.number, { name, field }]));
  type Values = Record<string, unknown>;

  const write = (w: Writer, value: ValueOf<S>): void => {
    for (const [name, field] of fields) field.write(w, (value as Values)[name]);
  };
  const read = (r: Reader): ValueOf<S> => {
    const value: Values = {};
    for (const [name, field] of fields) value[name] = field.absent;
    while (r.pos < r.len) {
      const tag = r.tag();
      const known = byNumber.get(tag >>> 3);
      if (known === undefined) skipField(r, tag);
      else value[known.name] = known.field.read(r, tag, known.name, value[known.name]);
    }
    // Every name of the shape was set above, each by its own field.
    return value as ValueOf<S>;
  };
  const problem = (value: ValueOf<S>): string | undefined => {
    for (const [name, field] of fields) {
      const reason = field.problem((value as Values)[name], name);
      if (reason !== undefined) return reason;
    }
    return undefined;
  };
  return {
    write,
    read,
    problem,
    encode(value) {
      const reason = problem(value);
      if (reason !== undefined) fail(`cannot encode ${what}: ${reason}`);
      const w = begin();
      write(w, value);
      return finish(w, what, MAX_MESSAGE_BYTES);
    },
    decode: (bytes) => decodeWith(what, bytes, MAX_MESSAGE_BYTES, read, noProblem),
  };
}

function noProblem(): undefined {
  return undefined;
}

/** An int64 that is a number here: clamped to what is exact. */
export function int64(number: number): Field<number> {
  return {
    number,
    absent: 0,
    write: (w, value) => putInt64(w, number, value),
    read: readInt64,
    problem: (value, what) => int64Problem(what, value),
  };
}

/** A uint64 that is a number here. */
export function uint64(number: number): Field<number> {
  return {
    number,
    absent: 0,
    write: (w, value) => putUint(w, number, value),
    read: readUint64,
    problem: (value, what) => uintProblem(what, value, 0, Number.MAX_SAFE_INTEGER),
  };
}

/** A uint32. */
export function uint32(number: number): Field<number> {
  return {
    number,
    absent: 0,
    write: (w, value) => putUint(w, number, value),
    read: (r, tag, what) => readEnum(r, tag, what) >>> 0,
    problem: (value, what) => uintProblem(what, value, 0, 2 ** 32 - 1),
  };
}

/** An int64 that is an identity: of a lease. Exact. */
export function leaseId(number: number): Field<bigint> {
  return {
    number,
    absent: 0n,
    write: (w, value) => putLong(w, number, value),
    read: readLong,
    problem: (value, what) => longProblem(what, value),
  };
}

/** A uint64 that is an identity: of a member or a cluster. Exact. */
export function memberId(number: number): Field<bigint> {
  return {
    number,
    absent: 0n,
    write: (w, value) => putLong(w, number, value),
    read: readUlong,
    problem: (value, what) =>
      value >= 0n && value <= MAX_ID ? undefined : `${what} ${value} is not a 64-bit identity`,
  };
}

export function flag(number: number): Field<boolean> {
  return {
    number,
    absent: false,
    write: (w, value) => putFlag(w, number, value),
    read: readBool,
    problem: noProblem,
  };
}

export function text(number: number): Field<string> {
  return {
    number,
    absent: "",
    write: (w, value) => putText(w, number, value),
    read: readText,
    problem: (value, what) => textProblem(what, value),
  };
}

export function blob(number: number): Field<Uint8Array> {
  return {
    number,
    absent: EMPTY_BYTES,
    write: (w, value) => putBytes(w, number, value),
    read: readBlob,
    problem: noProblem,
  };
}

/** An enum by its values in order of their numbers; undefined: a number that is not among them. */
export function oneOf<const V extends readonly [string, ...string[]]>(
  number: number,
  values: V,
): Field<V[number] | undefined> {
  return {
    number,
    absent: values[0],
    write: (w, value) => putUint(w, number, value === undefined ? UNKNOWN_ENUM : values.indexOf(value)),
    read: (r, tag, what) => values[readEnum(r, tag, what)],
    problem: noProblem,
  };
}

/** A message inside; undefined: absent. */
export function nested<T>(number: number, codec: MessageCodec<T>): Field<T | undefined> {
  return {
    number,
    absent: undefined,
    write(w, value) {
      if (value === undefined) return;
      open(w, number);
      codec.write(w, value);
      w.ldelim();
    },
    read(r, tag, what) {
      const outer = enter(r, tag, what);
      const value = codec.read(r);
      leave(r, outer);
      return value;
    },
    problem: (value) => (value === undefined ? undefined : codec.problem(value)),
  };
}

/** Messages inside, in order. */
export function list<T>(number: number, codec: MessageCodec<T>): Field<readonly T[]> {
  const one = nested(number, codec);
  return {
    number,
    absent: [],
    write(w, values) {
      for (const value of values) one.write(w, value);
    },
    read: (r, tag, what, before) => append(before, codecValue(one.read(r, tag, what, undefined))),
    problem: (values) => values.map((value) => codec.problem(value)).find((reason) => reason !== undefined),
  };
}

function codecValue<T>(value: T | undefined): T {
  return value ?? fail("a message that was read is absent");
}

/** Strings, in order. The empty ones count. */
export function texts(number: number): Field<readonly string[]> {
  return {
    number,
    absent: [],
    write(w, values) {
      for (const value of values) w.uint32((number << 3) | 2).string(value);
    },
    read: (r, tag, what, before) => append(before, readText(r, tag, what)),
    problem: (values, what) => values.map((v) => textProblem(what, v)).find((reason) => reason !== undefined),
  };
}

/** Byte strings, in order. The empty ones count. */
export function blobs(number: number): Field<readonly Uint8Array[]> {
  return {
    number,
    absent: [],
    write(w, values) {
      for (const value of values) w.uint32((number << 3) | 2).bytes(value);
    },
    read: (r, tag, what, before) => append(before, readBlob(r, tag, what)),
    problem: noProblem,
  };
}

/** Numbers of an enum, in order; read packed or one by one, as protobuf has both. */
export function enums(number: number): Field<readonly number[]> {
  return {
    number,
    absent: [],
    write(w, values) {
      if (values.length === 0) return;
      open(w, number);
      for (const value of values) w.int32(value);
      w.ldelim();
    },
    read(r, tag, what, before) {
      if ((tag & 7) === VARINT) return append(before, readEnum(r, tag, what));
      const outer = enter(r, tag, what);
      let values = before;
      while (r.pos < r.len) values = append(values, readEnum(r, VARINT, what));
      leave(r, outer);
      return values;
    },
    problem: noProblem,
  };
}

/** A list with one value more. Values come one by one; the list that is absent is shared and must stay empty. */
export function append<T>(before: readonly T[], value: T): readonly T[] {
  if (before.length === 0) return [value];
  // Made by the line above, and nobody else has it yet.
  (before as T[]).push(value);
  return before;
}
