/** Endpoints, and joining a bus. */

import { type Abortable, signalOf } from './aborting';
import { bytes, flag, list, millis, notMade, options as checked, text, whole, wrongType } from './arguments';
import { asyncDisposable, disposable } from './disposing';
import { call } from './errors';
import { labels } from './label_op';
import { Membership } from './membership';
import { type core, native } from './native';
import * as payload from './payload';
import { Receiver } from './receiver';
import { Sender } from './sender';
import { shown } from './showing';
import { type EndpointInfo, UUID } from './values';
import { wait } from './waiting';

export interface Options {
  /** The name of the bus. */
  identifier: string;
  /** What describes the endpoint. */
  label?: readonly string[];
  /** The secret of the bus; empty, or left out, for none. */
  token?: string | Uint8Array;
  /** Whether the endpoint may play controller; it may, if left out. */
  controllerAffinity?: boolean;
  /** Users whose processes may be on the bus, beside the own one and root. The same for all its endpoints. */
  users?: readonly number[];
  /** Types with a UUID of their own that this receiver takes, as `Typed`. */
  types?: ReadonlyArray<UUID | string>;
}

const OPTIONS = ['identifier', 'label', 'token', 'controllerAffinity', 'users', 'types'] as const;

/** Counters come in another order in each process. */
function sorted(counters: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counters).sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** Everything an endpoint has counted, as in Python's `stats()`. */
export interface Stats {
  readonly sent: number;
  readonly received: number;
  readonly skipped: number;
  readonly dropped: number;
  readonly expired: number;
  readonly redelivered: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly shortages: number;
  readonly takeovers: number;
  readonly waiting: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly droppedByReason: Readonly<Record<string, number>>;
  readonly refusedByReason: Readonly<Record<string, number>>;
  readonly shortagesByKind: Readonly<Record<string, number>>;
}

/** Somebody joined, or left. */
export interface PeerEvent {
  readonly kind: 'joined' | 'left';
  readonly peer: EndpointInfo;
  /** Why it left, where anybody knows: `closed`, `died`, `expelled`, `vanished`. */
  readonly reason?: string;
}

/** Who joins and leaves, as it happens. */
export interface PeerEvents extends AsyncIterableIterator<PeerEvent> {
  /** Ends it, at the end of `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What an endpoint is made of. */
type Made = [membership: Membership, identifier: string, label: readonly string[], sender: Sender, receiver: Receiver];

/** One who is on a bus. */
export class Endpoint {
  readonly identifier: string;
  readonly label: readonly string[];
  readonly sender: Sender;
  readonly receiver: Receiver;
  readonly #membership: Membership;

  protected constructor();
  /** @internal */
  protected constructor(...made: Made);
  protected constructor(...made: Made | []) {
    const [membership, identifier, label, sender, receiver] = made as Made;
    if (!(membership instanceof Membership)) throw notMade('an Endpoint', 'join()');
    this.#membership = membership;
    this.identifier = identifier;
    this.label = label;
    this.sender = sender;
    this.receiver = receiver;
  }

  /** Number that no other endpoint of the bus has. */
  get id(): bigint {
    return this.#membership.joined().id;
  }

  /** Whether it plays controller now. */
  get isController(): boolean {
    return this.#membership.joined().isController;
  }

  /** Everybody on the bus but this one. */
  peers(): EndpointInfo[] {
    return call(() => this.#membership.joined().peers());
  }

  /** What it has counted so far. */
  stats(): Stats {
    const counters = call(() => this.#membership.joined().stats());
    return {
      ...(sorted(counters.all) as unknown as Stats),
      droppedByReason: sorted(counters.dropped),
      refusedByReason: sorted(counters.refused),
      shortagesByKind: sorted(counters.shortages),
    };
  }

  /** Tells who joins and leaves from now on, until the loop is left or the endpoint closed. */
  watch(): PeerEvents {
    return new Watching(call(() => this.#membership.joined().watch()));
  }

  /** Closes both halves and leaves the bus. Closing twice is fine. */
  close(): void {
    this.sender.close();
    this.receiver.close();
    this.#membership.close();
  }

  /** @internal */
  static of(...made: Made): Endpoint {
    return new Endpoint(...made);
  }

  static {
    shown('Endpoint', this, (self) => self.#membership.shown(false));
  }
}

export interface Endpoint {
  /** Closes it, at the end of `using`. */
  [Symbol.dispose](): void;
  /** Closes it, at the end of `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

disposable(Endpoint);
asyncDisposable(Endpoint, (endpoint) => endpoint.close());

/** An endpoint that joins. Its halves can be used at once; awaited, it is the endpoint that has joined. */
export class JoiningEndpoint extends Endpoint implements PromiseLike<Endpoint> {
  readonly #joined: () => Promise<Endpoint>;

  private constructor(...made: Made) {
    super(...made);
    const [membership] = made;
    this.#joined = async () => {
      await membership.settled;
      return Endpoint.of(...made);
    };
  }

  then<Result = Endpoint, Otherwise = never>(
    joined?: ((endpoint: Endpoint) => Result | PromiseLike<Result>) | null,
    failed?: ((error: unknown) => Otherwise | PromiseLike<Otherwise>) | null,
  ): Promise<Result | Otherwise> {
    return this.#joined().then(joined, failed);
  }

  catch<Otherwise = never>(
    failed?: ((error: unknown) => Otherwise | PromiseLike<Otherwise>) | null,
  ): Promise<Endpoint | Otherwise> {
    return this.#joined().catch(failed);
  }

  finally(over?: (() => void) | null): Promise<Endpoint> {
    return this.#joined().finally(over);
  }

  /** @internal */
  static override of(...made: Made): JoiningEndpoint {
    return new JoiningEndpoint(...made);
  }
}

/** Events as they come. Not a generator: of that `return` would wait for the event that `next` waits for. */
class Watching implements PeerEvents {
  readonly #from: core.Watch;
  #turn: Promise<unknown> = Promise.resolve();
  #ended = false;
  #wake = (): void => {};

  constructor(from: core.Watch) {
    this.#from = from;
  }

  next(): Promise<IteratorResult<PeerEvent, undefined>> {
    const next = this.#turn.then(() => this.#next());
    this.#turn = next.catch(() => {});
    return next;
  }

  return(): Promise<IteratorResult<PeerEvent, undefined>> {
    this.#ended = true;
    this.#from.close();
    this.#wake();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #next(): Promise<IteratorResult<PeerEvent, undefined>> {
    while (!this.#ended) {
      const event = this.#from.poll();
      if (event) {
        const { joined, peer, reason } = event;
        const kind = joined ? 'joined' : 'left';
        return { value: { kind, peer, ...(reason === undefined ? {} : { reason }) }, done: false };
      }
      if (this.#from.ended) return this.return();
      await new Promise<void>((resolve) => {
        const endWait = wait((hub, number) => hub.awaitEvent(number, this.#from), resolve);
        this.#wake = () => {
          endWait();
          resolve();
        };
      });
    }
    return { value: undefined, done: true };
  }
}

interface Watching {
  [Symbol.asyncDispose](): Promise<void>;
}

asyncDisposable(Watching, (events) => events.return());

/**
 * Joins a bus.
 *
 * What is returned can be used at once: what is sent is sent when the endpoint has joined, and `recv` waits. Await it to know
 * when that is, and what was in the way: `VersionMismatch`, `TokenMismatch`, `PermissionDenied`, `JoinTimeout`. Whoever does
 * not is told by `send` and `recv`.
 *
 * @param timeout Milliseconds; null, `Infinity` and nothing are for ever. A join takes a few round trips: with 0 it rarely succeeds.
 * @param waiting Its signal gives up joining when it is aborted.
 */
export function join(options: Options, timeout?: number | null, waiting?: Abortable): JoiningEndpoint {
  if (options === undefined || options === null) {
    throw wrongType('options', options, 'give {identifier, label, token, controllerAffinity}');
  }
  checked('options', options, OPTIONS);
  const identifier = text('identifier', options.identifier);
  const label = labels('label', options.label);
  const { token = '' } = options;
  const secret = typeof token === 'string' ? Buffer.from(text('token', token)) : bytes('token', token, 'give a string, or a Buffer');
  const affinity = flag('controllerAffinity', options.controllerAffinity, true);
  const users = list('users', options.users, 'give an array of user ids').map((user, index) =>
    whole(`users[${index}]`, user, 0, 0xffffffff),
  );
  const types = list('types', options.types, 'give an array of UUIDs').map((type, index) =>
    type instanceof UUID ? type : new UUID(text(`types[${index}]`, type)),
  );
  const limit = millis('timeout', timeout);
  const signal = signalOf(waiting);
  const begin = (): core.Joining => call(() => native.Joining.begin(identifier, label, secret, affinity, users, true));
  const name = `${identifier}, [${label.join(', ')}]`;
  const membership = new Membership(begin, limit, signal, name);
  const sender = Sender.of(membership);
  const receiver = Receiver.of(membership, payload.takes(types), Sender.back(sender));
  return JoiningEndpoint.of(membership, identifier, Object.freeze([...label]), sender, receiver);
}
