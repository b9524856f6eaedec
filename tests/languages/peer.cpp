// The peer of C++: see peers.py.
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include <unistd.h>

#include "ipmb.h"

namespace {

using ipmb::Error;
using ipmb::Message;

// The type of a dict, and {"name": "north", "place": [1.5, 2]} in MessagePack.
const std::vector<uint8_t> kDict = {0x69, 0x70, 0x6d, 0x62, 0, 0, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, 8};
const std::string kTyped("\x82\xa4name\xa5north\xa5place\x92\xcb\x3f\xf8\0\0\0\0\0\0\x02", 29);

std::string counted(size_t size, size_t modulus) {
    std::string bytes(size, '\0');
    for (size_t place = 0; place < size; place++) {
        bytes[place] = static_cast<char>(place % modulus);
    }
    return bytes;
}

const std::string kBytes = counted(256, 256);
const std::string kLarge = counted(3000000, 251);

std::string failed(Error error) {
    return std::string(ipmb::error_name(error)) + ": " + ipmb::last_error();
}

class Peer {
public:
    Peer(ipmb::Sender sender, ipmb::Receiver receiver) : sender_(std::move(sender)), receiver_(std::move(receiver)) {}

    std::string obey(const std::string& line) {
        std::istringstream words(line);
        std::string command, first, second;
        words >> command >> first >> second;
        if (command == "send") {
            return send(first, second, 0, 1);
        }
        if (command == "leave") {
            return send("bytes", first, ipmb::kInfinite, 0);
        }
        if (command == "recv") {
            return recv(first);
        }
        if (command == "check") {
            return check(first);
        }
        return command == "ask" ? ask(first) : answer();
    }

private:
    static Message bytes_to(const ipmb::Selector& selector, uint16_t format, const std::string& bytes) {
        return Message(selector, format, bytes.data(), static_cast<uint32_t>(bytes.size()));
    }

    static bool says(const Message& message, uint16_t wanted, const std::string& bytes) {
        uint16_t format;
        const uint8_t* data;
        uint32_t size;
        Error error;
        std::tie(format, data, size, error) = message.bytes_data();
        return error == Error::kSuccess && format == wanted && size == bytes.size() &&
               std::memcmp(data, bytes.data(), size) == 0;
    }

    std::string send(const std::string& what, const std::string& label, uint32_t ttl, size_t wanted) {
        ipmb::Selector selector(label, ipmb::SelectorMode::kUnicast, ttl);
        Message message = what == "typed"   ? Message::typed(selector, kDict.data(), kTyped.data(), kTyped.size())
                          : what == "large" ? bytes_to(selector, 1, kLarge)
                                            : bytes_to(selector, 513, kBytes);
        if (what == "object") {
            int ends[2];
            if (pipe(ends) != 0) {
                return "no pipe";
            }
            read_end_ = ends[0];
            message.object_append(static_cast<ipmb::Object>(ends[1]));
        }
        Error error = Error::kSuccess;
        if (what == "region") {
            std::tie(region_, error) = ipmb::MemoryRegion::create(4096);
            if (error != Error::kSuccess) {
                return failed(error);
            }
            std::get<0>(region_.map(0, 1))[0] = 7;
            message.memory_region_append(region_.clone());
        }
        size_t delivered;
        std::tie(delivered, error) = sender_.send_within(std::move(message), 20000);
        if (error != Error::kSuccess) {
            return failed(error);
        }
        return delivered == wanted ? "sent" : "sent to " + std::to_string(delivered);
    }

    std::string recv(const std::string& what) {
        Message message;
        Error error;
        std::tie(message, error) = receiver_.recv(20000);
        if (error != Error::kSuccess) {
            return failed(error);
        }
        if (what == "typed") {
            auto data = message.data();
            if (message.type() != kDict || data.second != kTyped.size() ||
                std::memcmp(data.first, kTyped.data(), kTyped.size()) != 0) {
                return "wrong payload";
            }
        } else if (!says(message, what == "large" ? 1 : 513, what == "large" ? kLarge : kBytes)) {
            return "wrong payload";
        }
        size_t objects = what == "object" ? 1 : 0;
        size_t regions = what == "region" ? 1 : 0;
        if (message.object_count() != objects || message.memory_region_count() != regions) {
            return "wrong attachments";
        }
        if (objects == 1 && write(static_cast<int>(message.object_get(0)), "x", 1) != 1) {
            return "wrong object";
        }
        if (regions == 1) {
            ipmb::MemoryRegion region = message.memory_region_retrieve(0);
            uint8_t* start;
            intptr_t size;
            std::tie(start, size, error) = region.map(0, -1);
            if (error != Error::kSuccess || size != 4096 || start[0] != 7) {
                return "wrong region";
            }
            start[1] = 8;
        }
        return message.redelivered() ? "ok redelivered" : "ok";
    }

    std::string check(const std::string& what) {
        if (what == "region") {
            return std::get<0>(region_.map(0, -1))[1] == 8 ? "ok" : "wrong region";
        }
        char got[10];
        bool good = read(read_end_, got, sizeof got) == 1 && got[0] == 'x' && read(read_end_, got, sizeof got) == 0;
        close(read_end_);
        return good ? "ok" : "wrong pipe";
    }

    std::string ask(const std::string& label) {
        ipmb::Selector selector(label, ipmb::SelectorMode::kUnicast);
        Message reply;
        Error error;
        std::tie(reply, error) = sender_.request(bytes_to(selector, 513, kBytes), 20000);
        if (error != Error::kSuccess) {
            return failed(error);
        }
        return says(reply, 514, kBytes) ? "ok" : "wrong reply";
    }

    std::string answer() {
        Message request;
        Error error;
        std::tie(request, error) = receiver_.recv(20000);
        if (error != Error::kSuccess) {
            return failed(error);
        }
        if (!request.is_request() || !says(request, 513, kBytes)) {
            return "wrong request";
        }
        error = sender_.reply(request, Message::for_reply(514, kBytes.data(), static_cast<uint32_t>(kBytes.size())));
        return error == Error::kSuccess ? "ok" : failed(error);
    }

    ipmb::Sender sender_;
    ipmb::Receiver receiver_;
    ipmb::MemoryRegion region_;
    int read_end_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        return 2;
    }
    ipmb::Sender sender;
    ipmb::Receiver receiver;
    Error error;
    std::tie(sender, receiver, error) = ipmb::join(ipmb::Options(argv[1], ipmb::Label{argv[2]}), 20000);
    if (error == Error::kSuccess) {
        error = receiver.take({});
    }
    if (error != Error::kSuccess) {
        std::cerr << failed(error) << std::endl;
        return 1;
    }
    Peer peer(std::move(sender), std::move(receiver));
    std::cout << "ready" << std::endl;
    std::string line;
    while (std::getline(std::cin, line)) {
        std::cout << peer.obey(line) << std::endl;
    }
    return 0;
}
