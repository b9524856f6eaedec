// The peer of C: see peers.py.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipmb_ffi.h"

enum { LARGE = 3000000, REGION = 4096 };

// The type of a dict, and {"name": "north", "place": [1.5, 2]} in MessagePack.
static const uint8_t DICT[16] = {0x69, 0x70, 0x6d, 0x62, 0, 0, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, 8};
static const uint8_t TYPED[] = "\x82\xa4name\xa5north\xa5place\x92\xcb\x3f\xf8\0\0\0\0\0\0\x02";

static Sender sender;
static Receiver receiver;
static uint8_t bytes[256];
static uint8_t *large;
static int read_end = -1;
static MemoryRegion region;

static const char *failed(ErrorCode code) {
    static char text[300];
    int length = snprintf(text, sizeof text, "%s: ", ipmb_error_name(code));
    ipmb_last_error(text + length, sizeof text - (size_t)length);
    return text;
}

static const char *send_to(const char *what, const char *label, uint32_t ttl, uintptr_t wanted) {
    LabelOp op = ipmb_label_op_leaf(label);
    Selector selector = {&op, kUnicast, ttl};
    Message message;
    if (strcmp(what, "typed") == 0) {
        message = ipmb_message_typed(selector, DICT, TYPED, sizeof TYPED - 1);
    } else if (strcmp(what, "large") == 0) {
        message = ipmb_message(selector, 1, large, LARGE);
    } else {
        message = ipmb_message(selector, 513, bytes, sizeof bytes);
    }
    ipmb_label_op_drop(op);
    if (strcmp(what, "object") == 0) {
        int ends[2];
        if (pipe(ends) != 0) {
            return "no pipe";
        }
        read_end = ends[0];
        ipmb_message_object_append(&message, (Object)ends[1]);
    }
    if (strcmp(what, "region") == 0) {
        MemoryRegion shared = NULL;
        ipmb_memory_region_drop(region);
        if (ipmb_memory_region(REGION, &region) != 0 || ipmb_memory_region_clone(&region, &shared) != 0) {
            return "no region";
        }
        ipmb_memory_region_map(&region, 0, 1, NULL)[0] = 7;
        ipmb_message_memory_region_append(&message, shared);
    }
    uintptr_t delivered = 0;
    ErrorCode code = ipmb_send_within(&sender, message, 20000, ON_FULL_WAIT, &delivered);
    if (code != ERROR_CODE_SUCCESS) {
        return failed(code);
    }
    return delivered == wanted ? "sent" : "sent to another number";
}

static bool is_payload(const Message *message, const char *what) {
    uint8_t type[16];
    const uint8_t *data = NULL;
    if (strcmp(what, "typed") == 0) {
        uintptr_t size = 0;
        ipmb_message_type(message, type);
        ipmb_message_data(message, &data, &size);
        return memcmp(type, DICT, 16) == 0 && size == sizeof TYPED - 1 && memcmp(data, TYPED, size) == 0;
    }
    uint16_t format = 0;
    uint32_t size = 0;
    ipmb_message_bytes_data(message, &format, &data, &size);
    if (strcmp(what, "large") == 0) {
        return format == 1 && size == LARGE && memcmp(data, large, LARGE) == 0;
    }
    uint16_t wanted = strcmp(what, "reply") == 0 ? 514 : 513;
    return format == wanted && size == sizeof bytes && memcmp(data, bytes, sizeof bytes) == 0;
}

static const char *look_at(Message *message, const char *what) {
    if (!is_payload(message, what)) {
        return "wrong payload";
    }
    uintptr_t objects = strcmp(what, "object") == 0;
    uintptr_t regions = strcmp(what, "region") == 0;
    if (ipmb_message_object_count(message) != objects || ipmb_message_memory_region_count(message) != regions) {
        return "wrong attachments";
    }
    if (objects == 1 && write((int)ipmb_message_object_get(message, 0), "x", 1) != 1) {
        return "wrong object";
    }
    if (regions == 1) {
        MemoryRegion shared = ipmb_message_memory_region_get(message, 0);
        intptr_t size = 0;
        uint8_t *start = ipmb_memory_region_map(&shared, 0, -1, &size);
        if (!start || size != REGION || start[0] != 7) {
            return "wrong region";
        }
        start[1] = 8;
    }
    return ipmb_message_redelivered(message) ? "ok redelivered" : "ok";
}

static const char *receive(const char *what) {
    Message message;
    ErrorCode code = ipmb_recv(&receiver, &message, 20000);
    if (code != ERROR_CODE_SUCCESS) {
        return failed(code);
    }
    const char *said = look_at(&message, what);
    ipmb_message_drop(message);
    return said;
}

static const char *check(const char *what) {
    if (strcmp(what, "region") == 0) {
        return ipmb_memory_region_map(&region, 0, -1, NULL)[1] == 8 ? "ok" : "wrong region";
    }
    char got[10];
    bool good = read(read_end, got, sizeof got) == 1 && got[0] == 'x' && read(read_end, got, sizeof got) == 0;
    close(read_end);
    return good ? "ok" : "wrong pipe";
}

static const char *ask(const char *label) {
    LabelOp op = ipmb_label_op_leaf(label);
    Selector selector = {&op, kUnicast, 0};
    Message reply;
    ErrorCode code = ipmb_request(&sender, ipmb_message(selector, 513, bytes, sizeof bytes), 20000, &reply);
    ipmb_label_op_drop(op);
    if (code != ERROR_CODE_SUCCESS) {
        return failed(code);
    }
    bool good = is_payload(&reply, "reply");
    ipmb_message_drop(reply);
    return good ? "ok" : "wrong reply";
}

static const char *answer(void) {
    Message request;
    ErrorCode code = ipmb_recv(&receiver, &request, 20000);
    if (code != ERROR_CODE_SUCCESS) {
        return failed(code);
    }
    const char *said = "wrong request";
    if (ipmb_message_is_request(&request) && is_payload(&request, "bytes")) {
        code = ipmb_reply(&sender, &request, ipmb_message_for_reply(514, bytes, sizeof bytes), 20000);
        said = code == ERROR_CODE_SUCCESS ? "ok" : failed(code);
    }
    ipmb_message_drop(request);
    return said;
}

static const char *obey(const char *line) {
    char command[20] = "";
    char first[100] = "";
    char second[100] = "";
    sscanf(line, "%19s %99s %99s", command, first, second);
    if (strcmp(command, "send") == 0) {
        return send_to(first, second, 0, 1);
    }
    if (strcmp(command, "leave") == 0) {
        return send_to("bytes", first, TIMEOUT_INFINITE, 0);
    }
    if (strcmp(command, "recv") == 0) {
        return receive(first);
    }
    if (strcmp(command, "check") == 0) {
        return check(first);
    }
    return strcmp(command, "ask") == 0 ? ask(first) : answer();
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    for (int place = 0; place < 256; place++) {
        bytes[place] = (uint8_t)place;
    }
    large = malloc(LARGE);
    for (int place = 0; large && place < LARGE; place++) {
        large[place] = (uint8_t)(place % 251);
    }
    Label label = ipmb_label();
    ipmb_label_insert(&label, argv[2]);
    Options options = {argv[1], &label, NULL, true};
    ErrorCode code = ipmb_join(options, 20000, &sender, &receiver);
    ipmb_label_drop(label);
    if (code != ERROR_CODE_SUCCESS || ipmb_receiver_take(&receiver, NULL, 0) != ERROR_CODE_SUCCESS) {
        fprintf(stderr, "%s\n", failed(code));
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    char line[300];
    while (fgets(line, sizeof line, stdin)) {
        puts(obey(line));
    }
    ipmb_memory_region_drop(region);
    ipmb_sender_drop(sender);
    ipmb_receiver_drop(receiver);
    free(large);
    return 0;
}
