/** JSON Schema (draft 2020-12) of a description, for editors and for whoever generates objects. */
import { unreachable } from "../base/index.ts";
import type { FieldsSchema, Json, Schema, TextSchema, VariantSchema } from "./schema.ts";

type JsonObject = { readonly [name: string]: Json };

/** What a JSON Schema can say of the description; what only our checks can say is left to them. */
export function jsonSchema(schema: Schema): JsonObject {
  switch (schema.type) {
    case "text":
      return textSchema(schema);
    case "integer":
      return { type: "integer", minimum: schema.min, maximum: schema.max };
    case "flag":
      return { type: "boolean" };
    case "choice":
      return { type: "string", enum: schema.words };
    case "list":
      return {
        type: "array",
        items: jsonSchema(schema.item),
        ...(schema.min > 0 ? { minItems: schema.min } : {}),
        maxItems: schema.max,
        ...(schema.distinct ? { uniqueItems: true } : {}),
      };
    case "dictionary":
      return {
        type: "object",
        propertyNames: textSchema(schema.key),
        additionalProperties: jsonSchema(schema.item),
        maxProperties: schema.max,
      };
    case "fields":
      return fieldsSchema(schema);
    case "variant":
      return variantSchema(schema);
    default:
      return unreachable(schema);
  }
}

function textSchema(schema: TextSchema): JsonObject {
  // A pattern cannot leave case out of account, so it is not given where we do.
  const pattern = schema.lower === true ? undefined : schema.format?.pattern.source;
  return {
    type: "string",
    ...(schema.min > 0 ? { minLength: schema.min } : {}),
    maxLength: schema.max,
    ...(pattern === undefined ? {} : { pattern }),
  };
}

function fieldsSchema(schema: FieldsSchema): JsonObject {
  const properties: Record<string, Json> = {};
  const required: string[] = [];
  for (const [name, field] of Object.entries(schema.fields)) {
    const fallback = field.fallback === undefined ? {} : { default: field.fallback };
    properties[name] = { ...jsonSchema(field.schema), description: field.doc, ...fallback };
    if (field.presence === "required") required.push(name);
  }
  return {
    type: "object",
    properties,
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

function variantSchema(schema: VariantSchema): JsonObject {
  const properties: Record<string, Json> = {};
  for (const [name, one] of Object.entries(schema.variants)) {
    properties[name] = { ...jsonSchema(one.schema), description: one.doc };
  }
  return { type: "object", properties, minProperties: 1, maxProperties: 1, additionalProperties: false };
}
