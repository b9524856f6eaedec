// Every name that the C++ interface promises, used as programs were told that it can be; and the C functions as C++ sees them.
#include "ipmb.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include <unistd.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition,                        \
                         ipmb::last_error().c_str());                                                                  \
            std::exit(1);                                                                                              \
        }                                                                                                              \
    } while (0)

template <typename A, typename B>
constexpr bool same() {
    return std::is_same<A, B>::value;
}

// Handles are void*, in a namespace of their own; the enumerators have a scope.
static_assert(same<ipmb_ffi::Label, void*>() && same<ipmb_ffi::LabelOp, void*>(), "handles");
static_assert(same<ipmb_ffi::Sender, void*>() && same<ipmb_ffi::Receiver, void*>(), "handles");
static_assert(same<ipmb_ffi::Message, void*>() && same<ipmb_ffi::MemoryRegion, void*>(), "handles");
static_assert(same<ipmb_ffi::MemoryRegistry, void*>() && same<ipmb_ffi::RString, void*>(), "handles");
static_assert(same<ipmb_ffi::Object, uint64_t>() && same<ipmb_ffi::ErrorCode, int32_t>(), "numbers");
static_assert(ipmb_ffi::TIMEOUT_INFINITE == ~0u && ipmb_ffi::OBJECT_MISSING == UINT64_MAX, "numbers");
static_assert(std::is_enum<ipmb_ffi::SelectorMode>::value, "a scoped enumeration");
static_assert(!std::is_convertible<ipmb_ffi::SelectorMode, int>::value, "a scoped enumeration");
static_assert(same<decltype(ipmb_ffi::Options::label), const ipmb_ffi::Label*>(), "members");
static_assert(same<decltype(ipmb_ffi::Options::identifier), const char*>(), "members");
static_assert(same<decltype(ipmb_ffi::Options::token), const char*>(), "members");
static_assert(same<decltype(ipmb_ffi::Options::controller_affinity), bool>(), "members");
static_assert(same<decltype(ipmb_ffi::Selector::label_op), const ipmb_ffi::LabelOp*>(), "members");
static_assert(same<decltype(ipmb_ffi::Selector::mode), ipmb_ffi::SelectorMode>(), "members");
static_assert(same<decltype(ipmb_ffi::Selector::ttl), uint32_t>(), "members");

// The wrapper's codes are the library's.
static_assert(static_cast<int>(ipmb::Error::kSuccess) == 0 && static_cast<int>(ipmb::Error::kUnknown) == -1, "codes");
static_assert(static_cast<int>(ipmb::Error::kTimeout) == -2 && static_cast<int>(ipmb::Error::kDecode) == -3, "codes");
static_assert(static_cast<int>(ipmb::Error::kVersionMismatch) == -4, "codes");
static_assert(static_cast<int>(ipmb::Error::kTokenMismatch) == -5, "codes");
static_assert(static_cast<int>(ipmb::Error::kPermissionDenied) == -6, "codes");

static void regions(ipmb::Message& message) {
    std::tuple<ipmb::MemoryRegion, ipmb::Error> created = ipmb::MemoryRegion::create(100);
    CHECK(std::get<1>(created) == ipmb::Error::kSuccess);
    ipmb::MemoryRegion region = std::move(std::get<0>(created));
    uint8_t* start;
    intptr_t real_size;
    ipmb::Error error;
    std::tie(start, real_size, error) = region.map(1, -1);
    CHECK(start != nullptr && real_size == 99 && error == ipmb::Error::kSuccess && region.ref_count() == 1);
    *start = 42;
    message.memory_region_append(region.clone());
    message.memory_region_append(std::move(region));
    CHECK(message.memory_region_retrieve(1) && !message.memory_region_retrieve(1));

    int freed = 0;
    const std::string tag = "tag";
    ipmb::MemoryRegistry registry;
    CHECK(std::get<1>(registry.alloc(10, nullptr)) == ipmb::Error::kSuccess);
    CHECK(std::get<1>(registry.alloc(10, &tag)) == ipmb::Error::kSuccess);
    std::function<void()> free = [&freed] { freed++; };
    CHECK(std::get<1>(registry.alloc_with_free(10, &tag, free)) == ipmb::Error::kSuccess);
    registry.maintain();
    CHECK(freed == 1);
}

int main(int argc, char** argv) {
    CHECK(argc == 2);
    const ipmb::Version version = ipmb::version();
    CHECK(version.major < 99 && version.minor < 99 && version.patch < 99 && version.pre.size() < 99);

    ipmb::Label label{"promised", "b"};
    label.append("c").append(std::string("d"));
    ipmb::Options options(argv[1], std::move(label), "", true);
    std::tuple<ipmb::Sender, ipmb::Receiver, ipmb::Error> joined = ipmb::join(options, 10000);
    CHECK(std::get<2>(joined) == ipmb::Error::kSuccess);
    ipmb::Sender sender = std::move(std::get<0>(joined));
    ipmb::Receiver receiver = std::move(std::get<1>(joined));

    ipmb::LabelOp op("promised");
    op.op_and(ipmb::LabelOp(std::string("dark")).op_not());
    op.op_or(ipmb::LabelOp(false));
    ipmb::Selector selector(std::move(op), ipmb_ffi::SelectorMode::kUnicast, 0);
    ipmb::Message message(selector, 7, reinterpret_cast<const uint8_t*>("hello"), 5);
    int ends[2];
    CHECK(pipe(ends) == 0);
    message.object_append(static_cast<ipmb_ffi::Object>(ends[0]));
    message.object_append(static_cast<ipmb_ffi::Object>(ends[1]));
    ipmb_ffi::ipmb_object_drop(message.object_retrieve(0));
    CHECK(message.object_get(0) == static_cast<ipmb_ffi::Object>(ends[1]));
    regions(message);
    CHECK(sender.send(std::move(message)) == ipmb::Error::kSuccess);
    ipmb::Selector all(ipmb::LabelOp(true), ipmb_ffi::SelectorMode::kMulticast, 0);
    CHECK(sender.send(ipmb::Message(all, 8, nullptr, 0)) == ipmb::Error::kSuccess);

    std::tuple<ipmb::Message, ipmb::Error> received = receiver.recv(ipmb_ffi::TIMEOUT_INFINITE);
    CHECK(std::get<1>(received) == ipmb::Error::kSuccess);
    message = std::move(std::get<0>(received));
    uint16_t format;
    const uint8_t* data;
    uint32_t size;
    ipmb::Error error;
    std::tie(format, data, size, error) = message.bytes_data();
    CHECK(error == ipmb::Error::kSuccess && format == 7 && size == 5 && std::memcmp(data, "hello", 5) == 0);
    ipmb::MemoryRegion came = message.memory_region_retrieve(0);
    CHECK(*std::get<0>(came.map(1, 1)) == 42 && message.object_get(0) != ipmb_ffi::OBJECT_MISSING);
    CHECK(std::get<1>(receiver.recv(10000)) == ipmb::Error::kSuccess);
    CHECK(std::get<1>(receiver.recv(0)) == ipmb::Error::kTimeout);
    std::puts("ok");
    return 0;
}
