/**
 * The unit of work that everything in slices is budgeted in: about what one key takes that is found in memory and told,
 * a few microseconds. The core has no clock, so the weights below stand for time: measured over LevelDB under load.
 */

/** Rows that are looked at in memory for one unit. */
export const ROWS_PER_UNIT = 16;

/** Reading the record of a value: 5 microseconds where LevelDB has it in its cache, 40 where it has not. */
const RECORD_UNITS = 8;
/** Bytes of a value that are checked, copied or hashed for one unit more. */
const BYTES_PER_UNIT = 1024;

/** Units for reading a value of so many bytes. */
export function readingWork(bytes: number): number {
  return RECORD_UNITS + bytes / BYTES_PER_UNIT;
}
