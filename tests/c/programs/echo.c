// echo BUS LABEL: sends back to its sender whatever comes, with format, bytes, objects and regions; replies to requests the same
// way. Commands on stdin, one a line: "send LABEL TTL TEXT", "ask LABEL TEXT", "stop" and "go" reading. Ends at the end of its stdin.
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <poll.h>
#include <unistd.h>

static Sender sender;
static Receiver receiver;

static void send_back(void) {
    Message message = NULL;
    ErrorCode code = ipmb_recv(&receiver, &message, 0);
    if (code == ERROR_CODE_TIMEOUT) {
        return;
    }
    CHECK(code == 0);
    uint16_t format = 0;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    ipmb_message_bytes_data(&message, &format, &data, &size);
    CHECK(data);
    if (ipmb_message_redelivered(&message)) {
        puts("redelivered");
        fflush(stdout);
    }
    if (format == 13) {
        // A format that this program fails at.
        CHECK(ipmb_reply_failure(&sender, &message, "ValueError", "13 is \xc3\xbcnheard of", 10000) == 0);
        ipmb_message_drop(message);
        return;
    }
    Message back = ipmb_message_for_reply(format, data, size);
    CHECK(back);
    while (ipmb_message_object_count(&message) > 0) {
        ipmb_message_object_append(&back, ipmb_message_object_retrieve(&message, 0));
    }
    for (uintptr_t place = 0; place < ipmb_message_memory_region_count(&message); place++) {
        MemoryRegion region = ipmb_message_memory_region_get(&message, place);
        uint8_t *start = ipmb_memory_region_map(&region, 0, -1, NULL);
        CHECK(start);
        start[0]++;
        ipmb_message_memory_region_append(&back, region);
    }
    code = ipmb_reply(&sender, &message, back, 10000);
    CHECK(code == 0 || code == ERROR_CODE_NO_ROUTE);
    ipmb_message_drop(message);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    join(argv[1], argv[2], &sender, &receiver);
    puts("ready");
    fflush(stdout);
    struct pollfd look[2] = {{STDIN_FILENO, POLLIN, 0}, {ipmb_receiver_fileno(&receiver), POLLIN, 0}};
    bool reading = true;
    char line[300];
    char rest[256];
    char label[64];
    unsigned ttl;
    for (;;) {
        CHECK(poll(look, reading ? 2 : 1, 100000) > 0);
        if (look[0].revents != 0) {
            if (!fgets(line, sizeof line, stdin)) {
                break;
            }
            if (sscanf(line, "send %63s %u %255[^\n]", label, &ttl, rest) == 3) {
                CHECK(ipmb_send(&sender, message_to(label, kUnicast, ttl, 7, rest, (uint32_t)strlen(rest))) == 0);
                puts("sent");
            } else if (sscanf(line, "ask %63s %255[^\n]", label, rest) == 2) {
                Message reply = NULL;
                ErrorCode code = ipmb_request(&sender, text_to(label, rest), 10000, &reply);
                char text[200];
                ipmb_last_error(text, sizeof text);
                uint16_t format = 0;
                const uint8_t *data = NULL;
                uint32_t size = 0;
                ipmb_message_bytes_data(&reply, &format, &data, &size);
                printf("%s %u %.*s\n", ipmb_error_name(code), format, data ? (int)size : (int)strlen(text),
                       data ? (const char *)data : text);
                ipmb_message_drop(reply);
            } else {
                reading = strcmp(line, "stop\n") != 0;
                puts(reading ? "going" : "stopped");
            }
            fflush(stdout);
        } else {
            send_back();
        }
    }
    ipmb_sender_drop(sender);
    ipmb_receiver_drop(receiver);
    return 0;
}
