// Made from the signatures of the Rust sources by tools/build.mjs: change those.

/** An owned descriptor. */
export class Descriptor {
  /** A duplicate of what stands behind a number, given as this argument. */
  static of(number: number, argument: string): Descriptor
  /** The number; it stays this object's. */
  value(): number
  /** The number, which is the caller's to close from now on. */
  detach(): number
  /** Closes it. Closing twice is fine. */
  close(): void
  /** Whether there is no descriptor any more. */
  get closed(): boolean
}

/** An endpoint on a bus. */
export class Endpoint {
  /** Number that no other endpoint of the bus has. */
  get id(): bigint
  /** Whether it plays controller now. */
  get isController(): boolean
  /** Whether it has left the bus. */
  get closed(): boolean
  /** The sending half. */
  sender(): Sender
  /** The receiving half, which takes payloads of these UUIDs, one after another. */
  receiver(takes: Uint8Array): Receiver
  /** Everybody on the bus but this one. */
  peers(): Array<PeerInfo>
  /** What it counted so far. */
  stats(): Counters
  /** Tells who joins and leaves from now on. */
  watch(): Watch
  /** Closes both halves and leaves the bus. */
  close(): void
}

/** What an environment waits for. Make one for each. */
export class Hub {
  /** Has `call` called when something may be tried again: what, `ready` says. */
  constructor(call: () => void)
  /** Waits for the outcome of a joining. */
  awaitJoining(number: number, joining: Joining): void
  /** Waits for a message. */
  awaitMessage(number: number, receiver: Receiver): void
  /** Waits for room. Whether there is anything to wait for. */
  awaitRoom(number: number, pending: Pending): boolean
  /** Waits for replies. */
  awaitReplies(number: number, requests: Requests): void
  /** Waits for somebody to join or leave. */
  awaitEvent(number: number, watch: Watch): void
  /** Ends a wait. It may have ended already. */
  forget(number: number): void
  /** The waits that have ended because what they wait for may be there. */
  ready(): Array<number>
  /** Whether what is waited for keeps the process alive. */
  hold(hold: boolean): void
}

/** A joining under way. */
export class Joining {
  /** Starts to join. */
  static begin(identifier: string, label: Array<string>, token: Uint8Array, controllerAffinity: boolean, users: Array<number>, receiving: boolean): Joining
  /** The outcome, if it is there; when the time is over, an error that says what was in the way. */
  poll(over: boolean): Endpoint | null
  /** Gives it up. */
  giveUp(): void
}

/** A boolean expression over labels; it does not change. */
export class LabelOp {
  /** Matches the endpoints whose label holds the element. */
  static leaf(element: string): LabelOp
  /** Matches all endpoints, or none. */
  static constant(value: boolean): LabelOp
  /** What `text` gave. */
  static parse(text: string): LabelOp
  /** Whom this one does not match. */
  not(): LabelOp
  /** Whom both match. */
  and(other: LabelOp): LabelOp
  /** Whom at least one matches. */
  or(other: LabelOp): LabelOp
  /** Whether an endpoint with this label is meant. */
  matches(label: Array<string>): boolean
  /** The same as people write it. */
  text(): string
}

/** Objects and regions of one message. */
export class Luggage {
  /** Nothing yet. */
  constructor()
  /** A duplicate of an object goes along. */
  object(object: Descriptor): void
  /** A region goes along, given as this argument. */
  region(region: Region, argument: string): void
  /** A region with a copy of these bytes goes along, given as this argument. */
  copy(data: Uint8Array, argument: string): void
  /** Lets go of all that was not taken out: the collector does not know how few descriptors there are. */
  close(): void
}

/** A message that found no room yet. */
export class Pending {
  /** Tries again. Whether it is done; an error gives it up. */
  poll(): boolean
  /** How many endpoints have it so far. */
  get reached(): number
  /** Milliseconds after which to try again although nothing has been told. Null: no need. */
  get delay(): number | null
  /** Gives it up: whoever does not have it yet will not. */
  giveUp(): void
}

/** The receiving half of an endpoint. */
export class Receiver {
  /** The next message, if one is there. For the last time: one who is about to say that there is none. */
  poll(last: boolean): Received | null
  /**
  * Tells who asked by the message that `poll` has just failed for. Not told there: in an environment that is being
  * terminated everything fails, and who asked it is to get `PeerLost`. Such a one does not come here.
  */
  refuseUnseen(): void
  /** What to say when no message came in time. */
  late(): string
  /** Whether this half is closed. */
  get closed(): boolean
  /** Closes this half: unread messages go to others who match. */
  close(): void
}

/** A hold on shared memory. */
export class Region {
  /** New memory of so many bytes. */
  static create(size: number): Region
  /** Bytes in it. */
  get size(): number
  /** All of it, without a copy; of a read-only one a copy of one's own, made page by page where it is written to. */
  show(): ArrayBuffer
  /** Copies bytes in. They may be bytes of the region itself. */
  write(data: Uint8Array, offset: number): void
  /** A copy of some of its bytes. */
  read(offset: number, len: number): Buffer
  /** How many endpoints hold it. */
  refCount(): number
  /** Whether it is read-only for everybody. */
  isFrozen(): boolean
  /** Makes it read-only for everybody. */
  freeze(): void
  /** Another hold on the same memory. */
  again(): Region
  /** Gives up this hold. Closing twice is fine. */
  close(): void
  /** Whether this hold is given up. */
  get closed(): boolean
}

/** A pool of regions; a number says what is to be done when one is free again. */
export class Registry {
  /** An empty pool. */
  constructor()
  /** A region of at least so many bytes that nobody else holds. */
  alloc(minSize: number, tag?: string | undefined | null, number?: number | undefined | null): Region
  /** The numbers of what is to be done now, each once. */
  due(): Array<number>
  /** Gives memory back to the system that nobody has held for a while. */
  trim(): void
}

/** A request that waits for a reply. */
export class Request {
  /** The asker's number. */
  get number(): bigint
  /** Tells the asker that there will be no reply: the request could not be decoded. */
  refuse(back: Sender, why: string): void
}

/** The requests of one endpoint. */
export class Requests {
  /** Those of the endpoint a sender belongs to. Make one for an endpoint. */
  static of(sender: Sender): Requests
  /** A number for a request that is about to be sent. */
  begin(): bigint
  /** Sends the request of a number: how many have it, or what waits for room, or for somebody who matches. */
  ask(sender: Sender, request: bigint, op: LabelOp, ttl: number, kind: Uint8Array, head: Uint8Array, data: Uint8Array, luggage?: Luggage | undefined | null): number | Pending
  /** Nobody waits for this number any more. */
  forget(request: bigint): void
  /** What became of requests since the last call. */
  collect(): Array<Answer>
}

/** The sending half of an endpoint. */
export class Sender {
  /** Sends a message to those who match: how many have it, or what waits for room. */
  send(op: LabelOp, multicast: boolean, ttl: number, kind: Uint8Array, head: Uint8Array, data: Uint8Array, luggage: Luggage | undefined | null, overflow: number): number | Pending
  /** Sends a message to one endpoint; as the reply to its request, if there is a number of one. */
  reply(id: bigint, request: bigint | undefined | null, kind: Uint8Array, head: Uint8Array, data: Uint8Array, luggage?: Luggage | undefined | null): number | Pending
  /** Whether this half is closed. */
  get closed(): boolean
  /** Closes this half. What was sent stays sent. */
  close(): void
}

/** Tells who joins and leaves. */
export class Watch {
  /** The next event, if there is one. */
  poll(): Event | null
  /** Whether nothing new will come any more. */
  get ended(): boolean
  /** Ends it. */
  close(): void
}

/** What became of a request. */
export interface Answer {
  /** Its number. */
  number: bigint
  /** The reply. */
  reply?: Received
  /** The name of the error there is instead. */
  code?: string
  /** What it says. */
  text?: string
}

/** What an endpoint counted. */
export interface Counters {
  /** By name. */
  all: Record<string, number>
  /** `dropped`, taken apart. */
  dropped: Record<string, number>
  /** `refused`, taken apart. */
  refused: Record<string, number>
  /** `shortages`, taken apart. */
  shortages: Record<string, number>
}

/** Something that happened to an endpoint of the bus. */
export interface Event {
  /** Whether it joined; otherwise it left. */
  joined: boolean
  /** Who. */
  peer: PeerInfo
  /** Why it left, where anybody knows. */
  reason?: string
}

/** Who sent a message, and to where. */
export interface OriginInfo {
  /** Who sent it. */
  sender: PeerInfo
  /** Where to. */
  selector: SelectorInfo
}

/** Who an endpoint is. */
export interface PeerInfo {
  /** Number that no other endpoint of the bus has. */
  id: bigint
  /** The label it joined with. */
  label: Array<string>
  /** Its process. */
  pid: number
}

/** A received message. What there is none of is left out. */
export interface Received {
  /** The number of a built-in type, 0 for another one. */
  kind: number
  /** The UUID of another one. */
  uuid?: Buffer
  /** The payload, if it is text. */
  text?: string
  /** The payload, if it is not; of one that lies in shared memory what stands before that. */
  data?: Buffer
  /** The part that lies in shared memory: a copy of one's own, made page by page where it is written to. */
  bulk?: ArrayBuffer
  /** The number of who sent it to where. */
  origin: number
  /** Who that is, where the number is new. With the number 0 all others are. */
  fresh?: OriginInfo
  /** The first receiver died with it unread. */
  redelivered?: boolean
  /** What it asks for a reply with. */
  request?: Request
  /** Descriptors that came with it. */
  objects?: Array<Descriptor>
  /** Regions that came with it. */
  regions?: Array<Region>
}

/** Where a message was sent to. */
export interface SelectorInfo {
  /** Who was meant. */
  op: LabelOp
  /** Whether all of them. */
  multicast: boolean
  /** Milliseconds that it may have waited. */
  ttl: number
}
