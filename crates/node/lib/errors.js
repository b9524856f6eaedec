"use strict";
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
Object.defineProperty(exports, "__esModule", { value: true });
exports.SystemError = exports.Forked = exports.Closed = exports.RemoteError = exports.PeerLost = exports.TooManyOpenFiles = exports.RecvTimeout = exports.DecodeError = exports.RecvError = exports.SendTimeout = exports.TooLarge = exports.Full = exports.NoRoute = exports.SendError = exports.JoinTimeout = exports.PermissionDenied = exports.TokenMismatch = exports.VersionMismatch = exports.JoinError = exports.IpmbError = void 0;
exports.made = made;
exports.told = told;
exports.call = call;
/** Everything that can go wrong on a bus. `code` is the name of the class. */
class IpmbError extends Error {
    code;
    constructor(text) {
        super(text);
        this.name = new.target.name;
        this.code = new.target.name;
    }
}
exports.IpmbError = IpmbError;
/** There is no endpoint. */
class JoinError extends IpmbError {
}
exports.JoinError = JoinError;
/** The bus speaks another version of the protocol. */
class VersionMismatch extends JoinError {
}
exports.VersionMismatch = VersionMismatch;
/** The token is not that of the bus. */
class TokenMismatch extends JoinError {
}
exports.TokenMismatch = TokenMismatch;
/** The bus is another user's. */
class PermissionDenied extends JoinError {
}
exports.PermissionDenied = PermissionDenied;
/** Nobody admitted us in time. */
class JoinTimeout extends JoinError {
}
exports.JoinTimeout = JoinTimeout;
/** The message was not sent. */
class SendError extends IpmbError {
}
exports.SendError = SendError;
/** Nobody matches, where somebody has to. */
class NoRoute extends SendError {
}
exports.NoRoute = NoRoute;
/** There is no room, and waiting was not asked for or cannot help. */
class Full extends SendError {
}
exports.Full = Full;
/** The payload is over the maximum. */
class TooLarge extends SendError {
}
exports.TooLarge = TooLarge;
/** There was no room in time. */
class SendTimeout extends SendError {
    /** How many endpoints have the message all the same. */
    delivered;
    constructor(text, delivered = 0) {
        super(text);
        this.delivered = delivered;
    }
}
exports.SendTimeout = SendTimeout;
/** Nothing was received; no message is lost by it, but for one that cannot be decoded. */
class RecvError extends IpmbError {
}
exports.RecvError = RecvError;
/** The bytes of a message are not what its type says. It is gone; the next `recv` goes on. */
class DecodeError extends RecvError {
    /** Who sent it, where that is known. */
    sender;
    constructor(text, sender) {
        super(text);
        this.sender = sender;
    }
}
exports.DecodeError = DecodeError;
/** Nothing came in time. */
class RecvTimeout extends RecvError {
}
exports.RecvTimeout = RecvTimeout;
/** A message waits whose descriptors do not fit in this process. */
class TooManyOpenFiles extends RecvError {
}
exports.TooManyOpenFiles = TooManyOpenFiles;
/** Who was asked is gone. */
class PeerLost extends IpmbError {
}
exports.PeerLost = PeerLost;
/** The handler of who was asked failed. */
class RemoteError extends IpmbError {
}
exports.RemoteError = RemoteError;
/** This side closed it. */
class Closed extends IpmbError {
}
exports.Closed = Closed;
/** It belongs to the parent process. */
class Forked extends IpmbError {
}
exports.Forked = Forked;
/** The operating system refused something, or memory is held that nobody else may hold. */
class SystemError extends IpmbError {
}
exports.SystemError = SystemError;
const CLASSES = {
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
function made(code, text) {
    const Class = Object.hasOwn(CLASSES, code) ? CLASSES[code] : undefined;
    return Class ? new Class(text) : new IpmbError(text);
}
/** What a native function has thrown, as programs know it. */
function told(thrown) {
    // Not by `instanceof Error`: in a vm context, in which test runners load us, native errors are those of the main one.
    if (typeof thrown !== 'object' || thrown === null || thrown instanceof IpmbError)
        return thrown;
    const { code, message } = thrown;
    if (typeof code !== 'string' || !Object.hasOwn(CLASSES, code))
        return thrown;
    return made(code, String(message));
}
/** Calls a native function. */
function call(act) {
    try {
        return act();
    }
    catch (thrown) {
        throw told(thrown);
    }
}
