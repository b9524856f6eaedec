/** Messages on their way out: those that find no room wait, and those behind them to the same target keep their order. */

import { onAbort } from './aborting';
import { made, SendTimeout, told } from './errors';
import type { core } from './native';
import { Queue, Queued } from './queue';
import { after, wait } from './waiting';

/** Milliseconds until a wait is tried again for which this process had no descriptor. */
const HUNGRY = 20;

/** Tries a message that found no room until it is done. The function that comes back ends that. */
export function drive(
  pending: core.Pending,
  done: (reached: number) => void,
  failed: (error: unknown) => void,
): () => void {
  let endWait = (): void => {};
  let endTimer = (): void => {};
  const stop = (): void => {
    endWait();
    endTimer();
  };
  const tryAgain = (): void => {
    stop();
    try {
      if (pending.poll()) return done(pending.reached);
    } catch (thrown) {
      return failed(told(thrown));
    }
    rest();
  };
  const rest = (): void => {
    let pause = pending.delay ?? Infinity;
    try {
      endWait = wait((hub, number) => hub.awaitRoom(number, pending), tryAgain);
    } catch {
      pause = Math.min(pause, HUNGRY);
    }
    endTimer = after(pause, tryAgain);
  };
  rest();
  return stop;
}

/** One message, tried or not. */
class Parcel extends Queued<Parcel> {
  /** Whether it is tried again and again, and what ends that. */
  driven = false;
  stop = (): void => {};
  endTimer = (): void => {};
  endSignal = (): void => {};

  /** `start` tries it for the first time; `pending` is the message itself, once it was tried. */
  constructor(
    readonly start: () => number | core.Pending,
    readonly resolve: (reached: number) => void,
    readonly reject: (error: unknown) => void,
    public pending: core.Pending | undefined,
  ) {
    super();
  }
}

/** Messages that wait, by their target: the first of each is tried. */
export class Lanes {
  readonly #lanes = new Map<string, Queue<Parcel>>();
  #held = false;

  get empty(): boolean {
    return this.#lanes.size === 0;
  }

  has(key: string): boolean {
    return this.#lanes.has(key);
  }

  /** Has none tried until `run`: there is no endpoint yet. */
  hold(): void {
    this.#held = true;
  }

  /** Puts a message behind the others of its lane. `pending` is the message itself, if it was tried. */
  push(
    key: string,
    limit: number,
    start: () => number | core.Pending,
    pending?: core.Pending,
    signal?: AbortSignal,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const parcel = new Parcel(start, resolve, reject, pending);
      let lane = this.#lanes.get(key);
      if (!lane) this.#lanes.set(key, (lane = new Queue()));
      lane.push(parcel);
      if (limit === 0) return this.#late(key, parcel);
      parcel.endTimer = after(limit, () => this.#late(key, parcel));
      parcel.endSignal = onAbort(signal, (reason) => {
        this.#end(key, parcel, () => parcel.reject(reason));
        this.#run(key);
      });
      if (lane.first === parcel && pending) this.#drive(key, parcel, pending);
    });
  }

  /** Tries the first of every lane that was not tried. */
  run(): void {
    this.#held = false;
    for (const key of [...this.#lanes.keys()]) this.#run(key);
  }

  /** Ends all: what waits is not sent. */
  fail(error: unknown): void {
    for (const [key, lane] of [...this.#lanes]) {
      for (;;) {
        const parcel = lane.first;
        if (!parcel) break;
        this.#end(key, parcel, () => parcel.reject(error));
      }
    }
  }

  #run(key: string): void {
    while (!this.#held) {
      const parcel = this.#lanes.get(key)?.first;
      if (!parcel || parcel.driven) return;
      if (parcel.pending) return this.#drive(key, parcel, parcel.pending);
      try {
        const result = parcel.start();
        if (typeof result !== 'number') return this.#drive(key, parcel, result);
        this.#end(key, parcel, () => parcel.resolve(result));
      } catch (thrown) {
        this.#end(key, parcel, () => parcel.reject(told(thrown)));
      }
    }
  }

  #drive(key: string, parcel: Parcel, pending: core.Pending): void {
    parcel.pending = pending;
    parcel.driven = true;
    const go = (settle: () => void): void => {
      this.#end(key, parcel, settle);
      this.#run(key);
    };
    parcel.stop = drive(
      pending,
      (reached) => go(() => parcel.resolve(reached)),
      (error) => go(() => parcel.reject(error)),
    );
  }

  /** Takes a message out of its lane, and tells what became of it. */
  #end(key: string, parcel: Parcel, settle: () => void): void {
    const lane = this.#lanes.get(key);
    if (!lane?.remove(parcel)) return;
    if (!lane.first) this.#lanes.delete(key);
    parcel.stop();
    parcel.endTimer();
    parcel.endSignal();
    // Whoever does not have it yet will not; for one that is done this is nothing.
    parcel.pending?.giveUp();
    settle();
  }

  #late(key: string, parcel: Parcel): void {
    const { pending } = parcel;
    try {
      if (pending?.poll()) {
        this.#end(key, parcel, () => parcel.resolve(pending.reached));
        return this.#run(key);
      }
    } catch (thrown) {
      this.#end(key, parcel, () => parcel.reject(told(thrown)));
      return this.#run(key);
    }
    const have = pending?.reached ?? 0;
    const some = have === 0 ? 'whoever it is for reads too slowly' : `${have} have it, the others read too slowly`;
    const error = new SendTimeout(`no room for the message in time: ${some}; give a longer timeout`, have);
    this.#end(key, parcel, () => parcel.reject(error));
    this.#run(key);
  }
}

/** Requests whose replies are waited for. */
export class Replies {
  readonly #waiting = new Map<bigint, (answer: core.Answer | undefined, error?: unknown) => void>();
  #endWait: (() => void) | undefined;

  constructor(readonly requests: core.Requests) {}

  /** Has `ended` called with what became of a number, or an error that ends all. */
  expect(number: bigint, ended: (answer: core.Answer | undefined, error?: unknown) => void): void {
    this.#waiting.set(number, ended);
    this.#watch();
  }

  /** Nobody waits for this number any more. */
  forget(number: bigint): void {
    if (this.#waiting.delete(number)) this.requests.forget(number);
    if (this.#waiting.size === 0) {
      this.#endWait?.();
      this.#endWait = undefined;
    }
  }

  #watch(): void {
    if (this.#endWait || this.#waiting.size === 0) return;
    this.#endWait = wait((hub, number) => hub.awaitReplies(number, this.requests), () => this.#collect());
  }

  #collect(): void {
    this.#endWait = undefined;
    try {
      for (const answer of this.requests.collect()) {
        const ended = this.#waiting.get(answer.number);
        this.#waiting.delete(answer.number);
        ended?.(answer);
      }
    } catch (thrown) {
      const error = told(thrown) as { code?: string };
      if (error.code === 'TooManyOpenFiles') {
        // Nothing tells when there is room for them.
        this.#endWait = after(HUNGRY, () => this.#collect());
        return;
      }
      const all = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const ended of all) ended(undefined, error);
    }
    this.#watch();
  }
}

/** The error of a request that got none. */
export function refusal(answer: core.Answer): Error {
  return made(answer.code ?? 'IpmbError', answer.text ?? 'the request got no reply');
}
