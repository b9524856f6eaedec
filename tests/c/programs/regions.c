// Regions and registries in one process, with a bus to send them over.
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>
#include <time.h>

static int freed;

static void count_free(void *context) {
    CHECK(context == &freed);
    freed++;
}

static MemoryRegistry shared;

static void *allocate(void *unused) {
    (void)unused;
    for (int turn = 0; turn < 500; turn++) {
        MemoryRegion region = NULL;
        CHECK(ipmb_memory_registry_alloc(&shared, 1000, turn % 2 ? "odd" : NULL, &region) == 0);
        intptr_t size = 0;
        uint8_t *start = ipmb_memory_region_map(&region, 0, -1, &size);
        CHECK(start && size >= 1000);
        memset(start, turn, (size_t)size);
        ipmb_memory_region_drop(region);
    }
    return NULL;
}

static void mapping(void) {
    MemoryRegion region = NULL;
    CHECK(ipmb_memory_region(1000, &region) == 0 && ipmb_memory_region_size(&region) == 1000);
    intptr_t size = 7;
    uint8_t *start = ipmb_memory_region_map(&region, 0, -1, &size);
    CHECK(start && size == 1000 && (uintptr_t)start % 64 == 0 && start[999] == 0);
    CHECK(ipmb_memory_region_map(&region, 100, 900, &size) == start + 100 && size == 900);
    CHECK(ipmb_memory_region_map(&region, 1000, -1, &size) == start + 1000 && size == 0);
    CHECK(ipmb_memory_region_map(&region, 0, 0, NULL) == start);
    CHECK(ipmb_memory_region_map(&region, 1001, -1, &size) == NULL && size == 0);
    CHECK(ipmb_memory_region_map(&region, 0, 1001, &size) == NULL && size == 0);
    CHECK(ipmb_memory_region_map(&region, 1, 1000, &size) == NULL && size == 0);
    CHECK(ipmb_memory_region_map(&region, 0, -2, &size) == NULL && size == 0);
    CHECK(ipmb_memory_region_map(&region, UINTPTR_MAX, -1, &size) == NULL && size == 0);
    CHECK(ipmb_memory_region_map(&region, 0, INTPTR_MIN, &size) == NULL && size == 0);
    CHECK(ipmb_memory_region_map(&region, UINTPTR_MAX, INTPTR_MAX, &size) == NULL && size == 0);

    MemoryRegion clone = NULL;
    CHECK(ipmb_memory_region_clone(&region, &clone) == 0 && ipmb_memory_region_ref_count(&clone) == 1);
    start[5] = 55;
    CHECK(ipmb_memory_region_map(&clone, 5, 1, NULL)[0] == 55);
    CHECK(ipmb_memory_region_freeze(&region) == ERROR_CODE_BUSY && !ipmb_memory_region_is_frozen(&region));
    ipmb_memory_region_drop(clone);
    CHECK(ipmb_memory_region_freeze(&region) == 0 && ipmb_memory_region_is_frozen(&region));
    CHECK(ipmb_memory_region_freeze(&region) == 0);
    CHECK(ipmb_memory_region_map(&region, 5, 1, NULL)[0] == 55);
    ipmb_memory_region_drop(region);
}

static void callbacks(const char *bus) {
    MemoryRegistry registry = ipmb_memory_registry();
    MemoryRegion region = NULL;
    CHECK(ipmb_memory_registry_alloc_with_free(&registry, 5000, "tag", &freed, count_free, &region) == 0);
    CHECK(ipmb_memory_region_size(&region) >= 5000);
    memcpy(ipmb_memory_region_map(&region, 0, 5, NULL), "hello", 5);

    Sender sender, earth;
    Receiver receiver, moon;
    join(bus, "earth", &earth, &receiver);
    join(bus, "moon", &sender, &moon);
    Message message = text_to("moon", "look");
    MemoryRegion second = NULL;
    CHECK(ipmb_memory_region_clone(&region, &second) == 0);
    ipmb_message_memory_region_append(&message, second);
    ipmb_message_memory_region_append(&message, region);
    CHECK(ipmb_message_memory_region_count(&message) == 2);
    CHECK(ipmb_send(&earth, message) == 0);
    ipmb_memory_registry_maintain(&registry);
    CHECK(freed == 0);

    message = receive(&moon);
    CHECK(ipmb_message_memory_region_count(&message) == 2);
    MemoryRegion borrowed = ipmb_message_memory_region_get(&message, 0);
    CHECK(memcmp(ipmb_memory_region_map(&borrowed, 0, 5, NULL), "hello", 5) == 0);
    ipmb_memory_region_drop(borrowed);  // does nothing: it is the message's
    CHECK(ipmb_message_memory_region_get(&message, 0) == borrowed);
    CHECK(memcmp(ipmb_memory_region_map(&borrowed, 0, 5, NULL), "hello", 5) == 0);
    // Appended to another message, it stays in this one too.
    Message forward = text_to("moon", "forward");
    ipmb_message_memory_region_append(&forward, borrowed);
    CHECK(ipmb_message_memory_region_count(&forward) == 1 && ipmb_message_memory_region_count(&message) == 2);
    ipmb_message_drop(forward);
    MemoryRegion owned = ipmb_message_memory_region_retrieve(&message, 0);
    CHECK(owned == borrowed && ipmb_message_memory_region_count(&message) == 1);
    CHECK(ipmb_message_memory_region_retrieve(&message, 1) == NULL);
    ipmb_message_drop(message);
    CHECK(memcmp(ipmb_memory_region_map(&owned, 0, 5, NULL), "hello", 5) == 0);
    ipmb_memory_registry_maintain(&registry);
    CHECK(freed == 0);
    ipmb_memory_region_drop(owned);
    // The sender's own share goes some milliseconds after the receiver's.
    for (int turn = 0; freed == 0 && turn < 5000; turn++) {
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
        ipmb_memory_registry_maintain(&registry);
    }
    CHECK(freed == 1);
    CHECK(ipmb_memory_registry_alloc_with_free(&registry, 5000, "tag", &freed, count_free, &region) == 0);
    ipmb_memory_region_drop(region);
    ipmb_memory_registry_drop(registry);
    CHECK(freed == 2);
    ipmb_sender_drop(earth);
    ipmb_receiver_drop(receiver);
    ipmb_sender_drop(sender);
    ipmb_receiver_drop(moon);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    mapping();
    callbacks(argv[1]);
    shared = ipmb_memory_registry();
    pthread_t threads[4];
    for (int place = 0; place < 4; place++) {
        CHECK(pthread_create(&threads[place], NULL, allocate, NULL) == 0);
    }
    for (int place = 0; place < 4; place++) {
        CHECK(pthread_join(threads[place], NULL) == 0);
    }
    MemoryRegion region = NULL;
    CHECK(ipmb_memory_registry_alloc(&shared, SIZE_MAX / 4, NULL, &region) == ERROR_CODE_OUT_OF_MEMORY && !region);
    CHECK(ipmb_memory_registry_alloc(&shared, 0, NULL, &region) == ERROR_CODE_INVALID_ARGUMENT && !region);
    ipmb_memory_registry_drop(shared);
    puts("ok");
    return 0;
}
