// One end of a measurement, in C++: rate BUS LABEL; see __main__.py.
#include <chrono>
#include <iostream>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "ipmb.h"

using ipmb::Error;

static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static bool send_all(ipmb::Sender& sender, const std::string& label, unsigned long count, uint32_t size) {
    const std::vector<uint8_t> data(size);
    const ipmb::Selector selector(label, ipmb::SelectorMode::kUnicast);
    for (unsigned long turn = 0; turn < count; turn++) {
        if (sender.send(ipmb::Message(selector, 0, data.data(), size)) != Error::kSuccess) {
            return false;
        }
    }
    return true;
}

static double receive_all(ipmb::Receiver& receiver, unsigned long count) {
    double start = 0;
    for (unsigned long turn = 0; turn < count; turn++) {
        ipmb::Message message;
        Error error;
        std::tie(message, error) = receiver.recv(60000);
        if (error != Error::kSuccess || std::get<3>(message.bytes_data()) != Error::kSuccess) {
            return -1;
        }
        start = turn == 0 ? now() : start;
    }
    return now() - start;
}

int main(int argc, char** argv) {
    if (argc != 3) {
        return 2;
    }
    ipmb::Sender sender;
    ipmb::Receiver receiver;
    Error error;
    std::tie(sender, receiver, error) = ipmb::join(ipmb::Options(argv[1], ipmb::Label{argv[2]}), 20000);
    if (error != Error::kSuccess) {
        std::cerr << ipmb::last_error() << std::endl;
        return 1;
    }
    std::cout << "ready" << std::endl;
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::string command, label;
        unsigned long count = 0;
        uint32_t size = 0;
        words >> command;
        if (command == "send") {
            words >> label >> count >> size;
            std::cout << (send_all(sender, label, count, size) ? 0 : -1) << std::endl;
        } else {
            words >> count;
            std::cout << receive_all(receiver, count) << std::endl;
        }
    }
    return 0;
}
