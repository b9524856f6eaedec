// One end of a measurement, in C: rate BUS LABEL; see __main__.py.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ipmb_ffi.h"

static Sender sender;
static Receiver receiver;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int send_all(const char *label, unsigned long count, uint32_t size) {
    uint8_t *data = calloc(size, 1);
    LabelOp op = ipmb_label_op_leaf(label);
    Selector selector = {&op, kUnicast, 0};
    ErrorCode code = data ? ERROR_CODE_SUCCESS : ERROR_CODE_OUT_OF_MEMORY;
    for (unsigned long turn = 0; turn < count && code == ERROR_CODE_SUCCESS; turn++) {
        code = ipmb_send(&sender, ipmb_message(selector, 0, data, size));
    }
    ipmb_label_op_drop(op);
    free(data);
    return code;
}

static int receive_all(unsigned long count, double *seconds) {
    double start = 0;
    for (unsigned long turn = 0; turn < count; turn++) {
        Message message;
        ErrorCode code = ipmb_recv(&receiver, &message, 60000);
        if (code != ERROR_CODE_SUCCESS) {
            return code;
        }
        uint16_t format;
        const uint8_t *data;
        uint32_t size;
        ipmb_message_bytes_data(&message, &format, &data, &size);
        ipmb_message_drop(message);
        start = turn == 0 ? now() : start;
    }
    *seconds = now() - start;
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    Label label = ipmb_label();
    ipmb_label_insert(&label, argv[2]);
    Options options = {argv[1], &label, NULL, true};
    ErrorCode code = ipmb_join(options, 20000, &sender, &receiver);
    ipmb_label_drop(label);
    if (code != ERROR_CODE_SUCCESS) {
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    char line[200];
    while (code == ERROR_CODE_SUCCESS && fgets(line, sizeof line, stdin)) {
        char to[100];
        unsigned long count;
        unsigned size;
        double seconds = 0;
        if (sscanf(line, "send %99s %lu %u", to, &count, &size) == 3) {
            code = send_all(to, count, size);
        } else if (sscanf(line, "recv %lu", &count) == 1) {
            code = receive_all(count, &seconds);
        }
        printf("%.9f\n", code == ERROR_CODE_SUCCESS ? seconds : -1.0);
    }
    ipmb_sender_drop(sender);
    ipmb_receiver_drop(receiver);
    return 0;
}
