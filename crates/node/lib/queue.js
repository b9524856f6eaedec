"use strict";
/**
 * A queue that any of those in it can leave, however many there are: each knows who stands before and behind it.
 *
 * An array would move all who stand behind, or search for the one who leaves; a `Set` steps over all who have left on its way
 * to the first.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Queue = exports.Queued = void 0;
/** One who can stand in a queue: in one at a time. */
class Queued {
    /** Where it stands. */
    queue;
    before;
    behind;
}
exports.Queued = Queued;
class Queue {
    #first;
    #last;
    get first() {
        return this.#first;
    }
    push(item) {
        item.queue = this;
        item.before = this.#last;
        if (this.#last)
            this.#last.behind = item;
        else
            this.#first = item;
        this.#last = item;
    }
    /** Takes it out; whether it was in there. */
    remove(item) {
        if (item.queue !== this)
            return false;
        const { before, behind } = item;
        if (before)
            before.behind = behind;
        else
            this.#first = behind;
        if (behind)
            behind.before = before;
        else
            this.#last = before;
        item.queue = item.before = item.behind = undefined;
        return true;
    }
}
exports.Queue = Queue;
