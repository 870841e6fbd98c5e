// Goal: the tree keeps the rules that make the core replayable: who imports whom, no clock, chance or Promise in the
// synchronous core, a README in every folder. Method: reads the sources as text; each rule has a planted offender that
// it must find, so that the rule itself cannot rot.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** What each folder of src may import besides `base` and types of `env`. `types:` only as `import type`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  env: ["types:raft/types.ts", "types:pb/types.ts"],
  pb: ["types:raft/types.ts", "protobufjs"],
  raft: [],
  mvcc: ["types:pb/kv.ts"],
  watch: ["mvcc", "pb"],
  lease: ["types:mvcc"],
  apply: ["pb", "mvcc", "watch", "lease", "types:raft"],
  backend: ["pb", "types:raft", "level", "node:fs", "node:path", "node:zlib"],
  member: ["raft", "apply", "mvcc", "watch", "lease", "pb"],
  wal: ["pb", "types:raft", "node:zlib"],
  peer: ["pb", "types:raft", "node:net", "node:tls"],
  rpc: ["pb", "types:member", "types:raft", "types:watch"],
  transport: ["rpc", "pb", "@grpc/grpc-js", "node:http", "node:https", "node:http2", "node:tls"],
  server: ["member", "apply", "wal", "backend", "peer", "raft", "pb", "rpc", "transport", "types:watch"],
  client: ["pb", "@grpc/grpc-js"],
  config: [],
  cli: ["client", "config", "commander"],
};

/** Files that do I/O by design and so are outside the synchronous core of their folder. */
const IO_FILES = new Set([
  ...["src/wal/writer.ts", "src/wal/lock.ts", "src/wal/directory.ts"],
  // What listens and streams, and its twin in memory, which gives promises as it does.
  ...["listener", "look-up", "snapshot-stream", "tcp", "memory", "memory-stream"].map(
    (name) => `src/peer/${name}.ts`,
  ),
]);
/** Ports to disks: interfaces whose methods give promises. */
const ASYNC_PORTS = new Set(["log-files", "backend", "clock", "peers"].map((name) => `src/env/${name}.ts`));
const SYNCHRONOUS = [
  "base",
  "env",
  "pb",
  "raft",
  "mvcc",
  "watch",
  "lease",
  "apply",
  "member",
  "wal",
  "peer",
  "config",
];
const BANNED_WORDS = [
  ...["Date", "performance", "setTimeout", "setInterval", "setImmediate", "queueMicrotask"],
  ...["Math\\.random", "crypto", "process", "async", "await", "Promise"],
];
const BANNED = new RegExp(`\\b(${BANNED_WORDS.join("|")})\\b`, "g");

const MAX_LINES = 700;
const MAX_COLUMNS = 120;
const MAX_README_LINES = 40;

describe("the rules find planted offenders", () => {
  test.each([
    ["a clock", "const t = Date.now();", "Date"],
    ["chance", "const r = Math.random();", "Math.random"],
    ["a promise", "export async function f() {}", "async"],
    ["a timer", "setTimeout(f, 1);", "setTimeout"],
  ])("%s", (_name, source, word) => {
    expect(bannedWords(source)).toContain(word);
  });

  test("words in comments and strings are no offence", () => {
    expect(bannedWords('// await Date\n/* Promise */ const a = "process"; const b = `async`;')).toEqual([]);
  });

  test("an import beyond the table", () => {
    expect(importOffence("raft", { from: "../member/index.ts", typeOnly: false })).toBeDefined();
    expect(importOffence("raft", { from: "node:fs", typeOnly: false })).toBeDefined();
    expect(importOffence("env", { from: "../raft/types.ts", typeOnly: false })).toBeDefined();
    expect(importOffence("env", { from: "../raft/types.ts", typeOnly: true })).toBeUndefined();
    expect(importOffence("member", { from: "../raft/index.ts", typeOnly: false })).toBeUndefined();
  });
});

describe("src", () => {
  const files = sources("src");

  test("there is something to check", () => {
    expect(files.length).toBeGreaterThan(20);
  });

  test("folders import only what they may", () => {
    const offences: string[] = [];
    for (const file of files) {
      const folder = file.split("/")[1] as string;
      for (const found of importsOf(read(file))) {
        const offence = importOffence(folder, found);
        if (offence !== undefined && !(IO_FILES.has(file) && found.from.startsWith("node:"))) {
          offences.push(`${file}: ${offence}`);
        }
      }
    }
    expect(offences).toEqual([]);
  });

  test("the synchronous core has no clock, chance, timer, process or promise", () => {
    const offences: string[] = [];
    for (const file of files) {
      const folder = file.split("/")[1] as string;
      if (!SYNCHRONOUS.includes(folder) || IO_FILES.has(file) || ASYNC_PORTS.has(file)) continue;
      for (const word of bannedWords(read(file))) offences.push(`${file}: ${word}`);
    }
    expect(offences).toEqual([]);
  });

  test("no import cycles between files", () => {
    expect(cycles(files)).toEqual([]);
  });
});

describe("everywhere", () => {
  const files = ["src", "chaos", "cluster", "test"].flatMap(sources);

  test("files and lines stay short", () => {
    const offences: string[] = [];
    for (const file of files) {
      const lines = read(file).split("\n");
      if (lines.length > MAX_LINES) offences.push(`${file}: ${lines.length} lines`);
      lines.forEach((line, i) => {
        if (line.length > MAX_COLUMNS && !isQuotation(file, line))
          offences.push(`${file}:${i + 1}: ${line.length} columns`);
      });
    }
    expect(offences).toEqual([]);
  });

  test("no test is skipped or alone", () => {
    const offences = files.filter((f) => /\b(it|test|describe)\.(only|skip|todo)\b/.test(code(read(f))));
    expect(offences).toEqual([]);
  });

  test("src does not know chaos, cluster or test", () => {
    const offences = sources("src").filter((f) =>
      importsOf(read(f)).some((i) => /(^|\/)(chaos|cluster|test)\//.test(i.from)),
    );
    expect(offences).toEqual([]);
  });

  test("every folder of source has a README of at most 40 lines", () => {
    const offences: string[] = [];
    for (const top of ["src", "chaos", "cluster", "test", "proto"]) {
      for (const folder of foldersWithFiles(top)) {
        const readme = join(folder, "README.md");
        const text = maybeRead(readme);
        if (text === undefined) offences.push(`${folder}: no README.md`);
        else if (folder !== "chaos" && text.trimEnd().split("\n").length > MAX_README_LINES) {
          offences.push(`${readme}: more than ${MAX_README_LINES} lines`);
        }
      }
    }
    expect(offences).toEqual([]);
  });
});

/** Long by what it quotes: an address, a row of a table, or the text of the product that a mutant replaces. */
function isQuotation(file: string, line: string): boolean {
  return line.includes("http") || line.startsWith(" * |") || /^chaos\/mutants\/.*-mutants\.ts$/.test(file);
}

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

/** Why `folder` may not have this import, or undefined. */
function importOffence(folder: string, found: Import): string | undefined {
  // The composition root puts everything together.
  if (folder === "main") return undefined;
  const allowed = MAY_IMPORT[folder];
  if (allowed === undefined) return `folder ${folder} is not in the dependency table`;
  const { from, typeOnly } = found;
  if (from.startsWith("./")) return undefined;
  const inner = /^(?:\.\.\/)+([^/]+)\/(.+)$/.exec(from);
  const name = inner === null ? from.replace(/\/.*$/, "") : (inner[1] as string);
  if (name === "base" || name === folder) return undefined;
  if (name === "env") return typeOnly ? undefined : `${from} may only be imported as types`;
  if (allowed.includes(name) || allowed.includes(from)) return undefined;
  const path = inner === null ? "" : `${name}/${inner[2]}`;
  if (typeOnly && (allowed.includes(`types:${name}`) || allowed.includes(`types:${path}`))) return undefined;
  return `${from} is not allowed${typeOnly ? "" : " (or only as types)"}`;
}

function importsOf(source: string): Import[] {
  const found: Import[] = [];
  const pattern = /^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)";/gm;
  for (const match of source.matchAll(pattern)) {
    found.push({ from: match[2] as string, typeOnly: match[1] !== undefined });
  }
  return found;
}

function bannedWords(source: string): string[] {
  const words = new Set<string>();
  for (const match of code(source).matchAll(BANNED)) words.add(match[0]);
  return [...words];
}

/** The source without comments and without the content of strings. */
function code(source: string): string {
  const pattern = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g;
  return source.replace(pattern, (text) => (text.startsWith("/") ? " " : '""'));
}

/** Import cycles, each once, types left out: they vanish when compiled. */
function cycles(files: readonly string[]): string[] {
  const edges = new Map<string, string[]>();
  for (const file of files) {
    const targets = importsOf(read(file))
      .filter((i) => i.from.startsWith(".") && !i.typeOnly)
      .map((i) => join(dirname(file), i.from).split(sep).join("/"));
    edges.set(file, targets);
  }
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      found.push([...path.slice(at), file].join(" -> "));
      return;
    }
    if (done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  return found;
}

function sources(top: string): string[] {
  return walk(top).filter((f) => f.endsWith(".ts"));
}

function walk(folder: string): string[] {
  const out: string[] = [];
  for (const name of readdirSync(join(ROOT, folder)).sort()) {
    const path = `${folder}/${name}`;
    if (statSync(join(ROOT, path)).isDirectory()) out.push(...walk(path));
    else out.push(path);
  }
  return out;
}

/** Folders with source in them; a folder of data only (transcripts, schedules) needs no words of its own. */
function foldersWithFiles(top: string): string[] {
  const folders = new Set<string>();
  for (const file of walk(top)) {
    if (/\.(ts|proto)$/.test(file)) folders.add(dirname(file));
  }
  const shallow = [...folders].filter((f) => !f.startsWith("test/unit/"));
  return shallow.map((f) => relative(ROOT, join(ROOT, f)).split(sep).join("/")).sort();
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

function maybeRead(file: string): string | undefined {
  return walk(dirname(file)).includes(file) ? read(file) : undefined;
}
