/**
 * Documentation of fields, from the same description that checks them: `explain route.match`, and a page per
 * kind.
 */
import { unreachable } from "../base/index.ts";
import { nearest } from "./nearest.ts";
import type { Schema } from "./schema.ts";

/** A field as it is documented. */
export interface FieldDoc {
  readonly name: string;
  /** "text, at most 63 characters", "list of at most 16 of: one of ...". */
  readonly type: string;
  /** "required", "optional" or "default 100". */
  readonly presence: string;
  readonly doc: string;
}

export interface Explained {
  readonly type: "explained";
  /** Path of what is explained, from the object down, dots between. */
  readonly path: string;
  readonly doc: string;
  /** Form of the value. */
  readonly form: string;
  /** Fields below; empty for a plain value. */
  readonly fields: readonly FieldDoc[];
}

export type Explanation = Explained | { readonly type: "unknown"; readonly message: string };

/** Explains the field at `steps` below `schema`. Lists and dictionaries take no step of their own. */
export function explainField(schema: Schema, doc: string, steps: readonly string[]): Explanation {
  let at = schema;
  let words = doc;
  const done: string[] = [];
  for (const step of steps) {
    const below = tableOf(at);
    const found = below.find((one) => one.name === step);
    if (found === undefined) {
      const names = below.map((one) => one.name);
      const near = nearest(step, names);
      const known = names.length === 0 ? "it has no fields" : `fields: ${names.join(", ")}`;
      const hint = near === undefined ? known : `did you mean ${near}?`;
      return { type: "unknown", message: `${done.join(".") || "the object"} has no field ${step}; ${hint}` };
    }
    at = found.schema;
    words = found.doc;
    done.push(step);
  }
  const fields = tableOf(at).map(({ name, schema: below, doc: text, presence }) => {
    return { name, type: formOf(below), presence, doc: text };
  });
  return { type: "explained", path: done.join("."), doc: words, form: formOf(at), fields };
}

/** The whole description as Markdown: one row per field, all levels, dots between. */
export function markdownOf(title: string, schema: Schema, doc: string): string {
  const rows = rowsOf(schema, "");
  const lines = rows.map(({ name, type, presence, doc: text }) => {
    return `| \`${name}\` | ${cell(type)} | ${cell(presence)} | ${cell(text)} |`;
  });
  return [
    `## ${title}`,
    "",
    doc,
    "",
    "| field | form | | what it does |",
    "|---|---|---|---|",
    ...lines,
    "",
  ].join("\n");
}

interface Below {
  readonly name: string;
  readonly schema: Schema;
  readonly doc: string;
  readonly presence: string;
}

function tableOf(schema: Schema): readonly Below[] {
  switch (schema.type) {
    case "list":
    case "dictionary":
      return tableOf(schema.item);
    case "fields":
      return Object.entries(schema.fields).map(([name, field]) => {
        const presence =
          field.fallback === undefined ? field.presence : `default ${JSON.stringify(field.fallback)}`;
        return { name, schema: field.schema, doc: field.doc, presence };
      });
    case "variant":
      return Object.entries(schema.variants).map(([name, one]) => ({ name, ...one, presence: "one of" }));
    case "text":
    case "integer":
    case "flag":
    case "choice":
      return [];
    default:
      return unreachable(schema);
  }
}

function rowsOf(schema: Schema, prefix: string): FieldDoc[] {
  return tableOf(schema).flatMap(({ name, schema: below, doc, presence }) => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    return [{ name: path, type: formOf(below), presence, doc }, ...rowsOf(below, path)];
  });
}

function formOf(schema: Schema): string {
  switch (schema.type) {
    case "text": {
      const what = schema.reference === undefined ? "text" : `name of a ${schema.reference}`;
      const form = schema.format === undefined ? "" : `: ${schema.format.says}`;
      return `${what}, at most ${schema.max} characters${form}`;
    }
    case "integer":
      return `integer from ${schema.min} to ${schema.max}`;
    case "flag":
      return "true or false";
    case "choice":
      return `one of ${schema.words.join(", ")}`;
    case "list": {
      const least = schema.min > 0 ? `${schema.min} to ` : "at most ";
      return `list of ${least}${schema.max}: ${formOf(schema.item)}`;
    }
    case "dictionary":
      return `at most ${schema.max} by name: ${formOf(schema.item)}`;
    case "fields":
      return "object";
    case "variant":
      return "object with exactly one of its fields";
    default:
      return unreachable(schema);
  }
}

function cell(words: string): string {
  return words.replaceAll("|", "\\|");
}
