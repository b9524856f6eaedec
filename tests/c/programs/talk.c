// Endpoints of one process that talk in every way: lengths, objects, ttl, requests of many threads, event loops, closing.
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static Sender earth, moon;
static Receiver earth_in, moon_in;

static void lengths(void) {
    static const uint32_t all[] = {0, 1, 2, 16000, 17000, 65534, 65535, 100000, 3000000};
    uint8_t *bytes = malloc(3000000);
    for (uint32_t place = 0; place < 3000000; place++) {
        bytes[place] = (uint8_t)(place % 251);
    }
    for (size_t turn = 0; turn < sizeof all / sizeof *all; turn++) {
        Message message = message_to("moon", kUnicast, 0, (uint16_t)(60000 + turn), bytes, all[turn]);
        uint16_t format = 0;
        const uint8_t *data = NULL;
        uint32_t size = 9;
        ipmb_message_bytes_data(&message, &format, &data, &size);
        CHECK(format == 60000 + turn && data && size == all[turn] && memcmp(data, bytes, size) == 0);
        CHECK(ipmb_send(&earth, message) == 0);
        message = receive(&moon_in);
        ipmb_message_bytes_data(&message, &format, &data, &size);
        CHECK(format == 60000 + turn && data && size == all[turn] && memcmp(data, bytes, size) == 0);
        CHECK(ipmb_message_sender_id(&message) == ipmb_sender_id(&earth));
        CHECK(ipmb_message_sender_pid(&message) == (uint32_t)getpid());
        CHECK(ipmb_message_sender_label_count(&message) == 1 && ipmb_message_sender_label(&message, 1) == NULL);
        RString element = ipmb_message_sender_label(&message, 0);
        const char *text = NULL;
        ipmb_rstring_data(&element, &text, NULL);
        CHECK(text && strcmp(text, "earth") == 0);
        ipmb_rstring_drop(element);
        CHECK(!ipmb_message_redelivered(&message) && !ipmb_message_is_request(&message));
        // What was received can be sent on.
        CHECK(ipmb_send(&moon, message) == 0);
        message = receive(&moon_in);
        ipmb_message_bytes_data(&message, &format, &data, &size);
        CHECK(format == 60000 + turn && size == all[turn] && memcmp(data, bytes, size) == 0);
        ipmb_message_drop(message);
    }
    free(bytes);
}

static void objects(void) {
    int ends[10][2];
    Message message = text_to("moon", "pipes");
    for (int place = 0; place < 10; place++) {
        CHECK(pipe(ends[place]) == 0);
        ipmb_message_object_append(&message, (Object)ends[place][1]);
        CHECK(ipmb_message_object_get(&message, (uintptr_t)place) == (Object)ends[place][1]);
    }
    CHECK(ipmb_message_object_count(&message) == 10 && fcntl(ends[3][1], F_GETFD) == FD_CLOEXEC);
    // Taken out it is the caller's again, and those behind it move down.
    CHECK(ipmb_message_object_retrieve(&message, 2) == (Object)ends[2][1]);
    CHECK(ipmb_message_object_get(&message, 2) == (Object)ends[3][1]);
    close(ends[2][1]);
    CHECK(ipmb_send(&earth, message) == 0);

    message = receive(&moon_in);
    CHECK(ipmb_message_object_count(&message) == 9);
    CHECK(ipmb_message_object_get(&message, 9) == OBJECT_MISSING && ipmb_message_object_retrieve(&message, 9) == OBJECT_MISSING);
    Object first = ipmb_message_object_retrieve(&message, 0);
    int second = (int)ipmb_message_object_get(&message, 0);
    CHECK(write((int)first, "1", 1) == 1 && write(second, "2", 1) == 1);
    ipmb_object_drop(first);
    CHECK(fcntl((int)first, F_GETFD) == -1);
    ipmb_message_drop(message);
    CHECK(fcntl(second, F_GETFD) == -1);
    char byte = 0;
    CHECK(read(ends[0][0], &byte, 1) == 1 && byte == '1');
    CHECK(read(ends[1][0], &byte, 1) == 1 && byte == '2');
    CHECK(read(ends[4][0], &byte, 1) == 0);
    for (int place = 0; place < 10; place++) {
        close(ends[place][0]);
    }

    // What is not open, or there twice, makes sending fail, and nothing is sent.
    message = text_to("moon", "broken");
    ipmb_message_object_append(&message, 99999);
    CHECK(ipmb_send(&earth, message) == ERROR_CODE_INVALID_ARGUMENT);
    message = text_to("moon", "twice");
    int null = open("/dev/null", O_RDONLY);
    ipmb_message_object_append(&message, (Object)null);
    ipmb_message_object_append(&message, (Object)null);
    CHECK(ipmb_message_object_count(&message) == 1);
    CHECK(ipmb_send(&earth, message) == ERROR_CODE_INVALID_ARGUMENT && fcntl(null, F_GETFD) == -1);
    // Given away is given away, to nobody too.
    message = NULL;
    null = open("/dev/null", O_RDONLY);
    ipmb_message_object_append(&message, (Object)null);
    CHECK(fcntl(null, F_GETFD) == -1);
    null = open("/dev/null", O_RDONLY);
    ipmb_message_object_append(NULL, (Object)null);
    CHECK(fcntl(null, F_GETFD) == -1);
    message = text_to("moon", "no region");
    ipmb_message_memory_region_append(&message, NULL);
    CHECK(ipmb_send(&earth, message) == ERROR_CODE_INVALID_ARGUMENT);
    CHECK(ipmb_recv(&moon_in, &message, 0) == ERROR_CODE_TIMEOUT && message == NULL);
}

static void waiting(const char *bus) {
    uintptr_t delivered = 9;
    CHECK(ipmb_send_within(&earth, text_to("nobody", "lost"), 0, ON_FULL_WAIT, &delivered) == 0 && delivered == 0);
    uint64_t count = 0;
    CHECK(ipmb_stats_of(&earth, "dropped.no_route", &count) == 0 && count == 1);
    CHECK(ipmb_stats_of(&earth, "dropped.nothing", &count) == ERROR_CODE_INVALID_ARGUMENT && count == 0);
    CHECK(ipmb_send(&earth, message_to("late", kUnicast, TIMEOUT_INFINITE, 0, "kept", 4)) == 0);
    EndpointStats stats;
    CHECK(ipmb_stats(&earth, &stats, sizeof stats) == 0 && stats.waiting == 1 && stats.sent > 0 && stats.dropped == 1);
    struct { EndpointStats stats; uint64_t newer; } larger = {.newer = 9};
    CHECK(ipmb_stats(&earth, &larger.stats, sizeof larger) == 0 && larger.newer == 0 && larger.stats.waiting == 1);
    uint64_t sent = 0;
    CHECK(ipmb_stats(&earth, (EndpointStats *)&sent, sizeof sent) == 0 && sent == stats.sent);
    CHECK(ipmb_stats(&earth, &stats, SIZE_MAX) == ERROR_CODE_INVALID_ARGUMENT);
    Sender late;
    Receiver late_in;
    join(bus, "late", &late, &late_in);
    Message message = receive(&late_in);
    CHECK(says(&message, "kept"));
    ipmb_message_drop(message);
    // To all, the sender included where it matches.
    LabelOp op = ipmb_label_op_bool(true);
    Selector selector = {&op, kMulticast, 0};
    CHECK(ipmb_send_within(&late, ipmb_message(selector, 0, (const uint8_t *)"all", 3), 1000, ON_FULL_FAIL, &delivered) == 0);
    CHECK(delivered == 3);
    CHECK(ipmb_send_within(&late, ipmb_message(selector, 0, NULL, 0), 1000, 77, NULL) == ERROR_CODE_INVALID_ARGUMENT);
    ipmb_label_op_drop(op);
    Receiver *each[] = {&earth_in, &moon_in, &late_in};
    for (int place = 0; place < 3; place++) {
        message = receive(each[place]);
        CHECK(says(&message, "all"));
        ipmb_message_drop(message);
    }
    ipmb_receiver_drop(late_in);
    ipmb_sender_drop(late);

    uint8_t block[16000] = {1};
    ErrorCode code = 0;
    while (code == 0) {
        code = ipmb_send_within(&earth, message_to("moon", kUnicast, 0, 0, block, sizeof block), 0, ON_FULL_FAIL, NULL);
    }
    CHECK(code == ERROR_CODE_FULL);
    code = ipmb_send_within(&earth, message_to("moon", kUnicast, 0, 0, block, sizeof block), 30, ON_FULL_WAIT, &delivered);
    CHECK(code == ERROR_CODE_TIMEOUT && delivered == 0);
    CHECK(ipmb_send_within(&earth, message_to("moon", kUnicast, 0, 0, block, sizeof block), 0, ON_FULL_DROP, NULL) == 0);
    while (ipmb_recv(&moon_in, &message, 0) == 0) {
        ipmb_message_drop(message);
    }
}

static void *serve(void *unused) {
    (void)unused;
    Message request;
    while (ipmb_recv(&moon_in, &request, TIMEOUT_INFINITE) == 0) {
        const uint8_t *data = NULL;
        uint32_t size = 0;
        ipmb_message_bytes_data(&request, NULL, &data, &size);
        CHECK(ipmb_message_is_request(&request));
        CHECK(ipmb_reply(&moon, &request, ipmb_message_for_reply(3, data, size), 1000) == 0);
        ipmb_message_drop(request);
    }
    return NULL;
}

static void *ask(void *number) {
    for (int turn = 0; turn < 200; turn++) {
        char text[40];
        snprintf(text, sizeof text, "%d %d", *(int *)number, turn);
        Message reply = NULL;
        CHECK(ipmb_request(&earth, text_to("moon", text), 10000, &reply) == 0);
        CHECK(says(&reply, text) && !ipmb_message_is_request(&reply));
        ipmb_message_drop(reply);
    }
    return NULL;
}

static void requests(void) {
    Message reply = &earth;
    CHECK(ipmb_request(&earth, text_to("nobody", "?"), 1000, &reply) == ERROR_CODE_NO_ROUTE && reply == NULL);
    CHECK(ipmb_request(&earth, text_to("moon", "?"), 50, &reply) == ERROR_CODE_TIMEOUT && reply == NULL);
    Message unheard = receive(&moon_in);
    CHECK(ipmb_reply_failure(&moon, &unheard, NULL, "", 0) == -1);
    CHECK(ipmb_reply(&moon, &unheard, ipmb_message_for_reply(0, NULL, 0), 1000) == 0);
    ipmb_message_drop(unheard);
    CHECK(ipmb_send(&earth, ipmb_message_for_reply(0, NULL, 0)) == ERROR_CODE_INVALID_ARGUMENT);
    CHECK(ipmb_request(&earth, message_to("moon", kMulticast, 0, 0, "?", 1), 50, &reply) == ERROR_CODE_INVALID_ARGUMENT);
    // A reply to what is no request is a message to its sender.
    CHECK(ipmb_send(&earth, text_to("moon", "hello")) == 0);
    Message message = receive(&moon_in);
    CHECK(ipmb_reply(&moon, &message, ipmb_message_for_reply(0, (const uint8_t *)"and you", 7), 1000) == 0);
    ipmb_message_drop(message);
    message = receive(&earth_in);
    CHECK(says(&message, "and you"));
    ipmb_message_drop(message);

    pthread_t server, askers[8];
    int numbers[8];
    CHECK(pthread_create(&server, NULL, serve, NULL) == 0);
    for (int place = 0; place < 8; place++) {
        numbers[place] = place;
        CHECK(pthread_create(&askers[place], NULL, ask, &numbers[place]) == 0);
    }
    for (int place = 0; place < 8; place++) {
        CHECK(pthread_join(askers[place], NULL) == 0);
    }
    // Closing ends the wait of the other thread.
    ipmb_receiver_close(&moon_in);
    CHECK(pthread_join(server, NULL) == 0);
    CHECK(ipmb_recv(&moon_in, &message, 0) == ERROR_CODE_CLOSED && ipmb_receiver_fileno(&moon_in) == -1);
}

static void event_loop(void) {
    struct pollfd look = {ipmb_receiver_fileno(&earth_in), POLLIN, 0};
    CHECK(look.fd >= 0);
    Message message = NULL;
    while (ipmb_recv(&earth_in, &message, 0) == 0) {
        ipmb_message_drop(message);
    }
    CHECK(ipmb_send(&moon, text_to("earth", "wake up")) == 0);
    CHECK(poll(&look, 1, 10000) == 1);
    CHECK(ipmb_recv(&earth_in, &message, 0) == 0 && says(&message, "wake up"));
    ipmb_message_drop(message);
}

static void forked(void) {
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        Message message = NULL;
        CHECK(ipmb_send(&earth, text_to("earth", "from a child")) == ERROR_CODE_FORKED);
        CHECK(ipmb_recv(&earth_in, &message, 0) == ERROR_CODE_FORKED);
        CHECK(ipmb_request(&earth, text_to("earth", "?"), 0, &message) == ERROR_CODE_FORKED);
        ipmb_sender_drop(earth);
        ipmb_receiver_drop(earth_in);
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    Message message = NULL;
    CHECK(ipmb_recv(&earth_in, &message, 0) == ERROR_CODE_TIMEOUT);
}

static void refused_to_join(const char *bus) {
    Label label = label_of("stranger");
    Sender sender;
    Receiver receiver;
    Options options = {bus, &label, "secret", true};
    CHECK(ipmb_join(options, 5000, &sender, &receiver) == ERROR_CODE_TOKEN_MISMATCH && !sender && !receiver);
    options.identifier = "test.nobody.is.here";
    options.controller_affinity = false;
    CHECK(ipmb_join(options, 50, &sender, &receiver) == ERROR_CODE_TIMEOUT && !sender && !receiver);
    options.identifier = "";
    CHECK(ipmb_join(options, 50, &sender, &receiver) == ERROR_CODE_INVALID_ARGUMENT);
    ipmb_label_drop(label);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    join(argv[1], "earth", &earth, &earth_in);
    join(argv[1], "moon", &moon, &moon_in);
    CHECK(ipmb_sender_id(&earth) != 0 && ipmb_sender_id(&earth) != ipmb_sender_id(&moon));
    lengths();
    objects();
    waiting(argv[1]);
    requests();
    event_loop();
    refused_to_join(argv[1]);
    forked();
    ipmb_sender_close(&earth);
    CHECK(ipmb_send(&earth, text_to("earth", "closed")) == ERROR_CODE_CLOSED);
    ipmb_sender_drop(earth);
    ipmb_receiver_drop(earth_in);
    ipmb_receiver_drop(moon_in);
    ipmb_sender_drop(moon);
    puts("ok");
    return 0;
}
