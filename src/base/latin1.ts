/**
 * Bytes as text, one character from U+0000 to U+00FF per byte: for keys in maps and sets, which cannot hold
 * byte arrays. One to one, and text orders by character exactly as the bytes order. Never for display.
 */

/** The bytes as text; nothing of them is kept. */
export function latin1Of(bytes: Uint8Array): string {
  // NOTE: not TextDecoder("latin1"), which is windows-1252 and changes 27 of the bytes. `toString` is twice
  // as fast as String.fromCharCode, and has no limit on the number of arguments.
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** A new array with the bytes of a text that `latin1Of` made. */
export function bytesOfLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
