/**
 * Mesh: defaults and limits of everything in it. While it exists, writes to its objects are judged by the
 * store.
 */
import type { LocalCheck } from "./kind.ts";
import { defaulted, fields, type Infer, integer, optional } from "./schema.ts";
import { PROSE_TEXT, RETRY, TIMEOUTS } from "./shared-fields.ts";

export const MESH_SPEC = fields({
  defaults: defaulted(
    fields({
      timeouts: defaulted(TIMEOUTS, {}, "Times of requests of routes that do not say their own."),
      retry: optional(RETRY, "Repeating what failed, for routes that do not say their own. Absent: never."),
    }),
    {},
    "What routes have that do not say it themselves.",
  ),
  limits: defaulted(
    fields({
      maxRoutes: defaulted(integer(1, 100_000), 10_000, "Most routes."),
      maxBytes: defaulted(
        integer(1024, 2 ** 30),
        64 * 2 ** 20,
        "Most bytes of all objects together, keys left out.",
      ),
    }),
    {},
    "What the mesh may grow to; they hold for every later write.",
  ),
  description: optional(PROSE_TEXT, "For people."),
});

export type MeshSpec = Infer<typeof MESH_SPEC>;

export const checkMesh: LocalCheck<MeshSpec> = () => undefined;
