/**
 * A queue that any of those in it can leave, however many there are: each knows who stands before and behind it.
 *
 * An array would move all who stand behind, or search for the one who leaves; a `Set` steps over all who have left on its way
 * to the first.
 */

/** One who can stand in a queue: in one at a time. */
export class Queued<T> {
  /** Where it stands. */
  queue: object | undefined;
  before: T | undefined;
  behind: T | undefined;
}

export class Queue<T extends Queued<T>> {
  #first: T | undefined;
  #last: T | undefined;

  get first(): T | undefined {
    return this.#first;
  }

  push(item: T): void {
    item.queue = this;
    item.before = this.#last;
    if (this.#last) this.#last.behind = item;
    else this.#first = item;
    this.#last = item;
  }

  /** Takes it out; whether it was in there. */
  remove(item: T): boolean {
    if (item.queue !== this) return false;
    const { before, behind } = item;
    if (before) before.behind = behind;
    else this.#first = behind;
    if (behind) behind.before = before;
    else this.#last = before;
    item.queue = item.before = item.behind = undefined;
    return true;
  }
}
