/** A first-in first-out queue in a ring that grows by doubling and lets go of what it hands out. */
import { fail } from "../base/index.ts";

const MIN_CAPACITY = 8;

export class Fifo<T> {
  /** Length is 0 or a power of two. */
  #ring: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item;
    this.#length++;
  }

  /** The first item. The queue must not be empty. */
  peek(): T {
    if (this.#length === 0) fail("the queue is empty");
    return this.#ring[this.#head] as T;
  }

  /** Removes and returns the first item. The queue must not be empty. */
  shift(): T {
    const item = this.peek();
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    return item;
  }

  /** Empties the queue and gives its memory back. */
  clear(): void {
    this.#ring = [];
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const ring = this.#ring;
    const larger = new Array<T | undefined>(Math.max(MIN_CAPACITY, ring.length * 2));
    for (let i = 0; i < ring.length; i++) larger[i] = ring[(this.#head + i) & (ring.length - 1)];
    this.#ring = larger;
    this.#head = 0;
  }
}
