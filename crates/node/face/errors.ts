/**
 * The errors of the package, in one tree, the same in every language:
 *
 *     IpmbError
 *       JoinError: VersionMismatch, TokenMismatch, PermissionDenied, JoinTimeout
 *       SendError: NoRoute, Full, TooLarge, SendTimeout
 *       RecvError: DecodeError, RecvTimeout, TooManyOpenFiles
 *       PeerLost, RemoteError, Closed, Forked, SystemError
 *
 * A wrong argument is a `TypeError` or a `RangeError` whose text reads "argument is value: what to give".
 */

import type { EndpointInfo } from './values';

/** Everything that can go wrong on a bus. `code` is the name of the class. */
export class IpmbError extends Error {
  readonly code: string;

  constructor(text: string) {
    super(text);
    this.name = new.target.name;
    this.code = new.target.name;
  }
}

/** There is no endpoint. */
export class JoinError extends IpmbError {}
/** The bus speaks another version of the protocol. */
export class VersionMismatch extends JoinError {}
/** The token is not that of the bus. */
export class TokenMismatch extends JoinError {}
/** The bus is another user's. */
export class PermissionDenied extends JoinError {}
/** Nobody admitted us in time. */
export class JoinTimeout extends JoinError {}

/** The message was not sent. */
export class SendError extends IpmbError {}
/** Nobody matches, where somebody has to. */
export class NoRoute extends SendError {}
/** There is no room, and waiting was not asked for or cannot help. */
export class Full extends SendError {}
/** The payload is over the maximum. */
export class TooLarge extends SendError {}
/** There was no room in time. */
export class SendTimeout extends SendError {
  /** How many endpoints have the message all the same. */
  readonly delivered: number;

  constructor(text: string, delivered = 0) {
    super(text);
    this.delivered = delivered;
  }
}

/** Nothing was received; no message is lost by it, but for one that cannot be decoded. */
export class RecvError extends IpmbError {}
/** The bytes of a message are not what its type says. It is gone; the next `recv` goes on. */
export class DecodeError extends RecvError {
  /** Who sent it, where that is known. */
  readonly sender: EndpointInfo | undefined;

  constructor(text: string, sender?: EndpointInfo) {
    super(text);
    this.sender = sender;
  }
}
/** Nothing came in time. */
export class RecvTimeout extends RecvError {}
/** A message waits whose descriptors do not fit in this process. */
export class TooManyOpenFiles extends RecvError {}

/** Who was asked is gone. */
export class PeerLost extends IpmbError {}
/** The handler of who was asked failed. */
export class RemoteError extends IpmbError {}
/** This side closed it. */
export class Closed extends IpmbError {}
/** It belongs to the parent process. */
export class Forked extends IpmbError {}
/** The operating system refused something, or memory is held that nobody else may hold. */
export class SystemError extends IpmbError {}

const CLASSES: Readonly<Record<string, new (text: string) => Error>> = {
  JoinError,
  VersionMismatch,
  TokenMismatch,
  PermissionDenied,
  JoinTimeout,
  NoRoute,
  Full,
  TooLarge,
  SendTimeout,
  DecodeError,
  RecvTimeout,
  TooManyOpenFiles,
  PeerLost,
  RemoteError,
  Closed,
  Forked,
  ValueError: RangeError,
  MemoryError: SystemError,
  BufferError: SystemError,
  OSError: SystemError,
};

/** The error of a native function by the name that it has as its code. */
export function made(code: string, text: string): Error {
  const Class = Object.hasOwn(CLASSES, code) ? CLASSES[code] : undefined;
  return Class ? new Class(text) : new IpmbError(text);
}

/** What a native function has thrown, as programs know it. */
export function told(thrown: unknown): unknown {
  // Not by `instanceof Error`: in a vm context, in which test runners load us, native errors are those of the main one.
  if (typeof thrown !== 'object' || thrown === null || thrown instanceof IpmbError) return thrown;
  const { code, message } = thrown as { code?: unknown; message?: unknown };
  if (typeof code !== 'string' || !Object.hasOwn(CLASSES, code)) return thrown;
  return made(code, String(message));
}

/** Calls a native function. */
export function call<T>(act: () => T): T {
  try {
    return act();
  } catch (thrown) {
    throw told(thrown);
  }
}
