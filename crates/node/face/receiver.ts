/** The receiving half of an endpoint. */

import { type Abortable, onAbort, signalOf, throwIfAborted } from './aborting';
import { millis, notMade } from './arguments';
import { disposable } from './disposing';
import { Closed, RecvTimeout, told } from './errors';
import { Membership } from './membership';
import { type Back, Message, Origins } from './message';
import type { core } from './native';
import { Queue, Queued } from './queue';
import { shown } from './showing';
import { after, Burst, wait } from './waiting';

class Waiter extends Queued<Waiter> {
  endTimer = (): void => {};
  endSignal = (): void => {};

  constructor(
    readonly resolve: (message: Message) => void,
    readonly reject: (error: unknown) => void,
  ) {
    super();
  }
}

/**
 * Takes messages. Iterating with `for await` gives them until it is closed.
 *
 * An open receiver keeps the process alive only while somebody waits for a message.
 */
export class Receiver implements AsyncIterable<Message> {
  readonly #membership: Membership;
  readonly #takes: Uint8Array;
  readonly #back: Back;
  readonly #origins = new Origins();
  readonly #waiters = new Queue<Waiter>();
  #core: core.Receiver | undefined;
  #sender: core.Sender | undefined;
  #endWait: (() => void) | undefined;
  #closed = false;
  #waits = false;
  #looked = false;
  readonly #burst = new Burst();

  private constructor(membership: Membership, takes: Uint8Array, back: Back) {
    if (!(membership instanceof Membership)) throw notMade('a Receiver', 'join()');
    this.#membership = membership;
    this.#takes = takes;
    this.#back = back;
  }

  /**
   * The next message. Waits so many milliseconds; null, `Infinity` and nothing are for ever, 0 only looks. Rejects with
   * `RecvTimeout`, with `DecodeError` for a message that is not what it says (the next call goes on), with `Closed`; with
   * the reason of a signal that is aborted, which leaves all messages to the next call.
   */
  recv(timeout?: number | null, options?: Abortable): Promise<Message> {
    return new Promise((resolve, reject) => {
      const limit = millis('timeout', timeout);
      const signal = signalOf(options);
      throwIfAborted(signal);
      const last = limit === 0;
      // Whoever is served here goes on before the loop's next turn, and asks for more: that counts too.
      if (last || !this.#burst.isOver()) {
        this.#serve();
        const message = this.#waiters.first ? undefined : this.#poll(last);
        if (message) return resolve(message);
      }
      if (last) throw this.#tooLate();
      const waiter = new Waiter(resolve, reject);
      waiter.endTimer = after(limit, () => this.#late(waiter));
      waiter.endSignal = onAbort(signal, (reason) => this.#end(waiter, () => reject(reason)));
      this.#waiters.push(waiter);
      try {
        this.#watch();
      } catch (thrown) {
        this.#end(waiter, () => reject(told(thrown)));
      }
    });
  }

  /** Closes this half: unread messages go to others who match, and who waits gets `Closed`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#membership.closeHalf((endpoint) => endpoint.receiver(this.#takes).close());
    this.#fail(closed());
  }

  get closed(): boolean {
    return this.#closed || (this.#core?.closed ?? false);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const iterator: AsyncIterableIterator<Message> = {
      next: async () => {
        try {
          return { value: await this.recv(), done: false };
        } catch (error) {
          if (error instanceof Closed) return { value: undefined, done: true };
          throw error;
        }
      },
      return: () => Promise.resolve({ value: undefined, done: true }),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /** The native half, once there is one. */
  #native(): core.Receiver | undefined {
    if (this.#closed) throw closed();
    if (this.#membership.failure !== undefined) throw this.#membership.failure;
    const { endpoint } = this.#membership;
    if (!this.#core && endpoint) {
      this.#core = endpoint.receiver(this.#takes);
      this.#sender = endpoint.sender();
    }
    return this.#core;
  }

  /** The next message, if one is there; `last`: for one who is about to say that there is none. */
  #poll(last: boolean): Message | undefined {
    let received: core.Received | null | undefined;
    try {
      received = this.#native()?.poll(last);
    } catch (thrown) {
      this.#core?.refuseUnseen();
      throw told(thrown);
    }
    return received ? Message.of(received, this.#origins, this.#back, this.#sender) : undefined;
  }

  /** Gives messages to those who wait, while there are any of both. */
  #serve(last = false): void {
    for (;;) {
      const waiter = this.#waiters.first;
      if (!waiter) return;
      try {
        const message = this.#poll(last);
        if (!message) return;
        this.#end(waiter, () => waiter.resolve(message));
      } catch (error) {
        this.#end(waiter, () => waiter.reject(error));
      }
    }
  }

  #watch(): void {
    if (this.#endWait || !this.#waiters.first) return;
    const core = this.#native();
    if (core) {
      this.#endWait = wait((hub, number) => hub.awaitMessage(number, core), () => this.#ready());
    } else if (!this.#waits) {
      this.#waits = true;
      this.#membership.settled.then(
        () => this.#ready(),
        (failure: unknown) => this.#fail(failure),
      );
    }
  }

  #ready(): void {
    this.#endWait = undefined;
    this.#burst.end();
    this.#serve();
    try {
      this.#watch();
    } catch (thrown) {
      this.#fail(told(thrown));
    }
  }

  #late(waiter: Waiter): void {
    // What has come while this thread did something else counts. Of many whose time is over at once the first one looks.
    if (!this.#looked) {
      this.#looked = true;
      setImmediate(() => (this.#looked = false));
      this.#serve(true);
    }
    this.#end(waiter, () => waiter.reject(this.#tooLate()));
  }

  #tooLate(): RecvTimeout {
    const text = 'no message came in time: give a longer timeout, or look whether anybody sends';
    return new RecvTimeout(this.#core?.late() ?? text);
  }

  #end(waiter: Waiter, settle: () => void): void {
    if (!this.#waiters.remove(waiter)) return;
    waiter.endTimer();
    waiter.endSignal();
    if (!this.#waiters.first) this.#forget();
    settle();
  }

  #forget(): void {
    this.#endWait?.();
    this.#endWait = undefined;
  }

  #fail(error: unknown): void {
    for (;;) {
      const waiter = this.#waiters.first;
      if (!waiter) return;
      this.#end(waiter, () => waiter.reject(error));
    }
  }

  /** @internal */
  static of(membership: Membership, takes: Uint8Array, back: Back): Receiver {
    return new Receiver(membership, takes, back);
  }

  static {
    shown('Receiver', this, (self) => self.#membership.shown(self.closed));
  }
}

export interface Receiver {
  /** Closes it, at the end of `using`. */
  [Symbol.dispose](): void;
}

disposable(Receiver);

function closed(): Closed {
  return new Closed('the receiver is closed: join again to receive');
}
