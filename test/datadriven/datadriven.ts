/**
 * A small data-driven test format: a file is a story in blocks of
 *
 *     verb word key=value
 *     ----
 *     what the interpreter answered
 *
 * with a blank line after each block and comments from `#` to the end of the line. A block may hold several
 * directives; their answers follow one another. A failing file shows the whole file as it is now, so the
 * difference reads as a change of the story. The idea is that of CockroachDB's datadriven package.
 */

/** One line before `----`: its verb, the words without `=`, and the `key=value` pairs. */
export interface Directive {
  readonly line: number;
  readonly text: string;
  readonly verb: string;
  readonly words: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

/** Directives that are answered together. */
interface Block {
  readonly directives: readonly Directive[];
  /** Comments, blank lines and directives as written, up to and without `----`. */
  readonly head: readonly string[];
}

interface Script {
  readonly blocks: readonly Block[];
  /** Comments after the last block. */
  readonly tail: readonly string[];
}

const SEPARATOR = "----";

/** Answers one directive with lines; an exception becomes the answer, so that a refusal can be told too. */
export type Interpreter = (directive: Directive) => readonly string[];

/**
 * Runs `source` and returns it with the answers that came now. Equal to `source` when nothing changed.
 *
 * @throws Error naming the line, on a block without `----`
 */
export function rerun(source: string, interpret: Interpreter): string {
  const script = parse(source);
  const out: string[] = [];
  for (const block of script.blocks) {
    out.push(...block.head, SEPARATOR);
    const before = out.length;
    for (const directive of block.directives) out.push(...answer(directive, interpret));
    if (out.length === before) out.push("(nothing happens)");
    out.push("");
  }
  if (script.tail.length > 0) out.push(...script.tail, "");
  while (out.length > 0 && out[out.length - 1] === "") out.pop();
  return `${out.join("\n")}\n`;
}

function answer(directive: Directive, interpret: Interpreter): readonly string[] {
  try {
    return interpret(directive);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Error(`line ${directive.line}, "${directive.text}": ${error.message}`, { cause: error });
  }
}

function parse(source: string): Script {
  const blocks: Block[] = [];
  let head: string[] = [];
  let directives: Directive[] = [];
  let inAnswer = false;
  for (const [at, raw] of source.split("\n").entries()) {
    const line = raw.trimEnd();
    if (inAnswer) {
      inAnswer = line !== "";
    } else if (line === SEPARATOR) {
      if (directives.length === 0) throw new Error(`line ${at + 1}: ${SEPARATOR} without a directive`);
      blocks.push({ directives, head });
      head = [];
      directives = [];
      inAnswer = true;
    } else {
      head.push(line);
      const directive = parseDirective(line, at + 1);
      if (directive !== undefined) directives.push(directive);
    }
  }
  if (directives.length > 0) throw new Error(`line ${directives[0]?.line}: a block without ${SEPARATOR}`);
  while (head.length > 0 && head[head.length - 1] === "") head.pop();
  return { blocks, tail: head };
}

function parseDirective(line: string, number: number): Directive | undefined {
  const text = line.replace(/#.*$/, "").trim();
  const [verb, ...rest] = text.split(/\s+/);
  if (verb === undefined || verb === "") return undefined;
  const options = new Map<string, string>();
  const words: string[] = [];
  for (const part of rest) {
    const equals = part.indexOf("=");
    if (equals > 0) options.set(part.slice(0, equals), part.slice(equals + 1));
    else words.push(part);
  }
  return { line: number, text, verb, words, options };
}
