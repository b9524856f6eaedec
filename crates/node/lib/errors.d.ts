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
export declare class IpmbError extends Error {
    readonly code: string;
    constructor(text: string);
}
/** There is no endpoint. */
export declare class JoinError extends IpmbError {
}
/** The bus speaks another version of the protocol. */
export declare class VersionMismatch extends JoinError {
}
/** The token is not that of the bus. */
export declare class TokenMismatch extends JoinError {
}
/** The bus is another user's. */
export declare class PermissionDenied extends JoinError {
}
/** Nobody admitted us in time. */
export declare class JoinTimeout extends JoinError {
}
/** The message was not sent. */
export declare class SendError extends IpmbError {
}
/** Nobody matches, where somebody has to. */
export declare class NoRoute extends SendError {
}
/** There is no room, and waiting was not asked for or cannot help. */
export declare class Full extends SendError {
}
/** The payload is over the maximum. */
export declare class TooLarge extends SendError {
}
/** There was no room in time. */
export declare class SendTimeout extends SendError {
    /** How many endpoints have the message all the same. */
    readonly delivered: number;
    constructor(text: string, delivered?: number);
}
/** Nothing was received; no message is lost by it, but for one that cannot be decoded. */
export declare class RecvError extends IpmbError {
}
/** The bytes of a message are not what its type says. It is gone; the next `recv` goes on. */
export declare class DecodeError extends RecvError {
    /** Who sent it, where that is known. */
    readonly sender: EndpointInfo | undefined;
    constructor(text: string, sender?: EndpointInfo);
}
/** Nothing came in time. */
export declare class RecvTimeout extends RecvError {
}
/** A message waits whose descriptors do not fit in this process. */
export declare class TooManyOpenFiles extends RecvError {
}
/** Who was asked is gone. */
export declare class PeerLost extends IpmbError {
}
/** The handler of who was asked failed. */
export declare class RemoteError extends IpmbError {
}
/** This side closed it. */
export declare class Closed extends IpmbError {
}
/** It belongs to the parent process. */
export declare class Forked extends IpmbError {
}
/** The operating system refused something, or memory is held that nobody else may hold. */
export declare class SystemError extends IpmbError {
}
/** The error of a native function by the name that it has as its code. */
export declare function made(code: string, text: string): Error;
/** What a native function has thrown, as programs know it. */
export declare function told(thrown: unknown): unknown;
/** Calls a native function. */
export declare function call<T>(act: () => T): T;
