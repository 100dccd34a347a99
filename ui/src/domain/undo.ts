/**
 * Which version an undo goes back to. Undoing makes an older version the newest again, under a new number; so that undoing
 * twice goes back two changes, what those numbers stand for is remembered.
 */
export class UndoTrail {
  readonly #same = new Map<number, number>();

  /** The version before the one that `newest` stands for; `null` at the beginning. */
  target(newest: number): number | null {
    const before = this.#meaning(newest) - 1;
    return before < 0 ? null : this.#meaning(before);
  }

  /** `newest` was made as a copy of `target`. */
  undone(newest: number, target: number): void {
    this.#same.set(newest, this.#meaning(target));
  }

  #meaning(version: number): number {
    return this.#same.get(version) ?? version;
  }
}
