// Every name that the C interface promises, with exactly the type that programs were told: a compiler warns of any other.
#include "check.h"

#include <unistd.h>

// The name of a type, a constant or a member is one more use of it; a function is assigned to a pointer of its own type.
static void (*const rstring_data)(const RString *, const char **, uintptr_t *) = ipmb_rstring_data;
static void (*const rstring_drop)(RString) = ipmb_rstring_drop;
static void (*const version)(uint8_t *, uint8_t *, uint8_t *) = ipmb_version;
static RString (*const version_pre)(void) = ipmb_version_pre;
static ErrorCode (*const join_bus)(Options, uint32_t, Sender *, Receiver *) = ipmb_join;
static ErrorCode (*const send)(Sender *, Message) = ipmb_send;
static void (*const sender_drop)(Sender) = ipmb_sender_drop;
static ErrorCode (*const recv)(Receiver *, Message *, uint32_t) = ipmb_recv;
static void (*const receiver_drop)(Receiver) = ipmb_receiver_drop;
static Message (*const message_of)(Selector, uint16_t, const uint8_t *, uint32_t) = ipmb_message;
static void (*const message_drop)(Message) = ipmb_message_drop;
static void (*const bytes_data)(const Message *, uint16_t *, const uint8_t **, uint32_t *) = ipmb_message_bytes_data;
static void (*const object_append)(Message *, Object) = ipmb_message_object_append;
static Object (*const object_retrieve)(Message *, uintptr_t) = ipmb_message_object_retrieve;
static Object (*const object_get)(const Message *, uintptr_t) = ipmb_message_object_get;
static void (*const object_drop)(Object) = ipmb_object_drop;
static void (*const region_append)(Message *, MemoryRegion) = ipmb_message_memory_region_append;
static MemoryRegion (*const region_retrieve)(Message *, uintptr_t) = ipmb_message_memory_region_retrieve;
static MemoryRegion (*const region_get)(Message *, uintptr_t) = ipmb_message_memory_region_get;
static ErrorCode (*const region_of)(uintptr_t, MemoryRegion *) = ipmb_memory_region;
static void (*const region_drop)(MemoryRegion) = ipmb_memory_region_drop;
static uint8_t *(*const region_map)(MemoryRegion *, uintptr_t, intptr_t, intptr_t *) = ipmb_memory_region_map;
static uint32_t (*const ref_count)(const MemoryRegion *) = ipmb_memory_region_ref_count;
static ErrorCode (*const region_clone)(const MemoryRegion *, MemoryRegion *) = ipmb_memory_region_clone;
static MemoryRegistry (*const registry_of)(void) = ipmb_memory_registry;
static void (*const registry_drop)(MemoryRegistry) = ipmb_memory_registry_drop;
static void (*const maintain)(MemoryRegistry *) = ipmb_memory_registry_maintain;
static ErrorCode (*const alloc)(MemoryRegistry *, uintptr_t, const char *, MemoryRegion *) = ipmb_memory_registry_alloc;
static ErrorCode (*const alloc_with_free)(MemoryRegistry *, uintptr_t, const char *, void *, void (*)(void *),
                                          MemoryRegion *) = ipmb_memory_registry_alloc_with_free;
static Label (*const label_none)(void) = ipmb_label;
static void (*const label_drop)(Label) = ipmb_label_drop;
static void (*const label_insert)(Label *, const char *) = ipmb_label_insert;
static LabelOp (*const op_bool)(bool) = ipmb_label_op_bool;
static LabelOp (*const op_leaf)(const char *) = ipmb_label_op_leaf;
static LabelOp (*const op_not)(LabelOp) = ipmb_label_op_not;
static LabelOp (*const op_and)(LabelOp, LabelOp) = ipmb_label_op_and;
static LabelOp (*const op_or)(LabelOp, LabelOp) = ipmb_label_op_or;
static void (*const op_drop)(LabelOp) = ipmb_label_op_drop;

_Static_assert(sizeof(Label) == sizeof(void *) && sizeof(Object) == 8 && sizeof(ErrorCode) == 4, "handles and numbers");
_Static_assert(ERROR_CODE_SUCCESS == 0 && ERROR_CODE_UNKNOWN == -1 && ERROR_CODE_TIMEOUT == -2, "codes");
_Static_assert(ERROR_CODE_DECODE == -3 && ERROR_CODE_VERSION_MISMATCH == -4 && ERROR_CODE_TOKEN_MISMATCH == -5, "codes");
_Static_assert(ERROR_CODE_PERMISSION_DENIED == -6, "codes");
_Static_assert(TIMEOUT_INFINITE == ~0u && OBJECT_MISSING == UINT64_MAX, "what has no number of its own");
_Static_assert(kUnicast == 0 && kMulticast == 1, "plain enumerators");

static void freed(void *context) {
    ++*(int *)context;
}

static void versions(void) {
    uint8_t major = 99, minor = 99, patch = 99;
    version(&major, &minor, &patch);
    CHECK(major < 99 && minor < 99 && patch < 99);
    RString pre = version_pre();
    const char *text = NULL;
    uintptr_t size = 99;
    rstring_data(&pre, &text, &size);
    CHECK(text != NULL && strlen(text) == size);
    rstring_drop(pre);
}

static void regions(Message *message) {
    MemoryRegion region, clone;
    CHECK(region_of(100, &region) == 0 && region_clone(&region, &clone) == 0 && ref_count(&region) == 1);
    intptr_t real_size = 0;
    uint8_t *start = region_map(&region, 1, -1, &real_size);
    CHECK(start != NULL && real_size == 99 && region_map(&clone, 0, 1, NULL) != NULL);
    *start = 42;
    region_append(message, region);
    region_append(message, clone);
    CHECK(region_get(message, 1) != NULL && region_get(message, 2) == NULL);
    clone = region_retrieve(message, 1);
    CHECK(clone != NULL && region_retrieve(message, 1) == NULL);
    region_drop(clone);

    int count = 0;
    MemoryRegistry registry = registry_of();
    CHECK(alloc(&registry, 10, "tag", &region) == 0);
    region_drop(region);
    CHECK(alloc_with_free(&registry, 10, NULL, &count, freed, &region) == 0 && count == 0);
    region_drop(region);
    maintain(&registry);
    CHECK(count == 1);
    registry_drop(registry);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    versions();
    Label label = label_none();
    label_insert(&label, "promised");
    Options options;
    options.identifier = argv[1];
    options.label = &label;
    options.token = "";
    options.controller_affinity = true;
    Sender sender;
    Receiver receiver;
    CHECK(join_bus(options, 10000, &sender, &receiver) == ERROR_CODE_SUCCESS);
    label_drop(label);

    LabelOp op = op_or(op_and(op_leaf("promised"), op_not(op_leaf("dark"))), op_bool(false));
    Selector selector;
    selector.label_op = &op;
    selector.mode = kUnicast;
    selector.ttl = 0;
    Message message = message_of(selector, 7, (const uint8_t *)"hello", 5);
    selector.mode = kMulticast;
    Message other = message_of(selector, 8, NULL, 0);
    op_drop(op);
    int ends[2];
    CHECK(pipe(ends) == 0);
    object_append(&message, (Object)ends[0]);
    object_append(&message, (Object)ends[1]);
    object_drop(object_retrieve(&message, 0));
    CHECK(object_get(&message, 0) == (Object)ends[1] && object_get(&message, 1) == OBJECT_MISSING);
    regions(&message);
    CHECK(send(&sender, message) == 0 && send(&sender, other) == 0);

    CHECK(recv(&receiver, &message, TIMEOUT_INFINITE) == 0);
    uint16_t format = 0;
    const uint8_t *data = NULL;
    uint32_t size = 0;
    bytes_data(&message, &format, &data, &size);
    CHECK(format == 7 && size == 5 && memcmp(data, "hello", 5) == 0);
    MemoryRegion came = region_get(&message, 0);
    CHECK(*region_map(&came, 1, 1, NULL) == 42 && object_get(&message, 0) != OBJECT_MISSING);
    message_drop(message);
    CHECK(recv(&receiver, &message, 10000) == 0);
    message_drop(message);
    CHECK(recv(&receiver, &message, 0) == ERROR_CODE_TIMEOUT && message == NULL);
    sender_drop(sender);
    receiver_drop(receiver);
    puts("ok");
    return 0;
}
