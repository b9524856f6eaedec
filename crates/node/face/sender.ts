/** The sending half of an endpoint. */

import { type Abortable, onAbort, signal as checked, throwIfAborted } from './aborting';
import { type Attachments, carrying, type MemoryRegion } from './attachments';
import { millis, notMade, options, wrongValue } from './arguments';
import { disposable } from './disposing';
import { Closed, call, RecvTimeout, told } from './errors';
import { type LabelOp, type Selector, target } from './label_op';
import { Membership } from './membership';
import { type Back, Message, Origins } from './message';
import { type core, native } from './native';
import * as payload from './payload';
import { drive, Lanes, refusal, Replies } from './sending';
import { shown } from './showing';
import { after, Burst } from './waiting';

export interface SendOptions extends Attachments, Abortable {
  /** Milliseconds to wait for room; null, `Infinity` and nothing are for ever. */
  timeout?: number | null;
  /** Without room: wait (this if left out), fail at once with nothing sent, or drop the message there and count it. */
  overflow?: 'block' | 'error' | 'drop';
}

export interface RequestOptions extends Attachments, Abortable {
  /** Milliseconds until the reply has to be there; null, `Infinity` and nothing are for ever. */
  timeout?: number | null;
}

const ASKING = ['timeout', 'objects', 'memoryRegions', 'signal'] as const;
/** Where what is missed among the options stands. */
const TARGETED = '; ttl and mode belong to the selector: { labelOp, mode, ttl }';
const SENDING = [...ASKING, 'overflow'] as const;
const OVERFLOW: readonly unknown[] = ['block', 'error', 'drop'];

/** What can be sent to: a string and a `LabelOp` mean one of those who match. */
export type To = Selector | LabelOp | string;

export class Sender {
  readonly #membership: Membership;
  readonly #lanes = new Lanes();
  readonly #burst = new Burst();
  readonly #origins = new Origins();
  /** What ends requests that wait for the joining. */
  readonly #unasked = new Set<(error: unknown) => void>();
  #core: core.Sender | undefined;
  #replies: Replies | undefined;
  #closed = false;
  #waits = false;
  readonly #back: Back = {
    reply: (id, request, { kind, head, data }, attached, signal) => {
      const start = (bytes: Uint8Array): number | core.Pending => {
        return this.#native().reply(id, request, kind, head, bytes, attached);
      };
      return this.#push(`@${id}`, false, Infinity, signal, data, start);
    },
  };

  private constructor(membership: Membership) {
    if (!(membership instanceof Membership)) throw notMade('a Sender', 'join()');
    this.#membership = membership;
  }

  /**
   * Sends a message. Resolves to how many endpoints have it: 0 when nobody matched (with a ttl it waits then), or when it was
   * dropped. It is sent before this returns, if there is room; messages to the same selector keep their order, awaited or not.
   *
   * A signal that is aborted while it waits for room takes it back; who of many has it already keeps it.
   *
   * `buffers` travel as memory regions: of a Buffer a copy, a `MemoryRegion` as it is.
   */
  send(
    selector: To,
    message: unknown,
    buffers?: ReadonlyArray<Uint8Array | MemoryRegion>,
    given?: SendOptions,
  ): Promise<number> {
    return new Promise((resolve) => {
      const { op, multicast, ttl } = target(selector);
      const { timeout, overflow = 'block', signal, ...attachments } = options('options', given, SENDING, TARGETED);
      const limit = millis('timeout', timeout);
      const ends = checked(signal);
      const full = OVERFLOW.indexOf(overflow);
      if (full < 0) throw wrongValue('overflow', overflow, 'give "block", "error" or "drop"');
      const { kind, head, data } = payload.encode(message);
      const key = (): string => `${multicast ? '*' : '1'}${op.text()}`;
      const sent = carrying(buffers, attachments, (attached) => {
        return this.#push(key, full > 0, limit, ends, data, (bytes) => {
          return this.#native().send(op, multicast, ttl, kind, head, bytes, attached, full);
        });
      });
      resolve(sent);
    });
  }

  /**
   * Asks one of those who match, and resolves to the reply. `NoRoute` if nobody matches until the ttl is over, `PeerLost` if the
   * one asked dies before it has replied, `RecvTimeout` when the time is over.
   */
  request(selector: To, message: unknown, given?: RequestOptions): Promise<Message> {
    return new Promise((resolve) => {
      const { op, multicast, ttl } = target(selector);
      if (multicast) throw wrongValue('mode', 'SelectorMode.Multicast', 'give Unicast: one endpoint replies to a request');
      const { timeout, signal, ...attachments } = options('options', given, ASKING, TARGETED);
      const limit = millis('timeout', timeout);
      const ends = checked(signal);
      const { kind, head, data } = payload.encode(message);
      const reply = carrying(undefined, attachments, (attached) => {
        return this.#ask(limit, ends, data, (replies, number, bytes) => {
          return replies.requests.ask(this.#native(), number, op, ttl, kind, head, bytes, attached);
        });
      });
      resolve(reply);
    });
  }

  /** Closes this half. What was sent stays sent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#membership.closeHalf((endpoint) => endpoint.sender().close());
    this.#lanes.fail(closed());
    for (const end of [...this.#unasked]) end(closed());
  }

  get closed(): boolean {
    return this.#closed || (this.#core?.closed ?? false);
  }

  /** The native half; an error where there is none (any more). */
  #native(): core.Sender {
    if (this.#closed) throw closed();
    this.#core ??= this.#membership.joined().sender();
    return this.#core;
  }

  /** Whether joining is still under way, and this half not closed. */
  get #early(): boolean {
    return !this.#closed && !this.#membership.endpoint && this.#membership.failure === undefined;
  }

  /** Sends at once, or puts a copy behind those that wait. */
  #push(
    key: string | (() => string),
    unordered: boolean,
    limit: number,
    signal: AbortSignal | undefined,
    data: Uint8Array,
    start: (data: Uint8Array) => number | core.Pending,
  ): Promise<number> {
    throwIfAborted(signal);
    const name = typeof key === 'string' ? (): string => key : key;
    const later = (): Promise<number> => {
      const kept = Uint8Array.from(data);
      return this.#lanes.push(name(), limit, () => start(kept), undefined, signal);
    };
    if (this.#early) {
      this.#startWhenJoined();
      return later();
    }
    if (!unordered && !this.#lanes.empty && this.#lanes.has(name())) return later();
    const result = call(() => start(data));
    if (typeof result === 'number') return this.#sent(result);
    return this.#lanes.push(name(), limit, () => result, result, signal);
  }

  /** Tells at once, and now and then after others have had their turn. */
  #sent(reached: number): Promise<number> {
    if (!this.#burst.isOver()) return Promise.resolve(reached);
    return new Promise((resolve) => {
      setImmediate(resolve, reached);
    });
  }

  #startWhenJoined(): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#lanes.hold();
    this.#membership.settled.then(
      () => this.#lanes.run(),
      (failure: unknown) => this.#lanes.fail(failure),
    );
  }

  async #ask(
    limit: number,
    signal: AbortSignal | undefined,
    data: Uint8Array,
    ask: (replies: Replies, number: bigint, data: Uint8Array) => number | core.Pending,
  ): Promise<Message> {
    throwIfAborted(signal);
    const started = performance.now();
    let bytes = data;
    if (this.#early) {
      bytes = Uint8Array.from(data);
      await this.#joinedWithin(limit, signal);
      throwIfAborted(signal);
    }
    const left = limit === Infinity ? Infinity : Math.max(0, limit - (performance.now() - started));
    this.#replies ??= new Replies(call(() => native.Requests.of(this.#native())));
    const replies = this.#replies;
    const number = call(() => replies.requests.begin());
    return new Promise((resolve, reject) => {
      let pending: core.Pending | undefined;
      let stop = (): void => {};
      const end = (settle: () => void): void => {
        stop();
        endTimer();
        endSignal();
        pending?.giveUp();
        replies.forget(number);
        settle();
      };
      const late = (): void => end(() => reject(new RecvTimeout(pending ? UNSENT : UNANSWERED)));
      const endTimer = after(left, late);
      const endSignal = onAbort(signal, (reason) => end(() => reject(reason)));
      const ended = (answer: core.Answer | undefined, error?: unknown): void => {
        end(() => {
          try {
            if (!answer) throw error;
            if (!answer.reply) throw refusal(answer);
            resolve(Message.of(answer.reply, this.#origins, this.#back, undefined));
          } catch (wrong) {
            reject(wrong);
          }
        });
      };
      try {
        replies.expect(number, ended);
        const result = ask(replies, number, bytes);
        if (typeof result === 'number') return;
        pending = result;
        stop = drive(
          result,
          () => {
            pending = undefined;
          },
          (error) => end(() => reject(error)),
        );
      } catch (thrown) {
        end(() => reject(told(thrown)));
      }
    });
  }

  /** Waits for the joining, no longer than for a reply or until this half is closed. */
  #joinedWithin(limit: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#unasked.delete(fail);
        endTimer();
        endSignal();
        settle();
      };
      const fail = (error: unknown): void => end(() => reject(error));
      const endTimer = after(limit, () => fail(new RecvTimeout(UNSENT)));
      const endSignal = onAbort(signal, fail);
      this.#unasked.add(fail);
      this.#membership.settled.then(() => end(resolve), fail);
    });
  }

  /** @internal */
  static of(membership: Membership): Sender {
    return new Sender(membership);
  }

  /** @internal */
  static back(sender: Sender): Back {
    return sender.#back;
  }

  static {
    shown('Sender', this, (self) => self.#membership.shown(self.closed));
  }
}

export interface Sender {
  /** Closes it, at the end of `using`. */
  [Symbol.dispose](): void;
}

disposable(Sender);

const UNSENT =
  'the request was not sent in time: nobody matches, or whoever does reads too slowly; give a longer timeout';
const UNANSWERED =
  'no reply in time: whoever was asked is slow, stopped, or does not reply; give a longer timeout, or ask again if doing it ' +
  'twice does no harm';

function closed(): Closed {
  return new Closed('the sender is closed: join again to send');
}
