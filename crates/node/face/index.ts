/**
 * `ipmb-js`: processes of one machine join a bus by its name, and send each other messages, descriptors and shared memory.
 *
 * Read it from the floor upwards: `errors` and `arguments`; `native`, the other half; `showing` and `disposing`; `values`,
 * `dates`, `packing`, `unpacking` and `payload`, what travels; `waiting`, in the event loop, and `aborting`; `label_op`; `attachments`;
 * `membership`, `message`, `sending`, `sender`, `receiver`; `endpoint`.
 */

declare global {
  // As in TypeScript's esnext.disposable and in @types/node: programs that are compiled with neither, or an old one, need it.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
    readonly asyncDispose: unique symbol;
  }
}

export { type Abortable } from './aborting';
export { Object, MemoryRegion, MemoryRegistry, type Attachments } from './attachments';
export { Endpoint, type JoiningEndpoint, join, type Options, type PeerEvent, type PeerEvents, type Stats } from './endpoint';
export {
  Closed,
  DecodeError,
  Forked,
  Full,
  IpmbError,
  JoinError,
  JoinTimeout,
  NoRoute,
  PeerLost,
  PermissionDenied,
  RecvError,
  RecvTimeout,
  RemoteError,
  SendError,
  SendTimeout,
  SystemError,
  TokenMismatch,
  TooLarge,
  TooManyOpenFiles,
  VersionMismatch,
} from './errors';
export { LabelOp, type Selector, SelectorMode } from './label_op';
export { Message, type SentTo } from './message';
export { Receiver } from './receiver';
export { type RequestOptions, Sender, type SendOptions, type To } from './sender';
export { BytesMessage, type EndpointInfo, Float, Typed, UUID } from './values';
