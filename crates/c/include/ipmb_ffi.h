// The C interface of ipmb. Made by `make header` of crates/c/src: do not edit.
//
// Handles are `void*`. A function that uses a handle takes a pointer to it, one that takes it by value consumes it. Null
// handles and pointers do no harm: a function that returns an ErrorCode gives -1, others null or 0. Each function says which
// threads may call it. Text is UTF-8 and ends with a NUL; times are milliseconds. In a child after fork the parent's senders,
// receivers and regions fail with ERROR_CODE_FORKED, and are still to be dropped. The library stays loaded after dlclose.

#ifndef IPMB_FFI_H
#define IPMB_FFI_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus

namespace ipmb_ffi {

// To one of those who match, or to all.
enum class SelectorMode { kUnicast, kMulticast };

// A message that finds no room waits for it.
constexpr static const uint32_t ON_FULL_WAIT = 0;

// A message that finds no room is not sent to anybody.
constexpr static const uint32_t ON_FULL_FAIL = 1;

// A message is dropped for those who have no room, and counted.
constexpr static const uint32_t ON_FULL_DROP = 2;

// No limit of time.
constexpr static const uint32_t TIMEOUT_INFINITE = 4294967295;

// Handle of a message.
using Message = void*;

// The number of a descriptor.
using Object = uint64_t;

// Handle of a block of memory that processes share.
using MemoryRegion = void*;

// What a function came to: 0, or below it one of the codes that follow.
using ErrorCode = int32_t;

// Handle of the set of texts that describes an endpoint.
using Label = void*;

// How to join a bus.
struct Options {
    // The name of the bus: 1 to 255 bytes in UTF-8. A bus has up to 4,096 endpoints.
    const char *identifier;
    // What describes the endpoint, up to 64 elements of 4,096 bytes in all; it stays the caller's.
    const Label *label;
    // The secret of the bus, up to 1,024 bytes in UTF-8; null or the empty text: it has none.
    const char *token;
    // Whether the endpoint may play controller.
    bool controller_affinity;
};

// Handle of the half of an endpoint that sends.
using Sender = void*;

// Handle of the half of an endpoint that receives.
using Receiver = void*;

// Handle of an expression over labels: who a message is for.
using LabelOp = void*;

// Handle of a text that the caller drops.
using RString = void*;

// Where a message goes.
struct Selector {
    // Who is meant; it stays the caller's.
    const LabelOp *label_op;
    // One of them, or all.
    SelectorMode mode;
    // Milliseconds that the message waits while nobody matches: up to 4,294,967,294, which are 49 days; `TIMEOUT_INFINITE`: for ever.
    // Up to 4,096 messages of a sender wait, and up to 4 MiB of them, what stands in regions not counted.
    uint32_t ttl;
};

// Handle of a pool of regions.
using MemoryRegistry = void*;

// Counters of an endpoint. Later versions may have more of them, behind these.
struct EndpointStats {
    // Copies put into receivers' rings; a multicast to three counts three.
    uint64_t sent;
    // Messages received, and replies.
    uint64_t received;
    // Messages this receiver does not take, passed over.
    uint64_t skipped;
    // Messages given up, for any reason.
    uint64_t dropped;
    // Messages whose ttl ended before they were delivered.
    uint64_t expired;
    // Messages that another receiver got after the first one died with them unread.
    uint64_t redelivered;
    // Messages that wait now.
    uint64_t waiting;
    // Payload bytes of `sent`.
    uint64_t bytes_sent;
    // Payload bytes of `received`.
    uint64_t bytes_received;
    // Second copies of messages that had waited, dropped.
    uint64_t duplicates;
    // Times that somebody was refused or cut off, for any reason.
    uint64_t refused;
    // Times that there was too little of something: descriptors, or room.
    uint64_t shortages;
    // New controllers this endpoint has noticed.
    uint64_t takeovers;
};

// No object: what functions return where there is none.
constexpr static const Object OBJECT_MISSING = 18446744073709551615ull;

// It worked.
constexpr static const ErrorCode ERROR_CODE_SUCCESS = 0;

// A null handle or pointer, a handle of another kind, or anything else that has no code of its own.
constexpr static const ErrorCode ERROR_CODE_UNKNOWN = -1;

// The time is over.
constexpr static const ErrorCode ERROR_CODE_TIMEOUT = -2;

// A message came, and its bytes are not what its type says. The message is gone.
constexpr static const ErrorCode ERROR_CODE_DECODE = -3;

// The bus speaks another version of the protocol.
constexpr static const ErrorCode ERROR_CODE_VERSION_MISMATCH = -4;

// The token is not the bus's, or was given where the bus has none.
constexpr static const ErrorCode ERROR_CODE_TOKEN_MISMATCH = -5;

// The bus belongs to another user.
constexpr static const ErrorCode ERROR_CODE_PERMISSION_DENIED = -6;

// An argument cannot be used.
constexpr static const ErrorCode ERROR_CODE_INVALID_ARGUMENT = -7;

// Nobody matches, where somebody is needed.
constexpr static const ErrorCode ERROR_CODE_NO_ROUTE = -8;

// There is no room, and waiting was not asked for or cannot help; or the bus has none for another endpoint.
constexpr static const ErrorCode ERROR_CODE_FULL = -9;

// The payload is over the maximum.
constexpr static const ErrorCode ERROR_CODE_TOO_LARGE = -10;

// Who was asked died or left before it had replied.
constexpr static const ErrorCode ERROR_CODE_PEER_LOST = -11;

// Who was asked failed.
constexpr static const ErrorCode ERROR_CODE_REMOTE = -12;

// This side closed it.
constexpr static const ErrorCode ERROR_CODE_CLOSED = -13;

// It belongs to the parent process: join again after fork.
constexpr static const ErrorCode ERROR_CODE_FORKED = -14;

// This process has too many open files. A message that waits for that is not lost.
constexpr static const ErrorCode ERROR_CODE_TOO_MANY_OPEN_FILES = -15;

// There is not so much memory.
constexpr static const ErrorCode ERROR_CODE_OUT_OF_MEMORY = -16;

// Somebody else holds the region, or has it mapped.
constexpr static const ErrorCode ERROR_CODE_BUSY = -17;

// The operating system refused something.
constexpr static const ErrorCode ERROR_CODE_SYSTEM = -18;

extern "C" {

#else

// To one of those who match, or to all.
typedef enum SelectorMode { kUnicast, kMulticast } SelectorMode;

// A message that finds no room waits for it.
#define ON_FULL_WAIT 0

// A message that finds no room is not sent to anybody.
#define ON_FULL_FAIL 1

// A message is dropped for those who have no room, and counted.
#define ON_FULL_DROP 2

// No limit of time.
#define TIMEOUT_INFINITE (~0u)

// Handle of a message.
typedef void *Message;

// The number of a descriptor.
typedef uint64_t Object;

// Handle of a block of memory that processes share.
typedef void *MemoryRegion;

// What a function came to: 0, or below it one of the codes that follow.
typedef int32_t ErrorCode;

// Handle of the set of texts that describes an endpoint.
typedef void *Label;

// How to join a bus.
typedef struct Options {
    // The name of the bus: 1 to 255 bytes in UTF-8. A bus has up to 4,096 endpoints.
    const char *identifier;
    // What describes the endpoint, up to 64 elements of 4,096 bytes in all; it stays the caller's.
    const Label *label;
    // The secret of the bus, up to 1,024 bytes in UTF-8; null or the empty text: it has none.
    const char *token;
    // Whether the endpoint may play controller.
    bool controller_affinity;
} Options;

// Handle of the half of an endpoint that sends.
typedef void *Sender;

// Handle of the half of an endpoint that receives.
typedef void *Receiver;

// Handle of an expression over labels: who a message is for.
typedef void *LabelOp;

// Handle of a text that the caller drops.
typedef void *RString;

// Where a message goes.
typedef struct Selector {
    // Who is meant; it stays the caller's.
    const LabelOp *label_op;
    // One of them, or all.
    SelectorMode mode;
    // Milliseconds that the message waits while nobody matches: up to 4,294,967,294, which are 49 days; `TIMEOUT_INFINITE`: for ever.
    // Up to 4,096 messages of a sender wait, and up to 4 MiB of them, what stands in regions not counted.
    uint32_t ttl;
} Selector;

// Handle of a pool of regions.
typedef void *MemoryRegistry;

// Counters of an endpoint. Later versions may have more of them, behind these.
typedef struct EndpointStats {
    // Copies put into receivers' rings; a multicast to three counts three.
    uint64_t sent;
    // Messages received, and replies.
    uint64_t received;
    // Messages this receiver does not take, passed over.
    uint64_t skipped;
    // Messages given up, for any reason.
    uint64_t dropped;
    // Messages whose ttl ended before they were delivered.
    uint64_t expired;
    // Messages that another receiver got after the first one died with them unread.
    uint64_t redelivered;
    // Messages that wait now.
    uint64_t waiting;
    // Payload bytes of `sent`.
    uint64_t bytes_sent;
    // Payload bytes of `received`.
    uint64_t bytes_received;
    // Second copies of messages that had waited, dropped.
    uint64_t duplicates;
    // Times that somebody was refused or cut off, for any reason.
    uint64_t refused;
    // Times that there was too little of something: descriptors, or room.
    uint64_t shortages;
    // New controllers this endpoint has noticed.
    uint64_t takeovers;
} EndpointStats;

// No object: what functions return where there is none.
#define OBJECT_MISSING UINT64_MAX

// It worked.
#define ERROR_CODE_SUCCESS 0

// A null handle or pointer, a handle of another kind, or anything else that has no code of its own.
#define ERROR_CODE_UNKNOWN (-1)

// The time is over.
#define ERROR_CODE_TIMEOUT (-2)

// A message came, and its bytes are not what its type says. The message is gone.
#define ERROR_CODE_DECODE (-3)

// The bus speaks another version of the protocol.
#define ERROR_CODE_VERSION_MISMATCH (-4)

// The token is not the bus's, or was given where the bus has none.
#define ERROR_CODE_TOKEN_MISMATCH (-5)

// The bus belongs to another user.
#define ERROR_CODE_PERMISSION_DENIED (-6)

// An argument cannot be used.
#define ERROR_CODE_INVALID_ARGUMENT (-7)

// Nobody matches, where somebody is needed.
#define ERROR_CODE_NO_ROUTE (-8)

// There is no room, and waiting was not asked for or cannot help; or the bus has none for another endpoint.
#define ERROR_CODE_FULL (-9)

// The payload is over the maximum.
#define ERROR_CODE_TOO_LARGE (-10)

// Who was asked died or left before it had replied.
#define ERROR_CODE_PEER_LOST (-11)

// Who was asked failed.
#define ERROR_CODE_REMOTE (-12)

// This side closed it.
#define ERROR_CODE_CLOSED (-13)

// It belongs to the parent process: join again after fork.
#define ERROR_CODE_FORKED (-14)

// This process has too many open files. A message that waits for that is not lost.
#define ERROR_CODE_TOO_MANY_OPEN_FILES (-15)

// There is not so much memory.
#define ERROR_CODE_OUT_OF_MEMORY (-16)

// Somebody else holds the region, or has it mapped.
#define ERROR_CODE_BUSY (-17)

// The operating system refused something.
#define ERROR_CODE_SYSTEM (-18)

#endif // __cplusplus

// Attaches a descriptor, which is the message's from now on: it is closed when the message has been received, or is dropped. It
// gets close-on-exec. It is given away whatever comes of the call: where `message` is null, or has as many as it can, it is closed. Up to
// 1,012 can be attached; a receiver needs as many free descriptors at once. What is not open, or is attached already, makes sending fail.
//
// One thread at a time.
//
// `message` points to a handle; the descriptor is the caller's to give away.
void ipmb_message_object_append(Message *message,
                                Object obj);

// Takes a descriptor out of a message. It is the caller's from now on, close-on-exec, and those behind it move down.
// `OBJECT_MISSING`: there is none.
//
// One thread at a time.
//
// `message` points to a handle.
Object ipmb_message_object_retrieve(Message *message, uintptr_t index);

// The number of a descriptor that stays the message's. `OBJECT_MISSING`: there is none.
//
// Any threads at once.
//
// `message` points to a handle.
Object ipmb_message_object_get(const Message *message, uintptr_t index);

// How many descriptors a message has.
//
// Any threads at once.
//
// `message` points to a handle.
uintptr_t ipmb_message_object_count(const Message *message);

// Closes a descriptor that is the caller's. `OBJECT_MISSING` is fine, and so is a number that is not open.
//
// Any thread.
//
// The descriptor is the caller's.
void ipmb_object_drop(Object obj);

// Attaches a region, whose handle is the message's from now on. Up to 253 can be attached. A null handle makes sending fail.
//
// One thread at a time.
//
// `message` points to a handle; `region` is one that nobody else uses.
void ipmb_message_memory_region_append(Message *message,
                                       MemoryRegion region);

// Takes a region out of a message. Its handle is the caller's from now on, and those behind it move down. Null: there is none.
//
// One thread at a time.
//
// `message` points to a handle.
MemoryRegion ipmb_message_memory_region_retrieve(Message *message,
                                                 uintptr_t index);

// The handle of a region that stays the message's, valid until the message is sent or dropped or the region taken out. Null: there
// is none. Dropping it does nothing; appending it to a message attaches the region to that one too.
//
// One thread at a time.
//
// `message` points to a handle.
MemoryRegion ipmb_message_memory_region_get(Message *message,
                                            uintptr_t index);

// How many regions a message has.
//
// Any threads at once.
//
// `message` points to a handle.
uintptr_t ipmb_message_memory_region_count(const Message *message);

// Joins a bus, and waits for it for `timeout` milliseconds. Both handles are null when that fails. A join takes a few round trips:
// with timeout 0 it rarely succeeds, so give more.
//
// The receiver takes messages of bytes: `BytesMessage`, and `bytes`, `str` and `memoryview` of Python. See `ipmb_receiver_take`.
//
// Any thread. Both halves are used by any threads at once.
//
// The texts end with a NUL; `options.label` points to a handle; the others are null or have room.
ErrorCode ipmb_join(struct Options options,
                    uint32_t timeout,
                    Sender *p_sender,
                    Receiver *p_receiver);

// Sends a message, which is consumed whatever comes of it, and waits for room without limit.
//
// That it worked does not say that somebody matched: see `ipmb_send_within`.
//
// `ERROR_CODE_TOO_LARGE`: its payload is over 4,294,967,295 bytes, or nobody matches and with its selector it is over
// the 4 MiB that may wait. `ERROR_CODE_FULL`: 4,096 messages of this sender wait, or 4 MiB of them; or it is to
// oneself, and there is no room.
//
// Any threads at once.
//
// `sender` points to a handle; `message` is one that nobody else uses.
ErrorCode ipmb_send(Sender *sender, Message message);

// Sends a message, which is consumed whatever comes of it, and waits for room for `timeout` milliseconds where `on_full` is
// `ON_FULL_WAIT`. `*delivered` becomes the number of endpoints that have it, also after a timeout; 0 of a message that worked: nobody
// matched, or it waits for somebody who does.
//
// Any threads at once.
//
// `sender` points to a handle; `message` is one that nobody else uses; `delivered` is null or has room.
ErrorCode ipmb_send_within(Sender *sender,
                           Message message,
                           uint32_t timeout,
                           uint32_t on_full,
                           uintptr_t *delivered);

// Closes the half that sends. What was sent stays sent; calls of other threads that wait in it end with `ERROR_CODE_CLOSED`. The
// handle is still to be dropped.
//
// Any threads at once.
//
// `sender` points to a handle.
void ipmb_sender_close(Sender *sender);

// Closes and drops a sender. Null is fine.
//
// Nobody uses the handle any more: calls that wait have returned.
void ipmb_sender_drop(Sender sender);

// The id of the endpoint, which no other of the bus has; 0 for a null handle.
//
// Any threads at once.
//
// `sender` points to a handle.
uint64_t ipmb_sender_id(Sender *sender);

// Takes the next message, and waits for it for `timeout` milliseconds. `*message` is to be dropped; it is null when that fails.
//
// `ERROR_CODE_DECODE`: one came whose bytes are not what its type says, and is gone; `ERROR_CODE_OUT_OF_MEMORY`: one for a copy of which
// there is no memory, and is gone. No message is lost by another error.
//
// Any threads at once; each message goes to one of them.
//
// `receiver` points to a handle; `p_message` is null or has room.
ErrorCode ipmb_recv(Receiver *receiver,
                    Message *p_message,
                    uint32_t timeout);

// Says which types of payloads a receiver takes from now on: `count` UUIDs of 16 bytes each, one after another. None, with null: all.
// Messages of others are passed over and counted. A list, dict or array of Python with 64 KiB or more of buffers in it is
// `ERROR_CODE_DECODE` here: these travel beside its bytes.
//
// Any threads at once.
//
// `receiver` points to a handle; `type_ids` is null or points to so many bytes.
ErrorCode ipmb_receiver_take(Receiver *receiver,
                             const uint8_t *type_ids,
                             uintptr_t count);

// A descriptor for `poll` and event loops: readable whenever `ipmb_recv` with timeout 0 would give a message. It may be readable
// without; that call clears it. It stays the receiver's. -1: the receiver is closed.
//
// Any threads at once.
//
// `receiver` points to a handle.
int32_t ipmb_receiver_fileno(Receiver *receiver);

// Closes the half that receives: unread messages go to others who match, calls of other threads that wait in it end with
// `ERROR_CODE_CLOSED`. The handle is still to be dropped.
//
// Any threads at once.
//
// `receiver` points to a handle.
void ipmb_receiver_close(Receiver *receiver);

// Closes and drops a receiver. Null is fine.
//
// Nobody uses the handle any more: calls that wait have returned.
void ipmb_receiver_drop(Receiver receiver);

// A label without elements. To be dropped.
//
// Any thread. A label is used by one thread at a time.
Label ipmb_label(void);

// Another label with the same elements, to be dropped on its own. Null: the handle is.
//
// Any threads at once.
//
// `label` points to a handle.
Label ipmb_label_clone(const Label *label);

// Drops a label. Null is fine.
//
// Nobody uses the handle any more.
void ipmb_label_drop(Label label);

// Inserts an element of 1 to 255 bytes in UTF-8. What is in it already changes nothing. A label has up to 64
// elements, of 4,096 bytes in all.
//
// An element that cannot be inserted is remembered: joining with the label fails then, with the reason.
//
// One thread at a time.
//
// `label` points to a handle that nobody else uses meanwhile; `s` ends with a NUL.
void ipmb_label_insert(Label *label, const char *s);

// The expression that everybody matches, or nobody. To be dropped, as all that the functions below return.
//
// Any thread.
LabelOp ipmb_label_op_bool(bool v);

// The expression that those match whose label has an element. Null: it is not 1 to 255 bytes of UTF-8.
//
// Any thread.
//
// `s` is null, or ends with a NUL.
LabelOp ipmb_label_op_leaf(const char *s);

// The expression of a text such as `a & (b | !c)`. Null: it is none, or too large.
//
// An expression is up to 64 levels deep, has up to 256 operators and elements, and takes up to 4,096 bytes as it travels: its own
// and two more for each element, up to two for each operator.
//
// Any thread.
//
// `text` is null, or ends with a NUL.
LabelOp ipmb_label_op_parse(const char *text);

// Who does not match `op`, which is consumed. Null: it is, or it gets deeper than 64 levels.
//
// Any thread.
//
// `op` is a handle that nobody else uses.
LabelOp ipmb_label_op_not(LabelOp op);

// Who matches both, which are consumed. Null: one of them is, or it gets too large: see `ipmb_label_op_parse`.
//
// Any thread.
//
// Both are handles that nobody else uses.
LabelOp ipmb_label_op_and(LabelOp left, LabelOp right);

// Who matches at least one of both, which are consumed. Null: one of them is, or it gets too large: see
// `ipmb_label_op_parse`.
//
// Any thread.
//
// Both are handles that nobody else uses.
LabelOp ipmb_label_op_or(LabelOp left, LabelOp right);

// Another handle of the same expression.
//
// Any threads at once.
//
// `op` points to a handle.
LabelOp ipmb_label_op_clone(const LabelOp *op);

// The text of an expression, as `ipmb_label_op_parse` takes it. To be dropped.
//
// Any threads at once.
//
// `op` points to a handle.
RString ipmb_label_op_text(const LabelOp *op);

// Whether an endpoint with this label is meant. False where one of them is null.
//
// Any threads at once.
//
// Both point to handles.
bool ipmb_label_op_matches(const LabelOp *op, const Label *label);

// Drops an expression. Null is fine.
//
// Nobody uses the handle any more.
void ipmb_label_op_drop(LabelOp op);

// The code of the last error in this thread, for functions that return none: `ERROR_CODE_SUCCESS` when no call has failed here. Calls
// that work leave it as it is.
//
// Any thread; each has one of its own.
ErrorCode ipmb_last_error_code(void);

// Copies the text of the last error in this thread, with a NUL behind it, as far as `size` bytes allow. Calls that work leave
// it as it is. Where a handle is null that a call was to make, the text quotes the error before it, which may have nothing
// to do with it.
//
// Returns the length of the whole text without the NUL; 0: no call has failed here. `buffer` may be null where `size` is 0.
//
// Any thread; each has a text of its own.
//
// `buffer` is null, or has room for `size` bytes.
uintptr_t ipmb_last_error(char *buffer,
                          uintptr_t size);

// Leaves an error in this thread, as a function that failed does: for a wrapper in another language that has found it before
// any function of these. A code that is none becomes `ERROR_CODE_UNKNOWN`.
//
// Any thread; each has an error of its own.
//
// `text` is null, or ends with a NUL.
void ipmb_last_error_set(ErrorCode code,
                         const char *text);

// The name of a code, such as "timeout"; "no error code" for a number that is none. It is valid for ever.
//
// Any thread.
const char *ipmb_error_name(ErrorCode code);

// A message of bytes, which are copied, and a number that says what they are. To be sent or dropped. Null: the selector has no
// expression, or `ptr` is null although `size` is not 0. Up to 4,294,967,293 bytes can be sent.
//
// Any thread. A message is used by one thread at a time; functions that take a pointer to a const message, by any at once.
//
// `selector.label_op` points to a handle; `ptr` to so many bytes.
Message ipmb_message(struct Selector selector,
                     uint16_t format,
                     const uint8_t *ptr,
                     uint32_t size);

// The same for `ipmb_reply`, which needs no selector.
//
// Any thread.
//
// `ptr` points to so many bytes.
Message ipmb_message_for_reply(uint16_t format, const uint8_t *ptr, uint32_t size);

// A message of another type: the 16 bytes of its UUID, and up to 4,294,967,295 bytes as they travel (docs/payloads.md). With a null
// `selector.label_op` it is for `ipmb_reply` only. Null: a pointer is.
//
// Any thread.
//
// `selector.label_op` is null or points to a handle; `type_id` points to 16 bytes, `ptr` to so many.
Message ipmb_message_typed(struct Selector selector,
                           const uint8_t *type_id,
                           const uint8_t *ptr,
                           uintptr_t size);

// Drops a message with all that is still attached to it. Null is fine.
//
// Nobody uses the handle any more.
void ipmb_message_drop(Message message);

// The bytes of a message and their format, valid until it is sent or dropped. `bytes`, `str` and `memoryview` of Python have the
// format 0. `*ptr` is null for any other type, also for a null handle; it is not for a message without bytes. More than 4 GiB - 1 of
// them are given by `ipmb_message_data` only.
//
// Any threads at once.
//
// `message` points to a handle; the others are null or have room.
void ipmb_message_bytes_data(const Message *message,
                             uint16_t *format,
                             const uint8_t **ptr,
                             uint32_t *size);

// The bytes of a payload as they travelled, whatever its type, valid until the message is sent or dropped. Those of a `BytesMessage`
// begin with its format, two bytes in little endian.
//
// Any threads at once.
//
// `message` points to a handle; the others are null or have room.
void ipmb_message_data(const Message *message,
                       const uint8_t **ptr,
                       uintptr_t *size);

// The UUID of a payload's type, 16 bytes; all 0 for a null handle.
//
// Any threads at once.
//
// `message` points to a handle; `type_id` is null or has room for 16 bytes.
void ipmb_message_type(const Message *message, uint8_t *type_id);

// The id of the endpoint that sent a message, which no other of the bus has; 0 for a message that was not received.
//
// Any threads at once.
//
// `message` points to a handle.
uint64_t ipmb_message_sender_id(const Message *message);

// The process that sent a message; 0 for a message that was not received.
//
// Any threads at once.
//
// `message` points to a handle.
uint32_t ipmb_message_sender_pid(const Message *message);

// How many elements the label of the sender has; 0 for a message that was not received.
//
// Any threads at once.
//
// `message` points to a handle.
uintptr_t ipmb_message_sender_label_count(const Message *message);

// An element of the label of the sender; they are sorted. To be dropped. Null: there is none.
//
// Any threads at once.
//
// `message` points to a handle.
RString ipmb_message_sender_label(const Message *message, uintptr_t index);

// Whether another receiver got a message first, and died with it unread.
//
// Any threads at once.
//
// `message` points to a handle.
bool ipmb_message_redelivered(const Message *message);

// Whether the sender of a message waits for a reply.
//
// Any threads at once.
//
// `message` points to a handle.
bool ipmb_message_is_request(const Message *message);

// Makes a region of `size` bytes, zeroed; all of its memory is there from the start. `*region` is null when that fails.
//
// Any thread. A region is used by any threads at once; its memory by any processes at once.
//
// `region` is null or has room.
ErrorCode ipmb_memory_region(uintptr_t size,
                             MemoryRegion *region);

// Gives up a hold. What it was mapped to is not mapped any more. Null is fine, and so is a region that is still a message's,
// which keeps it.
//
// Nobody uses the handle any more.
void ipmb_memory_region_drop(MemoryRegion region);

// Where a part of a region is mapped, valid until the handle is dropped or the region frozen; the whole of it starts at a
// multiple of a page. Of memory that is read-only (frozen, or sent so) it is a copy of one's own, made page by page where it is written
// to: nobody else sees that.
//
// `size` is the number of bytes, -1 all of them from `offset` on; `*real_size` becomes what it is. Null: they are beyond the end,
// or there is no room for it among the addresses of this process; `*real_size` is 0 then.
//
// Any threads at once.
//
// `region` points to a handle; `real_size` is null or has room.
uint8_t *ipmb_memory_region_map(MemoryRegion *region,
                                uintptr_t offset,
                                intptr_t size,
                                intptr_t *real_size);

// Bytes in a region; 0 for a null handle.
//
// Any threads at once.
//
// `region` points to a handle.
uintptr_t ipmb_memory_region_size(const MemoryRegion *region);

// How many endpoints hold a region, on the whole machine: a message under way counts as its receiver, this process and all
// handles in it as one. 0: a null handle, or one of the parent process.
//
// Any threads at once.
//
// `region` points to a handle.
uint32_t ipmb_memory_region_ref_count(const MemoryRegion *region);

// Another handle of the same memory, with a hold of its own. `*clone` is null when that fails.
//
// Any threads at once.
//
// `region` points to a handle; `clone` is null or has room.
ErrorCode ipmb_memory_region_clone(const MemoryRegion *region, MemoryRegion *clone);

// Makes a region read-only for everybody, for ever. It is for the sole holder: no other handle of it may have been mapped, and it
// must not have been sent. What this handle was mapped to is not mapped any more, whatever comes of it: map it again.
//
// One thread at a time: others must not use what it was mapped to.
//
// `region` points to a handle.
ErrorCode ipmb_memory_region_freeze(MemoryRegion *region);

// Whether a region is read-only for everybody.
//
// Any threads at once.
//
// `region` points to a handle.
bool ipmb_memory_region_is_frozen(const MemoryRegion *region);

// A pool without regions. To be dropped.
//
// Any thread. A registry is used by any threads at once.
MemoryRegistry ipmb_memory_registry(void);

// Drops a pool; its regions stay. Callbacks that are due are called here; those of regions that are still held never are. Null is
// fine.
//
// Nobody uses the handle any more, callbacks included.
void ipmb_memory_registry_drop(MemoryRegistry registry);

// Calls the callbacks of regions that everybody has let go of, in all processes, and gives memory back to the system that nobody has
// held for ten seconds.
//
// Any threads at once.
//
// `registry` points to a handle.
void ipmb_memory_registry_maintain(MemoryRegistry *registry);

// A region of at least `min_size` bytes that nobody else holds; one that was used before under the same tag (null is a tag of its
// own), if there is one. What stood in it then may still stand there. Callbacks that are due are called before.
//
// Any threads at once.
//
// `registry` points to a handle; `tag` is null or ends with a NUL; `region` is null or has room.
ErrorCode ipmb_memory_registry_alloc(MemoryRegistry *registry,
                                     uintptr_t min_size,
                                     const char *tag,
                                     MemoryRegion *region);

// The same, with a function that is called once, with `context`, when nobody in any process holds the region any more: by `alloc` or
// `maintain` of this registry, in their thread, and never before. It is not called when this function fails. It must not
// throw, nor drop the registry. A null function is none.
//
// Any threads at once.
//
// As for `ipmb_memory_registry_alloc`; and `free` may be called with `context` in any thread that uses the registry.
ErrorCode ipmb_memory_registry_alloc_with_free(MemoryRegistry *registry,
                                               uintptr_t min_size,
                                               const char *tag,
                                               void *context,
                                               void (*free)(void*),
                                               MemoryRegion *region);

// Sends a message as a request to one of those who match, and waits for the reply for `timeout` milliseconds. The request is consumed
// whatever comes of it; `*p_reply` is to be dropped, and null when that fails.
//
// `ERROR_CODE_NO_ROUTE`: nobody matches, and nobody did before the ttl was over. `ERROR_CODE_PEER_LOST`: whoever was asked is gone.
// `ERROR_CODE_REMOTE`: it failed. `ERROR_CODE_TIMEOUT`: it has not replied in time. A request is never given to a second one.
//
// Any threads at once.
//
// `sender` points to a handle; `request` is one that nobody else uses; `p_reply` is null or has room.
ErrorCode ipmb_request(Sender *sender,
                       Message request,
                       uint32_t timeout,
                       Message *p_reply);

// Sends a message back to the one who sent `to`, and waits for room for `timeout` milliseconds. The reply is consumed whatever comes of
// it; its own selector plays no part, see `ipmb_message_for_reply`.
//
// The reply to a request goes to the call that waits for it; any other message is replied to by a message to its sender, whatever its
// label. `ERROR_CODE_NO_ROUTE`: the one to reply to has left the bus.
//
// Any threads at once.
//
// `sender` and `to` point to handles; `reply` is one that nobody else uses.
ErrorCode ipmb_reply(Sender *sender,
                     const Message *to,
                     Message reply,
                     uint32_t timeout);

// Replies to a request that it failed: whoever waits for the reply gets `ERROR_CODE_REMOTE`, in Python a `RemoteError`, with this
// kind of error (mostly the name of a class, "ValueError") and this text. Waits for room for `timeout` milliseconds.
//
// `ERROR_CODE_NO_ROUTE`: whoever asked has left the bus. `ERROR_CODE_INVALID_ARGUMENT`: `to` asks for nothing.
//
// Any threads at once.
//
// `sender` and `to` point to handles; `kind` and `text` are strings that end with a zero.
ErrorCode ipmb_reply_failure(Sender *sender,
                             const Message *to,
                             const char *kind,
                             const char *text,
                             uint32_t timeout);

// Copies the counters of an endpoint, the first `size` bytes of them: give `sizeof(EndpointStats)`. What a library that is older than the
// header does not count is 0.
//
// Any threads at once.
//
// `sender` points to a handle; `stats` has room for `size` bytes.
ErrorCode ipmb_stats(Sender *sender,
                     struct EndpointStats *stats,
                     uintptr_t size);

// One counter by its name, among those that tell reasons apart: `dropped.no_route`, `refused.join_token`, `shortages.open_files`, as
// Python's `stats()` names them.
//
// Any threads at once.
//
// `sender` points to a handle; `name` ends with a NUL; `count` is null or has room.
ErrorCode ipmb_stats_of(Sender *sender,
                        const char *name,
                        uint64_t *count);

// Gives the bytes of a text, which are UTF-8 and valid until it is dropped. Behind the last of them is a NUL, which `size` does not
// count. A null handle gives null and 0.
//
// Any threads at once.
//
// `rstring` points to a handle; `ptr` and `size` are null or have room.
void ipmb_rstring_data(const RString *rstring,
                       const char **ptr,
                       uintptr_t *size);

// Drops a text. Null is fine.
//
// Nobody uses the handle any more.
void ipmb_rstring_drop(RString rstring);

// The version of this library.
//
// Any thread.
//
// Each pointer is null or has room.
void ipmb_version(uint8_t *major, uint8_t *minor, uint8_t *patch);

// What stands behind the version, such as "beta.1"; the empty text for a release. To be dropped.
//
// Any thread.
RString ipmb_version_pre(void);

#ifdef __cplusplus
} // extern "C"
} // namespace ipmb_ffi
#endif // __cplusplus

#endif // IPMB_FFI_H
