// The C++ interface of ipmb: C++14, header-only over ipmb_ffi.h, without exceptions.
//
// Objects own what they stand for and can be moved, not copied; one that was moved from, or could not be made, is empty, which
// does no harm: calls on it give Error::kUnknown or nothing. Sender, Receiver, MemoryRegion and MemoryRegistry are used by any
// threads at once, all others by one at a time. Every error has a text: last_error().

#ifndef IPMB_H
#define IPMB_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "ipmb_ffi.h"

namespace ipmb {

using ipmb_ffi::EndpointStats;
using ipmb_ffi::Object;
using ipmb_ffi::SelectorMode;

// No limit of time, in milliseconds.
constexpr uint32_t kInfinite = ipmb_ffi::TIMEOUT_INFINITE;
// What stands for an object that is not there.
constexpr Object kMissing = ipmb_ffi::OBJECT_MISSING;

// What a call came to; ipmb_ffi.h says what each means.
enum class Error : int32_t {
    kSuccess = ipmb_ffi::ERROR_CODE_SUCCESS,
    kUnknown = ipmb_ffi::ERROR_CODE_UNKNOWN,
    kTimeout = ipmb_ffi::ERROR_CODE_TIMEOUT,
    kDecode = ipmb_ffi::ERROR_CODE_DECODE,
    kVersionMismatch = ipmb_ffi::ERROR_CODE_VERSION_MISMATCH,
    kTokenMismatch = ipmb_ffi::ERROR_CODE_TOKEN_MISMATCH,
    kPermissionDenied = ipmb_ffi::ERROR_CODE_PERMISSION_DENIED,
    kInvalidArgument = ipmb_ffi::ERROR_CODE_INVALID_ARGUMENT,
    kNoRoute = ipmb_ffi::ERROR_CODE_NO_ROUTE,
    kFull = ipmb_ffi::ERROR_CODE_FULL,
    kTooLarge = ipmb_ffi::ERROR_CODE_TOO_LARGE,
    kPeerLost = ipmb_ffi::ERROR_CODE_PEER_LOST,
    kRemote = ipmb_ffi::ERROR_CODE_REMOTE,
    kClosed = ipmb_ffi::ERROR_CODE_CLOSED,
    kForked = ipmb_ffi::ERROR_CODE_FORKED,
    kTooManyOpenFiles = ipmb_ffi::ERROR_CODE_TOO_MANY_OPEN_FILES,
    kOutOfMemory = ipmb_ffi::ERROR_CODE_OUT_OF_MEMORY,
    kBusy = ipmb_ffi::ERROR_CODE_BUSY,
    kSystem = ipmb_ffi::ERROR_CODE_SYSTEM,
};

// Its name, such as "timeout".
inline const char* error_name(Error error) {
    return ipmb_ffi::ipmb_error_name(static_cast<int32_t>(error));
}

// The text of the last error in this thread: what happened, to whom, and what to do next.
inline std::string last_error() {
    std::string text(ipmb_ffi::ipmb_last_error(nullptr, 0), '\0');
    if (!text.empty()) {
        ipmb_ffi::ipmb_last_error(&text[0], text.size() + 1);
    }
    return text;
}

namespace detail {

using Handle = void*;

// A handle that is dropped with its owner.
template <void (*Drop)(Handle)>
class Owned {
public:
    Owned() = default;
    explicit Owned(Handle handle) : handle_(handle) {}
    Owned(Owned&& other) noexcept : handle_(other.release()) {}
    Owned& operator=(Owned&& other) noexcept {
        if (this != &other) {
            reset(other.release());
        }
        return *this;
    }
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    ~Owned() { reset(nullptr); }

    // A pointer to the handle, as functions that use it take it.
    Handle* ptr() { return &handle_; }
    const Handle* ptr() const { return &handle_; }

    Handle release() {
        Handle handle = handle_;
        handle_ = nullptr;
        return handle;
    }

    void reset(Handle handle) {
        Handle old = handle_;
        handle_ = handle;
        if (old != nullptr) {
            Drop(old);
        }
    }

    explicit operator bool() const { return handle_ != nullptr; }

private:
    Handle handle_ = nullptr;
};

inline std::string text(ipmb_ffi::RString rstring) {
    const char* data = nullptr;
    uintptr_t size = 0;
    ipmb_ffi::ipmb_rstring_data(&rstring, &data, &size);
    std::string text = data == nullptr ? std::string() : std::string(data, size);
    ipmb_ffi::ipmb_rstring_drop(rstring);
    return text;
}

inline Error error(ipmb_ffi::ErrorCode code) {
    return static_cast<Error>(code);
}

// What a function came to that has no code: `worked`, or the last error.
inline Error error_unless(bool worked) {
    return worked ? Error::kSuccess : error(ipmb_ffi::ipmb_last_error_code());
}

// Leaves an error that is found here as the last one.
inline Error refuse(const std::string& text) {
    ipmb_ffi::ipmb_last_error_set(ipmb_ffi::ERROR_CODE_INVALID_ARGUMENT, text.c_str());
    return Error::kInvalidArgument;
}

// What is wrong with a text that C would cut short: it must not become another name. Empty: nothing.
inline std::string wrong(const char* argument, const std::string& text) {
    const size_t place = text.find('\0');
    if (place == std::string::npos) {
        return std::string();
    }
    return std::string(argument) + " has a NUL at byte " + std::to_string(place) + ": give text without one";
}

// The same as an error. Null where there is one.
inline const char* c_str(const char* argument, const std::string& text) {
    const std::string found = wrong(argument, text);
    if (found.empty()) {
        return text.c_str();
    }
    refuse(found);
    return nullptr;
}

// An expression of a text, unless C would cut that short.
inline Handle expression(Handle (*make)(const char*), const char* argument, const std::string& text) {
    const char* whole = c_str(argument, text);
    return whole == nullptr ? nullptr : make(whole);
}

}  // namespace detail

struct Version {
    uint8_t major;
    uint8_t minor;
    uint8_t patch;
    std::string pre;  // what stands behind it, such as "beta.1"
};

// The version of the library.
inline Version version() {
    Version version = {0, 0, 0, std::string()};
    ipmb_ffi::ipmb_version(&version.major, &version.minor, &version.patch);
    version.pre = detail::text(ipmb_ffi::ipmb_version_pre());
    return version;
}

// The set of texts that describes an endpoint.
class Label {
public:
    Label() : handle_(ipmb_ffi::ipmb_label()) {}
    Label(std::initializer_list<std::string> elements) : Label() {
        for (const std::string& element : elements) {
            append(element);
        }
    }

    Label(Label&&) = default;
    Label& operator=(Label&&) = default;
    Label(const Label& other) : handle_(ipmb_ffi::ipmb_label_clone(other.ptr())), wrong_(other.wrong_) {}
    Label& operator=(const Label& other) {
        if (this != &other) {
            handle_.reset(ipmb_ffi::ipmb_label_clone(other.ptr()));
            wrong_ = other.wrong_;
        }
        return *this;
    }

    // Elements have 1 to 255 bytes, a label up to 64 of them and 4,096 bytes in all. What cannot be inserted makes joining fail.
    Label& append(const std::string& element) {
        const char* whole = detail::c_str("label element", element);
        if (whole == nullptr && wrong_.empty()) {
            wrong_ = detail::wrong("label element", element);
        }
        ipmb_ffi::ipmb_label_insert(handle_.ptr(), whole);
        return *this;
    }

    // What is wrong with it that C cannot know: an element with a NUL in it. Empty: nothing.
    const std::string& wrong() const { return wrong_; }
    const ipmb_ffi::Label* ptr() const { return handle_.ptr(); }

private:
    detail::Owned<ipmb_ffi::ipmb_label_drop> handle_;
    std::string wrong_;
};

// An expression over labels: who a message is for. It is changed in place; one that cannot be made, or gets too large, is empty:
// over 64 levels, over 256 operators and elements, or over 4,096 bytes as it travels.
class LabelOp {
public:
    // A truth value and nothing that only can be read as one: a pointer to other characters would mean everybody.
    template <typename Bool, typename = typename std::enable_if<std::is_same<Bool, bool>::value>::type>
    LabelOp(Bool value) : handle_(ipmb_ffi::ipmb_label_op_bool(value)) {}
    LabelOp(const char* element) : handle_(ipmb_ffi::ipmb_label_op_leaf(element)) {}
    LabelOp(const std::string& element)
        : handle_(detail::expression(ipmb_ffi::ipmb_label_op_leaf, "label element", element)) {}
    LabelOp(LabelOp&&) = default;
    LabelOp& operator=(LabelOp&&) = default;
    LabelOp(const LabelOp& other) : handle_(ipmb_ffi::ipmb_label_op_clone(other.ptr())) {}
    LabelOp& operator=(const LabelOp& other) {
        if (this != &other) {
            handle_.reset(ipmb_ffi::ipmb_label_op_clone(other.ptr()));
        }
        return *this;
    }

    // The expression of a text such as "a & (b | !c)".
    static LabelOp parse(const std::string& text) {
        return LabelOp(Made(), detail::expression(ipmb_ffi::ipmb_label_op_parse, "text", text));
    }

    LabelOp& op_not() {
        handle_.reset(ipmb_ffi::ipmb_label_op_not(handle_.release()));
        return *this;
    }
    LabelOp& op_and(LabelOp other) {
        handle_.reset(ipmb_ffi::ipmb_label_op_and(handle_.release(), other.handle_.release()));
        return *this;
    }
    LabelOp& op_or(LabelOp other) {
        handle_.reset(ipmb_ffi::ipmb_label_op_or(handle_.release(), other.handle_.release()));
        return *this;
    }

    // The text that parse takes; empty for an empty one.
    std::string to_string() const { return detail::text(ipmb_ffi::ipmb_label_op_text(ptr())); }
    bool matches(const Label& label) const { return ipmb_ffi::ipmb_label_op_matches(ptr(), label.ptr()); }
    explicit operator bool() const { return static_cast<bool>(handle_); }

    const ipmb_ffi::LabelOp* ptr() const { return handle_.ptr(); }

private:
    struct Made {};
    LabelOp(Made, ipmb_ffi::LabelOp handle) : handle_(handle) {}

    detail::Owned<ipmb_ffi::ipmb_label_op_drop> handle_;
};

// How to join a bus.
class Options {
public:
    // identifier: 1 to 255 bytes; token: up to 1,024, none where the bus has no secret.
    Options(std::string identifier, Label label, std::string token = std::string(), bool controller_affinity = true)
        : identifier_(std::move(identifier)),
          label_(std::move(label)),
          token_(std::move(token)),
          controller_affinity_(controller_affinity) {}

    // What cannot be given to C: a text with a NUL in it. Empty: nothing.
    std::string wrong() const {
        const std::string identifier = detail::wrong("identifier", identifier_);
        const std::string token = detail::wrong("token", token_);
        return !identifier.empty() ? identifier : !token.empty() ? token : label_.wrong();
    }

    ipmb_ffi::Options ffi() const {
        // What C would cut short must not be tried: without an identifier there is no bus.
        const char* identifier = wrong().empty() ? identifier_.c_str() : nullptr;
        return ipmb_ffi::Options{identifier, label_.ptr(), token_.c_str(), controller_affinity_};
    }

private:
    std::string identifier_;
    Label label_;
    std::string token_;
    bool controller_affinity_;
};

// Where a message goes. Keep one and use it again.
class Selector {
public:
    // ttl: milliseconds that a message waits while nobody matches, up to 4,294,967,294; kInfinite: for ever. Up to 4,096 messages of a
    // sender wait, and up to 4 MiB of them, what stands in regions not counted.
    Selector(LabelOp label_op, SelectorMode mode, uint32_t ttl = 0)
        : label_op_(std::move(label_op)), mode_(mode), ttl_(ttl) {}

    ipmb_ffi::Selector ffi() const { return ipmb_ffi::Selector{label_op_.ptr(), mode_, ttl_}; }

private:
    LabelOp label_op_;
    SelectorMode mode_;
    uint32_t ttl_;
};

// Memory that processes share by sending it. Each object is a hold on it.
class MemoryRegion {
public:
    MemoryRegion() = default;
    // Takes over a handle.
    explicit MemoryRegion(ipmb_ffi::MemoryRegion handle) : handle_(handle) {}

    static std::tuple<MemoryRegion, Error> create(size_t size) {
        MemoryRegion region;
        Error error = detail::error(ipmb_ffi::ipmb_memory_region(size, region.handle_.ptr()));
        return std::make_tuple(std::move(region), error);
    }

    // Where a part is mapped, valid until this object goes or is frozen, and how many bytes it has. size -1: to the end.
    std::tuple<uint8_t*, intptr_t, Error> map(size_t offset, intptr_t size) {
        intptr_t real_size = 0;
        uint8_t* start = ipmb_ffi::ipmb_memory_region_map(handle_.ptr(), offset, size, &real_size);
        return std::make_tuple(start, real_size, detail::error_unless(start != nullptr));
    }

    size_t size() const { return ipmb_ffi::ipmb_memory_region_size(handle_.ptr()); }
    // How many endpoints hold it, on the whole machine.
    uint32_t ref_count() const { return ipmb_ffi::ipmb_memory_region_ref_count(handle_.ptr()); }
    // Another hold on the same memory; empty where this one is.
    MemoryRegion clone() const {
        MemoryRegion region;
        ipmb_ffi::ipmb_memory_region_clone(handle_.ptr(), region.handle_.ptr());
        return region;
    }
    // Makes it read-only for everybody. Map it again afterwards.
    Error freeze() { return detail::error(ipmb_ffi::ipmb_memory_region_freeze(handle_.ptr())); }
    bool is_frozen() const { return ipmb_ffi::ipmb_memory_region_is_frozen(handle_.ptr()); }

    explicit operator bool() const { return static_cast<bool>(handle_); }
    ipmb_ffi::MemoryRegion release() { return handle_.release(); }
    ipmb_ffi::MemoryRegion* ptr() { return handle_.ptr(); }

private:
    detail::Owned<ipmb_ffi::ipmb_memory_region_drop> handle_;
};

// Regions whose memory is used again once nobody holds them.
class MemoryRegistry {
public:
    MemoryRegistry() : callbacks_(new Callbacks()), handle_(ipmb_ffi::ipmb_memory_registry()) {}
    MemoryRegistry(MemoryRegistry&&) = default;
    // What is replaced calls what is due before its functions go.
    MemoryRegistry& operator=(MemoryRegistry&& other) noexcept {
        handle_ = std::move(other.handle_);
        callbacks_ = std::move(other.callbacks_);
        return *this;
    }

    // A region of at least min_size bytes, one that was used before under the same tag if there is one.
    std::tuple<MemoryRegion, Error> alloc(size_t min_size, const std::string* tag = nullptr) {
        MemoryRegion region;
        const char* name = tag == nullptr ? nullptr : detail::c_str("tag", *tag);
        if (tag != nullptr && name == nullptr) {
            return std::make_tuple(std::move(region), Error::kInvalidArgument);
        }
        Error error = detail::error(ipmb_ffi::ipmb_memory_registry_alloc(handle_.ptr(), min_size, name, region.ptr()));
        return std::make_tuple(std::move(region), error);
    }

    // The same, with a function that alloc and maintain call, in their thread, when nobody in any process holds the region any more.
    // It must not throw. It is not called after the registry is gone, but may keep what it holds until then.
    std::tuple<MemoryRegion, Error> alloc_with_free(size_t min_size, const std::string* tag, std::function<void()> free) {
        MemoryRegion region;
        const char* name = tag == nullptr ? nullptr : detail::c_str("tag", *tag);
        if (tag != nullptr && name == nullptr) {
            return std::make_tuple(std::move(region), Error::kInvalidArgument);
        }
        Callback* callback = callbacks_ ? callbacks_->add(std::move(free)) : nullptr;
        Error error = detail::error(ipmb_ffi::ipmb_memory_registry_alloc_with_free(
            handle_.ptr(), min_size, name, callback, callback == nullptr ? nullptr : &MemoryRegistry::call, region.ptr()));
        if (error != Error::kSuccess && callback != nullptr) {
            callbacks_->take(callback);
        }
        return std::make_tuple(std::move(region), error);
    }

    // Calls the functions of regions that nobody holds any more, and gives back memory that has not been in use for long.
    void maintain() { ipmb_ffi::ipmb_memory_registry_maintain(handle_.ptr()); }

private:
    class Callbacks;

    struct Callback {
        Callbacks* home;
        std::function<void()> call;
    };

    // Owns what is to be called, so that nothing is left of what never is.
    class Callbacks {
    public:
        Callbacks() = default;
        Callbacks(const Callbacks&) = delete;
        Callbacks& operator=(const Callbacks&) = delete;
        ~Callbacks() {
            for (Callback* callback : all_) {
                delete callback;
            }
        }

        Callback* add(std::function<void()> call) {
            std::unique_ptr<Callback> callback(new Callback{this, std::move(call)});
            std::lock_guard<std::mutex> lock(mutex_);
            all_.insert(callback.get());
            return callback.release();
        }

        std::unique_ptr<Callback> take(Callback* callback) {
            std::lock_guard<std::mutex> lock(mutex_);
            all_.erase(callback);
            return std::unique_ptr<Callback>(callback);
        }

    private:
        std::mutex mutex_;
        std::set<Callback*> all_;
    };

    static void call(void* context) noexcept {
        Callback* given = static_cast<Callback*>(context);
        std::unique_ptr<Callback> callback = given->home->take(given);
        if (callback->call) {
            callback->call();
        }
    }

    // Dropping the registry calls what is due, which is here still: members go in reverse order.
    std::unique_ptr<Callbacks> callbacks_;
    detail::Owned<ipmb_ffi::ipmb_memory_registry_drop> handle_;
};

// A message, to be sent or received.
class Message {
public:
    Message() = default;
    // Takes over a handle.
    explicit Message(ipmb_ffi::Message handle) : handle_(handle) {}
    // Bytes, which are copied, and a number that says what they are. Up to 4,294,967,293 of them can be sent.
    Message(const Selector& selector, uint16_t format, const void* data, uint32_t size)
        : handle_(ipmb_ffi::ipmb_message(selector.ffi(), format, static_cast<const uint8_t*>(data), size)) {}

    // A message for Sender::reply, which needs no selector.
    static Message for_reply(uint16_t format, const void* data, uint32_t size) {
        return Message(ipmb_ffi::ipmb_message_for_reply(format, static_cast<const uint8_t*>(data), size));
    }
    // A payload of another type: the 16 bytes of its UUID, and up to 4,294,967,295 bytes as they travel.
    static Message typed(const Selector& selector, const uint8_t* type_id, const void* data, size_t size) {
        return Message(
            ipmb_ffi::ipmb_message_typed(selector.ffi(), type_id, static_cast<const uint8_t*>(data), size));
    }

    // Format, bytes and how many, valid until the message goes. kDecode: the payload is no bytes.
    std::tuple<uint16_t, const uint8_t*, uint32_t, Error> bytes_data() const {
        uint16_t format = 0;
        const uint8_t* data = nullptr;
        uint32_t size = 0;
        ipmb_ffi::ipmb_message_bytes_data(handle_.ptr(), &format, &data, &size);
        return std::make_tuple(format, data, size, detail::error_unless(data != nullptr));
    }
    // The payload as it travelled, whatever its type.
    std::pair<const uint8_t*, size_t> data() const {
        const uint8_t* data = nullptr;
        uintptr_t size = 0;
        ipmb_ffi::ipmb_message_data(handle_.ptr(), &data, &size);
        return std::make_pair(data, static_cast<size_t>(size));
    }
    // The 16 bytes of the UUID of the payload's type.
    std::vector<uint8_t> type() const {
        std::vector<uint8_t> type_id(16);
        ipmb_ffi::ipmb_message_type(handle_.ptr(), type_id.data());
        return type_id;
    }

    // Gives a descriptor away to the message, up to 1,012 of them. What cannot be attached is closed, to an empty message too.
    void object_append(Object object) { ipmb_ffi::ipmb_message_object_append(handle_.ptr(), object); }
    // Takes one out; it is the caller's to close. kMissing: there is none.
    Object object_retrieve(size_t index) { return ipmb_ffi::ipmb_message_object_retrieve(handle_.ptr(), index); }
    // One that stays the message's.
    Object object_get(size_t index) const { return ipmb_ffi::ipmb_message_object_get(handle_.ptr(), index); }
    size_t object_count() const { return ipmb_ffi::ipmb_message_object_count(handle_.ptr()); }

    // Gives a region away to the message, up to 253 of them; give a clone to keep it.
    void memory_region_append(MemoryRegion region) {
        ipmb_ffi::ipmb_message_memory_region_append(handle_.ptr(), region.release());
    }
    // Takes one out; empty: there is none.
    MemoryRegion memory_region_retrieve(size_t index) {
        return MemoryRegion(ipmb_ffi::ipmb_message_memory_region_retrieve(handle_.ptr(), index));
    }
    size_t memory_region_count() const { return ipmb_ffi::ipmb_message_memory_region_count(handle_.ptr()); }

    // Who sent it, as the kernel and the directory know it; of a received one.
    uint64_t sender_id() const { return ipmb_ffi::ipmb_message_sender_id(handle_.ptr()); }
    uint32_t sender_pid() const { return ipmb_ffi::ipmb_message_sender_pid(handle_.ptr()); }
    std::vector<std::string> sender_label() const {
        std::vector<std::string> label;
        size_t count = ipmb_ffi::ipmb_message_sender_label_count(handle_.ptr());
        for (size_t index = 0; index < count; index++) {
            label.push_back(detail::text(ipmb_ffi::ipmb_message_sender_label(handle_.ptr(), index)));
        }
        return label;
    }
    bool redelivered() const { return ipmb_ffi::ipmb_message_redelivered(handle_.ptr()); }
    bool is_request() const { return ipmb_ffi::ipmb_message_is_request(handle_.ptr()); }

    explicit operator bool() const { return static_cast<bool>(handle_); }
    ipmb_ffi::Message release() { return handle_.release(); }
    const ipmb_ffi::Message* ptr() const { return handle_.ptr(); }

private:
    detail::Owned<ipmb_ffi::ipmb_message_drop> handle_;
};

// What a message does that finds no room.
enum class OnFull : uint32_t {
    kWait = ipmb_ffi::ON_FULL_WAIT,
    kFail = ipmb_ffi::ON_FULL_FAIL,
    kDrop = ipmb_ffi::ON_FULL_DROP,
};

// The half of an endpoint that sends. A message that is given to it is gone, whatever comes of it.
class Sender {
public:
    Sender() = default;
    explicit Sender(ipmb_ffi::Sender handle) : handle_(handle) {}

    // Waits for room without limit. That it worked does not say that somebody matched.
    Error send(Message message) { return detail::error(ipmb_ffi::ipmb_send(handle_.ptr(), message.release())); }
    // Waits for room for some milliseconds, and tells how many endpoints have it.
    std::tuple<size_t, Error> send_within(Message message, uint32_t timeout, OnFull on_full = OnFull::kWait) {
        uintptr_t delivered = 0;
        Error error = detail::error(ipmb_ffi::ipmb_send_within(
            handle_.ptr(), message.release(), timeout, static_cast<uint32_t>(on_full), &delivered));
        return std::make_tuple(static_cast<size_t>(delivered), error);
    }
    // Asks one of those who match, and waits for the reply.
    std::tuple<Message, Error> request(Message question, uint32_t timeout) {
        ipmb_ffi::Message reply = nullptr;
        Error error = detail::error(ipmb_ffi::ipmb_request(handle_.ptr(), question.release(), timeout, &reply));
        return std::make_tuple(Message(reply), error);
    }
    // Sends a message back to the one who sent `to`.
    Error reply(const Message& to, Message message, uint32_t timeout = kInfinite) {
        return detail::error(ipmb_ffi::ipmb_reply(handle_.ptr(), to.ptr(), message.release(), timeout));
    }

    // Replies to a request that it failed: whoever asked gets Error::kRemote, in Python a RemoteError, with this kind of error
    // (mostly the name of a class) and this text.
    Error fail(const Message& to, const std::string& kind, const std::string& text, uint32_t timeout = kInfinite) {
        const char* whole_kind = detail::c_str("kind", kind);
        const char* whole_text = whole_kind == nullptr ? nullptr : detail::c_str("text", text);
        if (whole_text == nullptr) {
            return Error::kInvalidArgument;
        }
        return detail::error(
            ipmb_ffi::ipmb_reply_failure(handle_.ptr(), to.ptr(), whole_kind, whole_text, timeout));
    }

    // The endpoint's id, which no other of the bus has.
    uint64_t id() { return ipmb_ffi::ipmb_sender_id(handle_.ptr()); }
    std::tuple<EndpointStats, Error> stats() {
        EndpointStats stats = {};
        Error error = detail::error(ipmb_ffi::ipmb_stats(handle_.ptr(), &stats, sizeof stats));
        return std::make_tuple(stats, error);
    }
    // One counter by its name, such as "dropped.no_route".
    std::tuple<uint64_t, Error> stats_of(const std::string& name) {
        uint64_t count = 0;
        const char* whole = detail::c_str("name", name);
        if (whole == nullptr) {
            return std::make_tuple(count, Error::kInvalidArgument);
        }
        Error error = detail::error(ipmb_ffi::ipmb_stats_of(handle_.ptr(), whole, &count));
        return std::make_tuple(count, error);
    }
    // Ends the waits of other threads in it.
    void close() { ipmb_ffi::ipmb_sender_close(handle_.ptr()); }

    explicit operator bool() const { return static_cast<bool>(handle_); }

private:
    detail::Owned<ipmb_ffi::ipmb_sender_drop> handle_;
};

// The half of an endpoint that receives.
class Receiver {
public:
    Receiver() = default;
    explicit Receiver(ipmb_ffi::Receiver handle) : handle_(handle) {}

    // The next message; waits for it for some milliseconds.
    std::tuple<Message, Error> recv(uint32_t timeout = kInfinite) {
        ipmb_ffi::Message message = nullptr;
        Error error = detail::error(ipmb_ffi::ipmb_recv(handle_.ptr(), &message, timeout));
        return std::make_tuple(Message(message), error);
    }
    // Takes these types from now on: UUIDs of 16 bytes, one after another; none: all types.
    Error take(const std::vector<uint8_t>& type_ids) {
        if (type_ids.size() % 16 != 0) {
            return detail::refuse("type_ids has " + std::to_string(type_ids.size()) + " bytes: give 16 for each UUID");
        }
        const uint8_t* data = type_ids.empty() ? nullptr : type_ids.data();
        return detail::error(ipmb_ffi::ipmb_receiver_take(handle_.ptr(), data, type_ids.size() / 16));
    }
    // A descriptor for poll and event loops: readable whenever recv(0) would give a message.
    int32_t fileno() { return ipmb_ffi::ipmb_receiver_fileno(handle_.ptr()); }
    // Ends the waits of other threads in it.
    void close() { ipmb_ffi::ipmb_receiver_close(handle_.ptr()); }

    explicit operator bool() const { return static_cast<bool>(handle_); }

private:
    detail::Owned<ipmb_ffi::ipmb_receiver_drop> handle_;
};

// Joins a bus, and waits for it for some milliseconds. Both halves are empty when that fails. A join takes a few round trips: with
// timeout 0 it rarely succeeds, so give more.
inline std::tuple<Sender, Receiver, Error> join(const Options& options, uint32_t timeout = kInfinite) {
    ipmb_ffi::Sender sender = nullptr;
    ipmb_ffi::Receiver receiver = nullptr;
    const std::string wrong = options.wrong();
    Error error = wrong.empty() ? detail::error(ipmb_ffi::ipmb_join(options.ffi(), timeout, &sender, &receiver))
                                : detail::refuse(wrong);
    return std::make_tuple(Sender(sender), Receiver(receiver), error);
}

}  // namespace ipmb

#endif  // IPMB_H
