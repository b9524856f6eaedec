// storm BUS SEED CALLS: calls at random, with handles of all kinds in all places, null among them, in four threads that share two
// endpoints. Handles that a call consumed are not used again, which is all that is asked of a caller. Nothing crashes, nothing leaks
// (run it with sanitizers), and at the end the endpoints still work.
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

enum { THREADS = 4, SLOTS = 8 };

// What a handle is. Endpoints are shared by all threads; the rest is each thread's own.
typedef enum { LABEL, OP, TEXT, MESSAGE, REGION, REGISTRY, SENDER, RECEIVER, KINDS } Kind;

typedef struct {
    uint64_t seed;
    int calls;
    void *slots[KINDS][SLOTS];
    unsigned long freed;
} Thread;

static Sender senders[2];
static Receiver receivers[2];

static uint32_t roll(Thread *thread, uint32_t sides) {
    thread->seed = thread->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(thread->seed >> 33) % sides;
}

// A place with a handle: mostly of this kind, at times of another, empty, or no place at all.
static void **place(Thread *thread, Kind kind) {
    uint32_t luck = roll(thread, 16);
    if (luck == 0) {
        return NULL;
    }
    if (luck <= 2) {
        kind = (Kind)roll(thread, KINDS);
    }
    if (kind == SENDER) {
        return &senders[roll(thread, 2)];
    }
    if (kind == RECEIVER) {
        return &receivers[roll(thread, 2)];
    }
    return &thread->slots[kind][roll(thread, SLOTS)];
}

// A handle that a call of this kind consumes; the slot is empty then. One of another kind stays where it is.
static void *given(Thread *thread, Kind kind) {
    uint32_t luck = roll(thread, 16);
    if (luck == 0) {
        return NULL;
    }
    if (luck <= 2) {
        Kind other = (Kind)roll(thread, SENDER);
        return other == kind ? NULL : thread->slots[other][roll(thread, SLOTS)];
    }
    void **slot = &thread->slots[kind][roll(thread, SLOTS)];
    void *handle = *slot;
    *slot = NULL;
    return handle;
}

static void drop(Kind kind, void *handle) {
    switch (kind) {
    case LABEL: ipmb_label_drop(handle); break;
    case OP: ipmb_label_op_drop(handle); break;
    case TEXT: ipmb_rstring_drop(handle); break;
    case MESSAGE: ipmb_message_drop(handle); break;
    case REGION: ipmb_memory_region_drop(handle); break;
    case REGISTRY: ipmb_memory_registry_drop(handle); break;
    default: break;
    }
}

static void keep(Thread *thread, Kind kind, void *handle) {
    void **slot = &thread->slots[kind][roll(thread, SLOTS)];
    drop(kind, *slot);
    *slot = handle;
}

static void count_free(void *context) {
    (*(unsigned long *)context)++;
}

static const char *words(Thread *thread) {
    static const char *const all[] = {"a", "b", "", "a & !b", "\xff", "a long one with spaces", NULL, "true", "((((", "dropped.full"};
    return all[roll(thread, 10)];
}

static void expressions(Thread *thread) {
    switch (roll(thread, 12)) {
    case 0: keep(thread, LABEL, ipmb_label()); break;
    case 1: ipmb_label_insert(place(thread, LABEL), words(thread)); break;
    case 2: keep(thread, LABEL, ipmb_label_clone(place(thread, LABEL))); break;
    case 3: keep(thread, OP, ipmb_label_op_bool(roll(thread, 2) == 0)); break;
    case 4: keep(thread, OP, ipmb_label_op_leaf(words(thread))); break;
    case 5: keep(thread, OP, ipmb_label_op_parse(words(thread))); break;
    case 6: keep(thread, OP, ipmb_label_op_not(given(thread, OP))); break;
    case 7: {
        void *left = given(thread, OP);
        keep(thread, OP, ipmb_label_op_and(left, given(thread, OP)));
        break;
    }
    case 8: {
        void *left = given(thread, OP);
        keep(thread, OP, ipmb_label_op_or(left, given(thread, OP)));
        break;
    }
    case 9: keep(thread, OP, ipmb_label_op_clone(place(thread, OP))); break;
    case 10: keep(thread, TEXT, ipmb_label_op_text(place(thread, OP))); break;
    default: {
        void **op = place(thread, OP);
        ipmb_label_op_matches(op, place(thread, LABEL));
    }
    }
}

static void messages(Thread *thread) {
    static uint8_t bytes[70000];
    static const uint32_t sizes[] = {0, 1, 100, 17000, 70000};
    uint32_t size = sizes[roll(thread, 5)];
    const uint8_t *data = roll(thread, 8) == 0 ? NULL : bytes;
    Selector selector = {place(thread, OP), (SelectorMode)roll(thread, 3), roll(thread, 3) * 10};
    uint16_t format;
    const uint8_t *start;
    uint32_t length;
    uintptr_t long_length;
    uint8_t type[16] = {0};
    void **message = place(thread, MESSAGE);
    switch (roll(thread, 12)) {
    case 0:
    case 1:
    case 2: keep(thread, MESSAGE, ipmb_message(selector, (uint16_t)roll(thread, 9), data, size)); break;
    case 3: keep(thread, MESSAGE, ipmb_message_for_reply(0, data, size)); break;
    case 4: keep(thread, MESSAGE, ipmb_message_typed(selector, data, data, size)); break;
    case 5: ipmb_message_bytes_data(message, &format, &start, &length); break;
    case 6: ipmb_message_data(message, &start, &long_length); break;
    case 7: ipmb_message_type(message, type); break;
    case 8: ipmb_message_object_append(message, roll(thread, 4) ? (Object)open("/dev/null", O_RDONLY) : OBJECT_MISSING); break;
    case 9: ipmb_object_drop(ipmb_message_object_retrieve(message, roll(thread, 3))); break;
    case 10: ipmb_message_memory_region_append(message, given(thread, REGION)); break;
    default: keep(thread, REGION, ipmb_message_memory_region_retrieve(message, roll(thread, 3)));
    }
    MemoryRegion borrowed = ipmb_message_memory_region_get(message, 0);
    ipmb_memory_region_map(&borrowed, 0, -1, NULL);
    ipmb_memory_region_drop(borrowed);
    ipmb_message_object_get(message, roll(thread, 3));
    ipmb_message_sender_label_count(message);
    keep(thread, TEXT, ipmb_message_sender_label(message, roll(thread, 2)));
}

static void memory(Thread *thread) {
    MemoryRegion made = NULL;
    void **region = place(thread, REGION);
    intptr_t size;
    uint8_t *start;
    switch (roll(thread, 9)) {
    case 0:
        ipmb_memory_region(roll(thread, 20000), &made);
        keep(thread, REGION, made);
        break;
    case 1:
        ipmb_memory_region_clone(region, &made);
        keep(thread, REGION, made);
        break;
    case 2:
        start = ipmb_memory_region_map(region, roll(thread, 30000), (intptr_t)roll(thread, 30000) - 3, &size);
        if (start && size > 0 && !ipmb_memory_region_is_frozen(region)) {
            start[size - 1]++;
        }
        break;
    case 3: ipmb_memory_region_ref_count(region); break;
    case 4: ipmb_memory_region_size(region); break;
    case 5: keep(thread, REGISTRY, ipmb_memory_registry()); break;
    case 6:
        ipmb_memory_registry_alloc(place(thread, REGISTRY), roll(thread, 20000), words(thread), &made);
        keep(thread, REGION, made);
        break;
    case 7:
        ipmb_memory_registry_alloc_with_free(place(thread, REGISTRY), roll(thread, 20000), words(thread), &thread->freed,
                                             roll(thread, 4) ? count_free : NULL, &made);
        keep(thread, REGION, made);
        break;
    default: ipmb_memory_registry_maintain(place(thread, REGISTRY));
    }
}

static void traffic(Thread *thread) {
    Message made = NULL;
    uintptr_t delivered;
    EndpointStats stats;
    uint64_t count;
    void **sender = place(thread, SENDER);
    switch (roll(thread, 9)) {
    case 0:
    case 1: ipmb_send_within(sender, given(thread, MESSAGE), roll(thread, 3), roll(thread, 4), &delivered); break;
    case 2:
    case 3:
        ipmb_recv(place(thread, RECEIVER), &made, roll(thread, 3));
        keep(thread, MESSAGE, made);
        break;
    case 4:
        ipmb_request(sender, given(thread, MESSAGE), roll(thread, 4), &made);
        keep(thread, MESSAGE, made);
        break;
    case 5: {
        void *reply = given(thread, MESSAGE);
        ipmb_reply(sender, place(thread, MESSAGE), reply, roll(thread, 3));
        break;
    }
    case 6: ipmb_stats(sender, &stats, sizeof stats); break;
    case 7: ipmb_stats_of(sender, words(thread), &count); break;
    default: ipmb_receiver_fileno(place(thread, RECEIVER));
    }
}

static void *storm(void *argument) {
    Thread *thread = argument;
    for (int call = 0; call < thread->calls; call++) {
        switch (roll(thread, 4)) {
        case 0: expressions(thread); break;
        case 1: messages(thread); break;
        case 2: memory(thread); break;
        default: traffic(thread);
        }
    }
    for (int kind = 0; kind < SENDER; kind++) {
        for (int slot = 0; slot < SLOTS; slot++) {
            drop((Kind)kind, thread->slots[kind][slot]);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    join(argv[1], "a", &senders[0], &receivers[0]);
    join(argv[1], "b", &senders[1], &receivers[1]);
    static Thread threads[THREADS];
    pthread_t running[THREADS];
    for (int place = 0; place < THREADS; place++) {
        threads[place].seed = strtoull(argv[2], NULL, 10) * THREADS + (uint64_t)place;
        threads[place].calls = atoi(argv[3]);
        CHECK(pthread_create(&running[place], NULL, storm, &threads[place]) == 0);
    }
    for (int place = 0; place < THREADS; place++) {
        CHECK(pthread_join(running[place], NULL) == 0);
    }
    Message message = NULL;
    for (int place = 0; place < 2; place++) {
        while (ipmb_recv(&receivers[place], &message, 0) != ERROR_CODE_TIMEOUT) {
            ipmb_message_drop(message);
        }
    }
    CHECK(ipmb_send(&senders[0], text_to("b", "still here")) == 0);
    message = receive(&receivers[1]);
    CHECK(says(&message, "still here"));
    ipmb_message_drop(message);
    for (int place = 0; place < 2; place++) {
        ipmb_sender_drop(senders[place]);
        ipmb_receiver_drop(receivers[place]);
    }
    puts("ok");
    return 0;
}
