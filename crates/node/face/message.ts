/** A message that came. */

import { types } from 'node:util';

import { type Attachments, carrying, MemoryRegion, Object as BusObject } from './attachments';
import { type Abortable, signal as checked } from './aborting';
import { kindOf, notMade, options } from './arguments';
import { disposable } from './disposing';
import { DecodeError } from './errors';
import { LabelOp, SelectorMode } from './label_op';
import type { core } from './native';
import * as payload from './payload';
import { shown } from './showing';
import type { BytesMessage, EndpointInfo } from './values';

/** Where a message was sent to. */
export interface SentTo {
  readonly labelOp: LabelOp;
  readonly mode: SelectorMode;
  /** Milliseconds; `Infinity` is for ever. */
  readonly ttl: number;
}

/** What a message is replied through. @internal */
export interface Back {
  reply(
    id: bigint,
    request: bigint | undefined,
    encoded: payload.Encoded,
    attached: core.Luggage | undefined,
    signal: AbortSignal | undefined,
  ): Promise<number>;
}

/** Who sent messages to where: native code tells each of it once, and names it by a number from then on. @internal */
export class Origins {
  readonly #known = new Map<number, Origin>();

  of({ origin, fresh }: core.Received): Origin {
    if (fresh) {
      if (origin === 0) this.#known.clear();
      const { id, label, pid } = fresh.sender;
      const info = { id, label: Object.freeze(label), pid };
      // JSON has no integers of 64 bits, and would be an error.
      const toJSON = (): object => ({ ...info, id: String(id) });
      const sender = Object.freeze(Object.defineProperty(info, 'toJSON', { value: toJSON }));
      this.#known.set(origin, new Origin(sender, fresh.selector));
    }
    const found = this.#known.get(origin);
    if (!found) throw new Error('a message from nowhere');
    return found;
  }
}

class Origin {
  constructor(
    readonly sender: EndpointInfo,
    readonly selector: core.SelectorInfo,
  ) {}
}

const ATTACHED = ['objects', 'memoryRegions', 'signal'] as const;
const NONE: readonly never[] = Object.freeze([]);

export class Message {
  /** What was sent, as a plain value. */
  readonly payload: unknown;
  /** Who sent it. */
  readonly sender: EndpointInfo;
  /** The first receiver died before it had read it. */
  readonly redelivered: boolean;
  /** Descriptors that came with it. Each is closed when it is collected. */
  readonly objects: readonly BusObject[];
  /** Regions that came with it. */
  readonly memoryRegions: readonly MemoryRegion[];
  readonly #received: core.Received;
  readonly #selector: core.SelectorInfo;
  readonly #back: Back;
  #raw: BytesMessage | undefined;

  private constructor(received: core.Received, origin: Origin, back: Back) {
    if (!(origin instanceof Origin)) throw notMade('a Message', 'recv() or request()');
    this.payload = payload.decode(received, origin.sender);
    this.sender = origin.sender;
    this.redelivered = received.redelivered ?? false;
    this.objects = received.objects?.map((descriptor) => BusObject.of(descriptor)) ?? NONE;
    this.memoryRegions = received.regions?.map((region) => MemoryRegion.of(region)) ?? NONE;
    this.#received = received;
    this.#selector = origin.selector;
    this.#back = back;
  }

  /** The bytes of the payload; those of anything but a `BytesMessage` have the format 0. */
  get bytesMessage(): BytesMessage {
    this.#raw ??= payload.raw(this.#received, this.payload);
    return this.#raw;
  }

  get selector(): SentTo {
    const { op, multicast, ttl } = this.#selector;
    const mode = multicast ? SelectorMode.Multicast : SelectorMode.Unicast;
    return { labelOp: LabelOp.of(op), mode, ttl };
  }

  /** Whether its sender waits for a reply. */
  get isRequest(): boolean {
    return this.#received.request !== undefined;
  }

  /**
   * Replies to a request; on any other message it is a plain message back to its sender. Resolves to 1, or 0 where nobody is
   * there any more.
   */
  reply(value: unknown, attachments?: Attachments & Abortable): Promise<number> {
    return new Promise((resolve) => {
      const encoded = payload.encode(value);
      const { signal, ...attached } = options('attachments', attachments, ATTACHED);
      const ends = checked(signal);
      const sent = carrying(undefined, attached, (luggage) => {
        return this.#back.reply(this.sender.id, this.#received.request?.number, encoded, luggage, ends);
      });
      resolve(sent);
    });
  }

  /**
   * Replies to a request that it failed: whoever asked gets a `RemoteError` with the name and the text of this error. Resolves to 1, or
   * 0 where nobody is there any more.
   */
  fail(error: Error): Promise<number> {
    return new Promise((resolve) => {
      if (!this.isRequest) throw new TypeError('this message is no request: nobody waits for a reply; see isRequest');
      if (!(error instanceof Error || types.isNativeError(error))) throw new TypeError(`error is ${kindOf(error)}: give an Error`);
      resolve(this.reply(payload.failure(error)));
    });
  }

  /** Closes the objects and regions that came with it. */
  close(): void {
    for (const object of this.objects) object.close();
    for (const region of this.memoryRegions) region.close();
  }

  /**
   * What a program gets. Who asked by a message that cannot be decoded is told.
   *
   * @internal
   */
  static of(received: core.Received, origins: Origins, back: Back, sender: core.Sender | undefined): Message {
    const origin = origins.of(received);
    try {
      return new Message(received, origin, back);
    } catch (error) {
      if (error instanceof DecodeError && sender) received.request?.refuse(sender, error.message);
      received.objects?.forEach((descriptor) => descriptor.close());
      received.regions?.forEach((region) => region.close());
      throw error;
    }
  }
}

export interface Message {
  /** Closes what came with it, at the end of `using`. */
  [Symbol.dispose](): void;
}

disposable(Message);

/** Bears the name under which it is shown. */
const Shown = class Message {};

shown('Message', Message, ({ payload, sender, isRequest, redelivered, objects, memoryRegions }) =>
  Object.assign(new Shown(), {
    payload,
    sender,
    ...(isRequest && { isRequest }),
    ...(redelivered && { redelivered }),
    ...(objects.length > 0 && { objects }),
    ...(memoryRegions.length > 0 && { memoryRegions }),
  }),
);
