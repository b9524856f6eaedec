/** One endpoint's way onto the bus, which both its halves wait for. */

import { onAbort } from './aborting';
import { Closed, JoinError, told } from './errors';
import type { core } from './native';
import { after, wait } from './waiting';

export class Membership {
  /** Ends with the joining. Whoever waits for it hears of its failure; if nobody does, the process does. */
  readonly settled: Promise<void>;
  /** Once it has joined. */
  endpoint: core.Endpoint | undefined;
  /** Once joining has failed. */
  failure: unknown;
  readonly #joining: core.Joining | undefined;
  #settle!: { resolve: () => void; reject: (failure: unknown) => void };
  #whenJoined: Array<(endpoint: core.Endpoint) => void> = [];
  #endWait = (): void => {};
  #endTimer = (): void => {};
  #endSignal = (): void => {};

  /** `begin` starts to join, and `name` is what people know the endpoint by. */
  constructor(
    begin: () => core.Joining,
    timeout: number,
    signal: AbortSignal | undefined,
    readonly name: string,
  ) {
    this.settled = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    if (signal?.aborted) {
      this.#fail(signal.reason);
      return;
    }
    this.#joining = begin();
    this.#endTimer = after(timeout, () => this.#look(true));
    this.#endSignal = onAbort(signal, (reason) => this.#fail(reason));
    this.#look(timeout === 0);
  }

  get #over(): boolean {
    return this.endpoint !== undefined || this.failure !== undefined;
  }

  #look(late: boolean): void {
    const joining = this.#joining;
    if (this.#over || !joining) return;
    this.#endWait();
    try {
      const endpoint = joining.poll(late);
      if (endpoint) {
        this.endpoint = endpoint;
        this.#endTimer();
        this.#endSignal();
        for (const act of this.#whenJoined.splice(0)) act(endpoint);
        this.#settle.resolve();
      } else {
        this.#endWait = wait((hub, number) => hub.awaitJoining(number, joining), () => this.#look(false));
      }
    } catch (thrown) {
      this.#fail(told(thrown));
    }
  }

  #fail(failure: unknown): void {
    // A signal's reason may be anything, null too.
    this.failure = failure === undefined ? new JoinError('joining failed') : failure;
    this.#endWait();
    this.#endTimer();
    this.#endSignal();
    this.#joining?.giveUp();
    this.#settle.reject(this.failure);
  }

  /** The endpoint; an error while it has not joined. */
  joined(): core.Endpoint {
    if (this.failure !== undefined) throw this.failure;
    if (!this.endpoint) throw new JoinError('joining is not over: await what join() has returned');
    return this.endpoint;
  }

  /** What people are shown of it; `closed`: of a half that is. */
  shown(closed: boolean): string {
    const { endpoint, failure } = this;
    if (closed || endpoint?.closed || failure instanceof Closed) return `${this.name}, closed`;
    if (failure !== undefined) return `${this.name}, failed`;
    return endpoint ? this.name : `${this.name}, joining`;
  }

  /** Closes one half, now or as soon as there is one. */
  closeHalf(close: (endpoint: core.Endpoint) => void): void {
    if (this.endpoint) return close(this.endpoint);
    this.#whenJoined.push(close);
    // Nobody is left who would use it.
    if (this.#whenJoined.length === 2) this.close();
  }

  /** Leaves the bus, or gives up joining it. */
  close(): void {
    // Whoever gives it up does not ask what became of it.
    this.settled.catch(() => {});
    if (this.endpoint) {
      this.endpoint.close();
    } else if (!this.#over) {
      this.#fail(new Closed('joining was given up: join again'));
    }
  }
}
