// The endpoint in C++: see hello.py. Start it as: hello BUS ME OTHERS...
#include <iostream>
#include <string>
#include <tuple>

#include "ipmb.h"

int main(int argc, char** argv) {
    if (argc < 3) {
        return 2;
    }
    const std::string me = argv[2];
    ipmb::Sender sender;
    ipmb::Receiver receiver;
    ipmb::Error error;
    std::tie(sender, receiver, error) = ipmb::join(ipmb::Options(argv[1], ipmb::Label{me}), 20000);

    const std::string text = "hello from " + me;
    for (int other = 3; other < argc && error == ipmb::Error::kSuccess; other++) {
        ipmb::Selector selector(argv[other], ipmb_ffi::SelectorMode::kUnicast, 20000);
        error = sender.send(ipmb::Message(selector, 0, text.data(), static_cast<uint32_t>(text.size())));
    }
    for (int other = 3; other < argc && error == ipmb::Error::kSuccess; other++) {
        ipmb::Message message;
        std::tie(message, error) = receiver.recv(20000);
        if (error == ipmb::Error::kSuccess) {
            uint16_t format;
            const uint8_t* data;
            uint32_t size;
            std::tie(format, data, size, error) = message.bytes_data();
            std::cout << me << " got '" << std::string(reinterpret_cast<const char*>(data), size) << "' from "
                      << message.sender_label().at(0) << ", process " << message.sender_pid() << std::endl;
        }
    }
    if (error != ipmb::Error::kSuccess) {
        std::cerr << me << ": " << ipmb::last_error() << std::endl;
        return 1;
    }
    return 0;
}
