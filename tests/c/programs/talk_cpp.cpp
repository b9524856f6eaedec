// The C++ interface: two endpoints of one process, everything that ipmb.h wraps, and objects that are empty.
#include "ipmb.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <poll.h>
#include <unistd.h>

#define CHECK(condition)                                                                                          \
    do {                                                                                                          \
        if (!(condition)) {                                                                                       \
            std::fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, ipmb::last_error().c_str()); \
            std::exit(1);                                                                                         \
        }                                                                                                         \
    } while (0)

using ipmb::Error;
using ipmb::Message;
using ipmb::SelectorMode;

static ipmb::Selector to(const char* element, SelectorMode mode = SelectorMode::kUnicast, uint32_t ttl = 0) {
    return ipmb::Selector(ipmb::LabelOp(element), mode, ttl);
}

static std::string text_of(const Message& message) {
    uint16_t format;
    const uint8_t* data;
    uint32_t size;
    Error error;
    std::tie(format, data, size, error) = message.bytes_data();
    CHECK(error == Error::kSuccess);
    return std::string(reinterpret_cast<const char*>(data), size);
}

static Message receive(ipmb::Receiver& receiver) {
    Message message;
    Error error;
    std::tie(message, error) = receiver.recv(10000);
    CHECK(error == Error::kSuccess && message);
    return message;
}

static void expressions() {
    ipmb::LabelOp op("a");
    op.op_and(ipmb::LabelOp(std::string("b")).op_not()).op_or(false);
    CHECK(op.to_string() == "a & !b | false");
    CHECK(op.matches(ipmb::Label{"a", "c"}) && !op.matches(ipmb::Label{"a"}.append("b")));
    ipmb::LabelOp copy = op;
    copy.op_and(copy);
    CHECK(copy.to_string() == "(a & !b | false) & (a & !b | false)");
    copy = op;
    ipmb::LabelOp moved = std::move(copy);
    CHECK(moved && ipmb::LabelOp::parse("a & !b | false").to_string() == moved.to_string());
    CHECK(!ipmb::LabelOp("") && !ipmb::LabelOp::parse("&") && ipmb::LabelOp("").op_not().to_string().empty());
    CHECK(!Message(to(""), 0, "x", 1));
    // What C would cut short is refused, and no other name.
    const std::string cut("a\0b", 3);
    const std::string why = " has a NUL at byte 1: give text without one";
    CHECK(!ipmb::LabelOp::parse(cut) && ipmb::last_error() == "text" + why);
    ipmb::LabelOp unmade(cut);
    CHECK(!unmade && ipmb::last_error() == "label element" + why);
    ipmb::Sender nobody;
    CHECK(nobody.send(Message(ipmb::Selector(unmade, SelectorMode::kUnicast), 0, "x", 1)) == Error::kUnknown);
    CHECK(ipmb::last_error().find("failed in this thread said: label element" + why) != std::string::npos);
    ipmb::Label label{cut, "a"};
    ipmb::Label copied;
    copied = ipmb::Label(label);
    CHECK(std::get<2>(ipmb::join(ipmb::Options("test.cut", copied), 0)) == Error::kInvalidArgument);
    CHECK(ipmb::last_error() == "label element" + why);
    CHECK(std::get<2>(ipmb::join(ipmb::Options(cut, ipmb::Label{"a"}), 0)) == Error::kInvalidArgument);
    CHECK(ipmb::last_error() == "identifier" + why);
    const ipmb::Options secret("test.cut", ipmb::Label{"a"}, cut);
    CHECK(std::get<2>(ipmb::join(secret, 0)) == Error::kInvalidArgument && ipmb::last_error() == "token" + why);
    CHECK(secret.ffi().identifier == nullptr);
    CHECK(std::get<1>(nobody.stats_of(cut)) == Error::kInvalidArgument && ipmb::last_error() == "name" + why);
}

// What was moved from, or never was, does nothing and says so.
static void empty() {
    Message message;
    CHECK(std::get<3>(message.bytes_data()) == Error::kUnknown && message.object_get(0) == ipmb::kMissing);
    message.object_append(ipmb::kMissing);
    message.memory_region_append(ipmb::MemoryRegion());
    CHECK(!message.memory_region_retrieve(0) && message.sender_label().empty());
    ipmb::MemoryRegion region;
    CHECK(std::get<2>(region.map(0, -1)) == Error::kUnknown && !region.clone() && region.freeze() == Error::kUnknown);
    ipmb::Sender sender;
    CHECK(sender.send(Message()) == Error::kUnknown && sender.id() == 0);
    CHECK(std::get<1>(sender.request(Message(), 0)) == Error::kUnknown);
    ipmb::Receiver receiver;
    CHECK(std::get<1>(receiver.recv(0)) == Error::kUnknown && receiver.fileno() == -1);
    CHECK(receiver.take(std::vector<uint8_t>(15)) == Error::kInvalidArgument);
    CHECK(ipmb::last_error() == "type_ids has 15 bytes: give 16 for each UUID");
    CHECK(ipmb_ffi::ipmb_last_error_code() == ipmb_ffi::ERROR_CODE_INVALID_ARGUMENT);
    ipmb::MemoryRegistry registry;
    ipmb::MemoryRegistry other = std::move(registry);
    CHECK(std::get<1>(registry.alloc_with_free(1, nullptr, [] {})) == Error::kUnknown);
    registry.maintain();
}

static void regions(ipmb::Sender& earth, ipmb::Receiver& moon) {
    ipmb::MemoryRegion region;
    Error error;
    std::tie(region, error) = ipmb::MemoryRegion::create(1000);
    CHECK(error == Error::kSuccess && region.size() == 1000 && region.ref_count() == 1);
    uint8_t* start;
    intptr_t size;
    std::tie(start, size, error) = region.map(10, -1);
    CHECK(start != nullptr && size == 990 && error == Error::kSuccess);
    std::memcpy(start, "hello", 5);
    CHECK(std::get<2>(region.map(1001, -1)) == Error::kInvalidArgument);
    Message message(to("moon"), 1, "look", 4);
    message.memory_region_append(region.clone());
    CHECK(earth.send(std::move(message)) == Error::kSuccess);
    message = receive(moon);
    ipmb::MemoryRegion came = message.memory_region_retrieve(0);
    CHECK(std::memcmp(std::get<0>(came.map(10, 5)), "hello", 5) == 0 && message.memory_region_count() == 0);

    int freed = 0;
    std::string tag = "frames";
    {
        ipmb::MemoryRegistry registry;
        std::shared_ptr<int> kept = std::make_shared<int>(7);
        std::tie(region, error) = registry.alloc_with_free(100, &tag, [&freed, kept] { freed++; });
        CHECK(error == Error::kSuccess && kept.use_count() == 2);
        ipmb::MemoryRegion held;
        std::tie(held, error) = registry.alloc_with_free(100, nullptr, [&freed, kept] { freed += 100; });
        CHECK(std::get<1>(registry.alloc_with_free(SIZE_MAX / 4, &tag, [kept] {})) == Error::kOutOfMemory);
        registry.maintain();
        CHECK(freed == 0 && kept.use_count() == 3);
        region = ipmb::MemoryRegion();
        registry.maintain();
        CHECK(freed == 1 && kept.use_count() == 2);
        std::tie(region, error) = registry.alloc(100, &tag);
        CHECK(error == Error::kSuccess && region.size() >= 100);
        std::weak_ptr<int> watched = kept;
        kept.reset();
        {
            ipmb::MemoryRegistry moved = std::move(registry);
        }
        CHECK(watched.expired());  // nothing is left of what is never called
    }
    CHECK(freed == 1);

    // One that is replaced calls what is due.
    ipmb::MemoryRegistry replaced;
    const std::string cut("a\0b", 3);
    CHECK(std::get<1>(replaced.alloc(100, &cut)) == Error::kInvalidArgument);
    CHECK(std::get<1>(replaced.alloc_with_free(100, &cut, [] {})) == Error::kInvalidArgument);
    CHECK(ipmb::last_error() == "tag has a NUL at byte 1: give text without one");
    std::tie(region, error) = replaced.alloc_with_free(100, nullptr, [&freed] { freed += 10; });
    region = ipmb::MemoryRegion();
    replaced = ipmb::MemoryRegistry();
    CHECK(freed == 11);
}

int main(int argc, char** argv) {
    CHECK(argc == 2);
    expressions();
    empty();
    ipmb::Version version = ipmb::version();
    CHECK(version.major + version.minor + version.patch > 0);

    ipmb::Sender earth, moon;
    ipmb::Receiver earth_in, moon_in;
    Error error;
    ipmb::Label label = ipmb::Label{"earth"}.append("blue");
    ipmb::Options options(argv[1], label, "", true);
    label.append("changed later");
    options = ipmb::Options(options);
    std::tie(earth, earth_in, error) = ipmb::join(options, 10000);
    CHECK(error == Error::kSuccess);
    std::tie(moon, moon_in, error) = ipmb::join(ipmb::Options(argv[1], ipmb::Label{"moon"}), 10000);
    CHECK(error == Error::kSuccess && std::string(ipmb::error_name(error)) == "success");
    CHECK(std::get<2>(ipmb::join(ipmb::Options(argv[1], ipmb::Label(), "secret"), 5000)) == Error::kTokenMismatch);
    CHECK(!ipmb::last_error().empty());

    ipmb::Selector both(true, SelectorMode::kMulticast);
    size_t delivered;
    std::tie(delivered, error) = earth.send_within(Message(both, 3, "all", 3), 1000, ipmb::OnFull::kFail);
    CHECK(delivered == 2 && error == Error::kSuccess);
    CHECK(text_of(receive(earth_in)) == "all");
    Message message = receive(moon_in);
    CHECK(std::get<0>(message.bytes_data()) == 3 && message.sender_id() == earth.id());
    CHECK((message.sender_label() == std::vector<std::string>{"blue", "earth"}));
    CHECK(message.sender_pid() == static_cast<uint32_t>(getpid()) && !message.redelivered() && !message.is_request());
    CHECK(message.type()[15] == 11 && message.data().second == 5);

    int ends[2];
    CHECK(pipe(ends) == 0);
    message = Message(to("moon"), 0, nullptr, 0);
    message.object_append(static_cast<ipmb::Object>(ends[1]));
    CHECK(message.object_count() == 1 && earth.send(std::move(message)) == Error::kSuccess);
    message = receive(moon_in);
    CHECK(text_of(message).empty());
    ipmb::Object object = message.object_retrieve(0);
    CHECK(write(static_cast<int>(object), "x", 1) == 1 && message.object_retrieve(0) == ipmb::kMissing);
    ipmb_ffi::ipmb_object_drop(object);
    char byte = 0;
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
    close(ends[0]);

    regions(earth, moon_in);

    // A payload of another type is taken when it is asked for.
    std::vector<uint8_t> type = {0x69, 0x70, 0x6d, 0x62, 0, 0, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, 3};
    CHECK(moon_in.take(type) == Error::kSuccess);
    CHECK(earth.send(Message::typed(to("moon"), type.data(), "\x2a", 1)) == Error::kSuccess);
    message = receive(moon_in);
    CHECK(message.type() == type && message.data().second == 1 && *message.data().first == 0x2a);
    CHECK(std::get<3>(message.bytes_data()) == Error::kDecode);
    CHECK(moon_in.take(std::vector<uint8_t>()) == Error::kSuccess);

    std::thread server([&] {
        for (;;) {
            Message request;
            Error ended;
            std::tie(request, ended) = moon_in.recv();
            if (ended == Error::kClosed) {
                return;
            }
            CHECK(ended == Error::kSuccess && request.is_request());
            if (text_of(request) == "fail") {
                CHECK(moon.fail(request, "RangeError", std::string("too\0far", 7)) == Error::kInvalidArgument);
                CHECK(moon.fail(request, "RangeError", "too far") == Error::kSuccess);
                continue;
            }
            std::string reply = "re " + text_of(request);
            CHECK(moon.reply(request, Message::for_reply(1, reply.data(), static_cast<uint32_t>(reply.size()))) ==
                  Error::kSuccess);
        }
    });
    for (int turn = 0; turn < 100; turn++) {
        std::tie(message, error) = earth.request(Message(to("moon"), 0, "ping", 4), 10000);
        CHECK(error == Error::kSuccess && text_of(message) == "re ping");
    }
    CHECK(std::get<1>(earth.request(Message(to("moon"), 0, "fail", 4), 10000)) == Error::kRemote);
    CHECK(ipmb::last_error().find("RangeError: too far, in the handler of \"moon\"") == 0);
    CHECK(std::get<1>(earth.request(Message(to("nobody"), 0, "?", 1), 1000)) == Error::kNoRoute);
    moon_in.close();
    server.join();

    struct pollfd look = {earth_in.fileno(), POLLIN, 0};
    CHECK(moon.send(Message(to("earth"), 0, "wake", 4)) == Error::kSuccess && poll(&look, 1, 10000) == 1);
    CHECK(text_of(std::get<0>(earth_in.recv(0))) == "wake" && std::get<1>(earth_in.recv(0)) == Error::kTimeout);
    ipmb::EndpointStats stats;
    std::tie(stats, error) = earth.stats();
    CHECK(error == Error::kSuccess && stats.sent > 100 && std::get<0>(earth.stats_of("dropped.full")) == 0);
    std::puts("ok");
    return 0;
}
