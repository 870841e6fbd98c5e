/**
 * A written value against its description: findings with pointers, the defaults filled in, and what the value
 * names. It goes on after a finding, so that one attempt shows everything that is wrong.
 */
import { unreachable } from "../base/index.ts";
import { mustCanonicalText } from "./canonical.ts";
import { type Finding, type FindingCode, MAX_FINDINGS_PER_OBJECT, pointer } from "./finding.ts";
import { nearest } from "./nearest.ts";
import type {
  ChoiceSchema,
  DictionarySchema,
  Field,
  FieldsSchema,
  IntegerSchema,
  Json,
  ListSchema,
  Schema,
  TextSchema,
  VariantSchema,
} from "./schema.ts";

/** Where an object names another one. */
export interface Reference {
  readonly path: string;
  readonly kind: string;
  readonly name: string;
}

export interface CheckOptions {
  readonly kind: string;
  readonly name: string;
  /**
   * What an unknown field is. Writers are strict: an error. Readers are lenient, so that an older gateway
   * lives with a newer store: a warning, and the field is left out.
   */
  readonly unknownFields: "error" | "warning";
}

export interface Checked {
  /** The value with its defaults. Meaningless when there is an error among the findings. */
  readonly value: Json;
  /** At most MAX_FINDINGS_PER_OBJECT. */
  readonly findings: readonly Finding[];
  readonly references: readonly Reference[];
}

/** Values in messages are cut to this many units: a message goes into a log line and a trailer. */
const MAX_QUOTE = 60;

/** Checks a value against a description; `path` is where the value lies in its object. */
export function checkValue(schema: Schema, value: unknown, path: string, options: CheckOptions): Checked {
  const checker = new Checker(options);
  const resolved = checker.check(schema, value, path);
  return { value: resolved, findings: checker.findings, references: checker.references };
}

/** A value as it appears in messages. */
export function quote(value: unknown): string {
  const shown = typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
  return shown.length <= MAX_QUOTE ? shown : `${shown.slice(0, MAX_QUOTE)}…`;
}

/** Resolved fallbacks by field. Descriptions live as long as the program does. */
const FALLBACKS = new WeakMap<Field, Json>();

class Checker {
  readonly findings: Finding[] = [];
  readonly references: Reference[] = [];
  readonly #options: CheckOptions;

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  check(schema: Schema, value: unknown, path: string): Json {
    switch (schema.type) {
      case "text":
        return this.#text(schema, value, path);
      case "integer":
        return this.#integer(schema, value, path);
      case "flag":
        return typeof value === "boolean" ? value : this.#wrongType("true or false", value, path);
      case "choice":
        return this.#choice(schema, value, path);
      case "list":
        return this.#list(schema, value, path);
      case "dictionary":
        return this.#dictionary(schema, value, path);
      case "fields":
        return this.#fields(schema, value, path);
      case "variant":
        return this.#variant(schema, value, path);
      default:
        return unreachable(schema);
    }
  }

  #text(schema: TextSchema, value: unknown, path: string): Json {
    if (typeof value !== "string") return this.#wrongType("text", value, path);
    const { min, max, format } = schema;
    if (value.length < min) {
      const least = min === 1 ? "not be empty" : `have at least ${min} characters`;
      return this.#refuse("too-short", path, `${quote(value)} must ${least}`);
    }
    if (value.length > max) {
      return this.#refuse(
        "too-long",
        path,
        `the text has ${value.length} characters, at most ${max} are taken`,
      );
    }
    const kept = schema.lower === true ? value.toLowerCase() : value;
    if (format !== undefined && !format.pattern.test(kept)) {
      return this.#refuse("bad-format", path, `${quote(value)} must be ${format.says}`);
    }
    if (schema.reference !== undefined) {
      this.references.push({ path, kind: schema.reference, name: kept });
    }
    return kept;
  }

  #integer(schema: IntegerSchema, value: unknown, path: string): Json {
    if (typeof value !== "number") return this.#wrongType("a number", value, path);
    if (!Number.isInteger(value)) return this.#wrongType("a whole number", value, path);
    const { min, max } = schema;
    if (value < min || value > max) {
      return this.#refuse("out-of-range", path, `${value} must lie between ${min} and ${max}`);
    }
    return value === 0 ? 0 : value;
  }

  #choice(schema: ChoiceSchema, value: unknown, path: string): Json {
    if (typeof value !== "string") return this.#wrongType("text", value, path);
    if (schema.words.includes(value)) return value;
    const near = nearest(value, schema.words);
    const message = `${quote(value)} must be one of ${schema.words.join(", ")}`;
    return this.#refuse("not-a-choice", path, message, near && `did you mean ${near}?`);
  }

  #list(schema: ListSchema, value: unknown, path: string): Json {
    if (!Array.isArray(value)) return this.#wrongType("a list", value, path);
    const { min, max } = schema;
    // Too long a list is not looked into: its limit is what bounds the work.
    if (value.length > max) {
      return this.#refuse("too-many", path, `the list has ${value.length} items, at most ${max} are taken`);
    }
    if (value.length < min) {
      return this.#refuse("too-few", path, `the list has ${value.length} items, at least ${min} are needed`);
    }
    const before = this.findings.length;
    const items = value.map((item, i) => this.check(schema.item, item, pointer(path, i)));
    if (schema.distinct && this.findings.length === before) this.#repeated(items, path);
    return items;
  }

  #repeated(items: readonly Json[], path: string): void {
    const first = new Map<string, number>();
    items.forEach((item, i) => {
      const key = typeof item === "string" ? item : mustCanonicalText(item);
      const seen = first.get(key);
      if (seen === undefined) first.set(key, i);
      else
        this.#refuse(
          "repeated-item",
          pointer(path, i),
          `${quote(item)} is already item ${seen} of this list`,
        );
    });
  }

  #dictionary(schema: DictionarySchema, value: unknown, path: string): Json {
    if (!isObject(value)) return this.#wrongType("an object", value, path);
    const members = Object.entries(value);
    if (members.length > schema.max) {
      return this.#refuse(
        "too-many",
        path,
        `there are ${members.length} entries, at most ${schema.max} are taken`,
      );
    }
    const out: Record<string, Json> = {};
    for (const [name, item] of members) {
      const at = pointer(path, name);
      const before = this.findings.length;
      const key = this.#text(schema.key, name, at);
      if (this.findings.length > before || typeof key !== "string") continue;
      if (Object.hasOwn(out, key)) {
        this.#refuse("repeated-item", at, `${quote(name)} is there twice when case is left out of account`);
      }
      put(out, key, this.check(schema.item, item, at));
    }
    return out;
  }

  #fields(schema: FieldsSchema, value: unknown, path: string): Json {
    if (!isObject(value)) return this.#wrongType("an object", value, path);
    const out: Record<string, Json> = {};
    for (const [name, field] of Object.entries(schema.fields)) {
      const written = Object.hasOwn(value, name) ? value[name] : undefined;
      if (written !== undefined) {
        put(out, name, this.check(field.schema, written, pointer(path, name)));
      } else if (field.fallback !== undefined) {
        put(out, name, this.#fallback(field, field.fallback, pointer(path, name)));
      } else if (field.presence === "required") {
        this.#refuse("missing-field", path, `the field ${name} is missing`);
      }
    }
    this.#unknown(Object.keys(value), Object.keys(schema.fields), path);
    return out;
  }

  /**
   * A fallback says the same in every object, so it is resolved once. An absent `spec` is the exception: its fallback
   * may lack required fields, which is to be said every time.
   */
  #fallback(field: Field, fallback: Json, path: string): Json {
    const known = FALLBACKS.get(field);
    if (known !== undefined) return known;
    const before = this.findings.length;
    const resolved = this.check(field.schema, fallback, path);
    if (this.findings.length === before) FALLBACKS.set(field, resolved);
    return resolved;
  }

  #variant(schema: VariantSchema, value: unknown, path: string): Json {
    if (!isObject(value)) return this.#wrongType("an object", value, path);
    const known = Object.keys(schema.variants);
    const written = known.filter((name) => Object.hasOwn(value, name));
    this.#unknown(Object.keys(value), known, path);
    const [name] = written;
    // A misspelt variant is said once, with the right word, and not also as a missing one.
    const said = this.#options.unknownFields === "error" && Object.keys(value).length > 0;
    if (name === undefined && said) return null;
    if (name === undefined || written.length > 1) {
      const has = name === undefined ? "none" : written.join(" and ");
      return this.#refuse(
        "not-one-variant",
        path,
        `has ${has}, must have exactly one of ${known.join(", ")}`,
      );
    }
    const chosen = schema.variants[name];
    if (chosen === undefined) return null;
    return { [name]: this.check(chosen.schema, value[name], pointer(path, name)) };
  }

  #unknown(written: readonly string[], known: readonly string[], path: string): void {
    for (const name of written) {
      if (known.includes(name)) continue;
      const near = nearest(name, known);
      const hint =
        near === undefined ? `known here: ${known.slice(0, 12).join(", ")}` : `did you mean ${near}?`;
      const message = `nothing knows the field ${quote(name)}`;
      this.#add(this.#options.unknownFields, "unknown-field", pointer(path, name), message, hint);
    }
  }

  #wrongType(wanted: string, value: unknown, path: string): Json {
    return this.#refuse("wrong-type", path, `${quote(value)} must be ${wanted}`);
  }

  #refuse(code: FindingCode, path: string, message: string, hint?: string): Json {
    this.#add("error", code, path, message, hint);
    return null;
  }

  #add(
    severity: "error" | "warning",
    code: FindingCode,
    path: string,
    message: string,
    hint: string | undefined,
  ): void {
    // An error must survive the limit: were only warnings kept, the object would pass.
    if (this.findings.length >= MAX_FINDINGS_PER_OBJECT) {
      if (severity === "warning" || this.findings.some((finding) => finding.severity === "error")) return;
      this.findings.pop();
    }
    const { kind, name } = this.#options;
    this.findings.push({
      severity,
      code,
      kind,
      name,
      path,
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Plain assignment would call the setter of `__proto__`, which JSON may well hold as a name. */
function put(out: Record<string, Json>, name: string, value: Json): void {
  if (name !== "__proto__") out[name] = value;
  else Object.defineProperty(out, name, { value, enumerable: true, writable: true, configurable: true });
}
