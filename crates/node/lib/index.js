"use strict";
/**
 * `ipmb-js`: processes of one machine join a bus by its name, and send each other messages, descriptors and shared memory.
 *
 * Read it from the floor upwards: `errors` and `arguments`; `native`, the other half; `showing` and `disposing`; `values`,
 * `dates`, `packing`, `unpacking` and `payload`, what travels; `waiting`, in the event loop, and `aborting`; `label_op`; `attachments`;
 * `membership`, `message`, `sending`, `sender`, `receiver`; `endpoint`.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.UUID = exports.Typed = exports.Float = exports.BytesMessage = exports.Sender = exports.Receiver = exports.Message = exports.SelectorMode = exports.LabelOp = exports.VersionMismatch = exports.TooManyOpenFiles = exports.TooLarge = exports.TokenMismatch = exports.SystemError = exports.SendTimeout = exports.SendError = exports.RemoteError = exports.RecvTimeout = exports.RecvError = exports.PermissionDenied = exports.PeerLost = exports.NoRoute = exports.JoinTimeout = exports.JoinError = exports.IpmbError = exports.Full = exports.Forked = exports.DecodeError = exports.Closed = exports.join = exports.Endpoint = exports.MemoryRegistry = exports.MemoryRegion = exports.Object = void 0;
var attachments_1 = require("./attachments");
Object.defineProperty(exports, "Object", { enumerable: true, get: function () { return attachments_1.Object; } });
Object.defineProperty(exports, "MemoryRegion", { enumerable: true, get: function () { return attachments_1.MemoryRegion; } });
Object.defineProperty(exports, "MemoryRegistry", { enumerable: true, get: function () { return attachments_1.MemoryRegistry; } });
var endpoint_1 = require("./endpoint");
Object.defineProperty(exports, "Endpoint", { enumerable: true, get: function () { return endpoint_1.Endpoint; } });
Object.defineProperty(exports, "join", { enumerable: true, get: function () { return endpoint_1.join; } });
var errors_1 = require("./errors");
Object.defineProperty(exports, "Closed", { enumerable: true, get: function () { return errors_1.Closed; } });
Object.defineProperty(exports, "DecodeError", { enumerable: true, get: function () { return errors_1.DecodeError; } });
Object.defineProperty(exports, "Forked", { enumerable: true, get: function () { return errors_1.Forked; } });
Object.defineProperty(exports, "Full", { enumerable: true, get: function () { return errors_1.Full; } });
Object.defineProperty(exports, "IpmbError", { enumerable: true, get: function () { return errors_1.IpmbError; } });
Object.defineProperty(exports, "JoinError", { enumerable: true, get: function () { return errors_1.JoinError; } });
Object.defineProperty(exports, "JoinTimeout", { enumerable: true, get: function () { return errors_1.JoinTimeout; } });
Object.defineProperty(exports, "NoRoute", { enumerable: true, get: function () { return errors_1.NoRoute; } });
Object.defineProperty(exports, "PeerLost", { enumerable: true, get: function () { return errors_1.PeerLost; } });
Object.defineProperty(exports, "PermissionDenied", { enumerable: true, get: function () { return errors_1.PermissionDenied; } });
Object.defineProperty(exports, "RecvError", { enumerable: true, get: function () { return errors_1.RecvError; } });
Object.defineProperty(exports, "RecvTimeout", { enumerable: true, get: function () { return errors_1.RecvTimeout; } });
Object.defineProperty(exports, "RemoteError", { enumerable: true, get: function () { return errors_1.RemoteError; } });
Object.defineProperty(exports, "SendError", { enumerable: true, get: function () { return errors_1.SendError; } });
Object.defineProperty(exports, "SendTimeout", { enumerable: true, get: function () { return errors_1.SendTimeout; } });
Object.defineProperty(exports, "SystemError", { enumerable: true, get: function () { return errors_1.SystemError; } });
Object.defineProperty(exports, "TokenMismatch", { enumerable: true, get: function () { return errors_1.TokenMismatch; } });
Object.defineProperty(exports, "TooLarge", { enumerable: true, get: function () { return errors_1.TooLarge; } });
Object.defineProperty(exports, "TooManyOpenFiles", { enumerable: true, get: function () { return errors_1.TooManyOpenFiles; } });
Object.defineProperty(exports, "VersionMismatch", { enumerable: true, get: function () { return errors_1.VersionMismatch; } });
var label_op_1 = require("./label_op");
Object.defineProperty(exports, "LabelOp", { enumerable: true, get: function () { return label_op_1.LabelOp; } });
Object.defineProperty(exports, "SelectorMode", { enumerable: true, get: function () { return label_op_1.SelectorMode; } });
var message_1 = require("./message");
Object.defineProperty(exports, "Message", { enumerable: true, get: function () { return message_1.Message; } });
var receiver_1 = require("./receiver");
Object.defineProperty(exports, "Receiver", { enumerable: true, get: function () { return receiver_1.Receiver; } });
var sender_1 = require("./sender");
Object.defineProperty(exports, "Sender", { enumerable: true, get: function () { return sender_1.Sender; } });
var values_1 = require("./values");
Object.defineProperty(exports, "BytesMessage", { enumerable: true, get: function () { return values_1.BytesMessage; } });
Object.defineProperty(exports, "Float", { enumerable: true, get: function () { return values_1.Float; } });
Object.defineProperty(exports, "Typed", { enumerable: true, get: function () { return values_1.Typed; } });
Object.defineProperty(exports, "UUID", { enumerable: true, get: function () { return values_1.UUID; } });
