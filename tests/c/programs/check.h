// What the C test programs share: a check that names the place and the last error, and short ways to common things.
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipmb_ffi.h"

#define CHECK(condition)                                                                        \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            char text_[512];                                                                    \
            ipmb_last_error(text_, sizeof text_);                                               \
            fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, text_); \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

static inline Label label_of(const char *element) {
    Label label = ipmb_label();
    ipmb_label_insert(&label, element);
    return label;
}

static inline void join(const char *bus, const char *element, Sender *sender, Receiver *receiver) {
    Label label = label_of(element);
    Options options = {bus, &label, "", true};
    CHECK(ipmb_join(options, 10000, sender, receiver) == ERROR_CODE_SUCCESS);
    ipmb_label_drop(label);
}

// A message to those who have an element, with a ttl in milliseconds.
static inline Message message_to(const char *element, SelectorMode mode, uint32_t ttl, uint16_t format, const void *data,
                                 uint32_t size) {
    LabelOp op = ipmb_label_op_leaf(element);
    Selector selector = {&op, mode, ttl};
    Message message = ipmb_message(selector, format, data, size);
    ipmb_label_op_drop(op);
    CHECK(message);
    return message;
}

static inline Message text_to(const char *element, const char *text) {
    return message_to(element, kUnicast, 0, 7, text, (uint32_t)strlen(text));
}

static inline Message receive(Receiver *receiver) {
    Message message = NULL;
    CHECK(ipmb_recv(receiver, &message, 10000) == ERROR_CODE_SUCCESS);
    CHECK(message);
    return message;
}

static inline bool says(const Message *message, const char *text) {
    uint16_t format = 0;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    ipmb_message_bytes_data(message, &format, &data, &size);
    return data && size == strlen(text) && memcmp(data, text, size) == 0;
}

#endif
