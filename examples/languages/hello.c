// The endpoint in C: see hello.py. Start it as: hello BUS ME OTHERS...
#include <stdio.h>
#include <string.h>

#include "ipmb_ffi.h"

int main(int argc, char **argv) {
    if (argc < 3) {
        return 2;
    }
    const char *me = argv[2];
    Label label = ipmb_label();
    ipmb_label_insert(&label, me);
    Options options = {argv[1], &label, NULL, true};
    Sender sender;
    Receiver receiver;
    ErrorCode error = ipmb_join(options, 20000, &sender, &receiver);
    ipmb_label_drop(label);

    char text[100];
    snprintf(text, sizeof text, "hello from %s", me);
    for (int other = 3; other < argc && error == ERROR_CODE_SUCCESS; other++) {
        LabelOp op = ipmb_label_op_leaf(argv[other]);
        Selector selector = {&op, kUnicast, 20000};
        error = ipmb_send(&sender, ipmb_message(selector, 0, (const uint8_t *)text, (uint32_t)strlen(text)));
        ipmb_label_op_drop(op);
    }
    for (int other = 3; other < argc && error == ERROR_CODE_SUCCESS; other++) {
        Message message;
        error = ipmb_recv(&receiver, &message, 20000);
        if (error == ERROR_CODE_SUCCESS) {
            uint16_t format;
            const uint8_t *data;
            uint32_t size;
            ipmb_message_bytes_data(&message, &format, &data, &size);
            RString from = ipmb_message_sender_label(&message, 0);
            const char *name;
            uintptr_t length;
            ipmb_rstring_data(&from, &name, &length);
            printf("%s got '%.*s' from %s, process %u\n", me, (int)size, (const char *)data, name,
                   (unsigned)ipmb_message_sender_pid(&message));
            ipmb_rstring_drop(from);
            ipmb_message_drop(message);
        }
    }
    if (error != ERROR_CODE_SUCCESS) {
        ipmb_last_error(text, sizeof text);
        fprintf(stderr, "%s: %s\n", me, text);
    }
    ipmb_sender_drop(sender);
    ipmb_receiver_drop(receiver);
    return error == ERROR_CODE_SUCCESS ? 0 : 1;
}
