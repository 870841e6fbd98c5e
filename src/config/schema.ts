/**
 * The language in which a kind is described, once: from one description come the TypeScript type, validation
 * and defaults (`check-value.ts`), JSON Schema (`json-schema.ts`) and the documentation of every field
 * (`explain.ts`).
 *
 * It has only what our kinds need. Numbers are integers, so that canonical bytes are the same everywhere;
 * every text, list and dictionary has a limit, so that no object can be larger than its description allows.
 */

/** A JSON value as it may be written in an object. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** A form that a text must have. */
export interface Format {
  /** Anchored at both ends, linear, and valid as ECMA-262 pattern of a JSON Schema. */
  readonly pattern: RegExp;
  /** Ends the sentence "must be ...". */
  readonly says: string;
}

export interface TextSchema {
  readonly type: "text";
  /** Length in UTF-16 units, inclusive. */
  readonly min: number;
  readonly max: number;
  readonly format?: Format;
  /** Kind of the object that the text names. */
  readonly reference?: string;
  /** Compared without regard to case, and kept in lower case. */
  readonly lower?: boolean;
}

export interface IntegerSchema {
  readonly type: "integer";
  /** Inclusive. */
  readonly min: number;
  readonly max: number;
}

export interface FlagSchema {
  readonly type: "flag";
}

export interface ChoiceSchema<W extends string = string> {
  readonly type: "choice";
  readonly words: readonly W[];
}

export interface ListSchema<I extends Schema = Schema> {
  readonly type: "list";
  readonly item: I;
  readonly min: number;
  readonly max: number;
  /** Whether an item may be there once only; compared by canonical JSON. */
  readonly distinct: boolean;
}

export interface DictionarySchema<I extends Schema = Schema> {
  readonly type: "dictionary";
  readonly key: TextSchema;
  readonly item: I;
  readonly max: number;
}

export interface FieldsSchema<F extends FieldTable = FieldTable> {
  readonly type: "fields";
  readonly fields: F;
}

/** An object with exactly one of the fields: `{exact: ...}` or `{prefix: ...}`. */
export interface VariantSchema<F extends VariantTable = VariantTable> {
  readonly type: "variant";
  readonly variants: F;
}

export type Schema =
  | TextSchema
  | IntegerSchema
  | FlagSchema
  | ChoiceSchema
  | ListSchema
  | DictionarySchema
  | FieldsSchema
  | VariantSchema;

export type Presence = "required" | "optional" | "default";

export interface Field<S extends Schema = Schema, P extends Presence = Presence> {
  readonly presence: P;
  readonly schema: S;
  /** One or two sentences: what it does, its unit, what 0 or absence mean. */
  readonly doc: string;
  /** What an absent field stands for; there if and only if presence is "default". */
  readonly fallback?: Json;
}

export interface FieldTable {
  readonly [name: string]: Field;
}

export interface VariantTable {
  readonly [name: string]: { readonly schema: Schema; readonly doc: string };
}

/** The type of a value that was checked and has its defaults. */
export type Infer<S> = S extends TextSchema
  ? string
  : S extends IntegerSchema
    ? number
    : S extends FlagSchema
      ? boolean
      : S extends ChoiceSchema<infer W>
        ? W
        : S extends ListSchema<infer I>
          ? readonly Infer<I>[]
          : S extends DictionarySchema<infer I>
            ? { readonly [name: string]: Infer<I> }
            : S extends FieldsSchema<infer F>
              ? InferFields<F>
              : S extends VariantSchema<infer V>
                ? InferVariant<V>
                : never;

type OptionalNames<F extends FieldTable> = {
  [N in keyof F]: F[N]["presence"] extends "optional" ? N : never;
}[keyof F];

type InferFields<F extends FieldTable> = {
  readonly [N in Exclude<keyof F, OptionalNames<F>>]: Infer<F[N]["schema"]>;
} & { readonly [N in OptionalNames<F>]?: Infer<F[N]["schema"]> };

/** A union in which each member has one field and knows of the others that they are absent. */
type InferVariant<V extends VariantTable> = {
  [N in keyof V]: { readonly [M in N]: Infer<V[N]["schema"]> } & {
    readonly [M in Exclude<keyof V, N>]?: never;
  };
}[keyof V];

/** Text of at most `max` units; empty is refused unless `min` is 0. */
export function text(options: Omit<TextSchema, "type" | "min"> & { readonly min?: number }): TextSchema {
  return { type: "text", min: 1, ...options };
}

/** An integer from `min` to `max`, both inclusive. */
export function integer(min: number, max: number): IntegerSchema {
  return { type: "integer", min, max };
}

export const FLAG: FlagSchema = { type: "flag" };

/** One of the words. */
export function choice<const W extends string>(...words: W[]): ChoiceSchema<W> {
  return { type: "choice", words };
}

/** A list of at most `max` items; `min` defaults to 0, `distinct` to true. */
export function list<I extends Schema>(
  item: I,
  options: { readonly max: number; readonly min?: number; readonly distinct?: boolean },
): ListSchema<I> {
  return { type: "list", item, min: options.min ?? 0, max: options.max, distinct: options.distinct ?? true };
}

/** Items by name, at most `max`. */
export function dictionary<I extends Schema>(key: TextSchema, item: I, max: number): DictionarySchema<I> {
  return { type: "dictionary", key, item, max };
}

export function fields<const F extends FieldTable>(table: F): FieldsSchema<F> {
  return { type: "fields", fields: table };
}

export function variant<const V extends VariantTable>(variants: V): VariantSchema<V> {
  return { type: "variant", variants };
}

export function required<S extends Schema>(schema: S, doc: string): Field<S, "required"> {
  return { presence: "required", schema, doc };
}

export function optional<S extends Schema>(schema: S, doc: string): Field<S, "optional"> {
  return { presence: "optional", schema, doc };
}

/** A field that is always there after checking. The fallback is checked like a written value. */
export function defaulted<S extends Schema>(schema: S, fallback: Json, doc: string): Field<S, "default"> {
  return { presence: "default", schema, doc, fallback };
}
