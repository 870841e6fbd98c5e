/** Splits a line of a transaction or of an interactive watch into words, as etcdctl does. */

/** Words, those in double quotes unescaped, those in single quotes as they are. */
export function wordsOf(line: string): readonly string[] {
  const words = line.match(/"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*/g) ?? [];
  return words.map((word) => {
    if (word.startsWith('"')) return unquoted(word);
    return word.startsWith("'") ? word.slice(1, -1) : word;
  });
}

const SHORT: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** The text in double quotes, Go's escapes resolved. */
export function unquoted(word: string): string {
  return word
    .slice(1, -1)
    .replace(
      /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))/g,
      (_all, hex, unicode, char: string | undefined) => {
        if (char !== undefined) return SHORT[char] ?? char;
        return String.fromCharCode(Number.parseInt(hex ?? unicode, 16));
      },
    );
}
