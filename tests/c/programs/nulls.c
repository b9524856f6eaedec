// Null handles, null pointers and handles of another kind, in every function and every place: nothing crashes, and what is
// returned is what the header promises.
#include "check.h"

static Selector nobody(void) {
    Selector selector = {NULL, kUnicast, 0};
    return selector;
}

// Every function that takes a pointer to a handle, with null, and with a pointer to a handle that is null or of another kind: of a
// label, which one function takes.
static void used(void **handle, bool is_label) {
    uint8_t number = 9;
    uint16_t format = 9;
    uint32_t size = 9;
    uintptr_t long_size = 9;
    intptr_t real_size = 9;
    uint64_t count = 9;
    const uint8_t *data = &number;
    const char *text = "x";
    EndpointStats stats;
    void *made = &number;
    const void *untouched = &number;

    ipmb_rstring_data(handle, &text, &long_size);
    CHECK(text == NULL && long_size == 0);
    CHECK(ipmb_send(handle, NULL) == -1);
    CHECK(ipmb_send_within(handle, NULL, 0, ON_FULL_WAIT, &long_size) == -1 && long_size == 0);
    ipmb_sender_close(handle);
    CHECK(ipmb_sender_id(handle) == 0);
    made = &number;
    CHECK(ipmb_recv(handle, &made, 0) == -1 && made == NULL);
    CHECK(ipmb_recv(handle, NULL, 0) == -1);
    CHECK(ipmb_receiver_take(handle, NULL, 0) == -1);
    CHECK(ipmb_receiver_fileno(handle) == -1);
    ipmb_receiver_close(handle);
    made = &number;
    CHECK(ipmb_request(handle, NULL, 0, &made) == -1 && made == NULL);
    CHECK(ipmb_request(handle, NULL, 0, NULL) == -1);
    CHECK(ipmb_reply(handle, handle, NULL, 0) == -1);
    CHECK(ipmb_reply_failure(handle, handle, NULL, NULL, 0) == -1);
    CHECK(ipmb_stats(handle, &stats, sizeof stats) == -1);
    CHECK(ipmb_stats(handle, NULL, sizeof stats) == -1);
    CHECK(ipmb_stats_of(handle, "dropped.full", &count) == -1 && count == 0);

    data = &number;
    ipmb_message_bytes_data(handle, &format, &data, &size);
    CHECK(format == 0 && data == NULL && size == 0);
    ipmb_message_bytes_data(handle, NULL, NULL, NULL);
    data = &number;
    long_size = 9;
    ipmb_message_data(handle, &data, &long_size);
    CHECK(data == NULL && long_size == 0);
    ipmb_message_data(handle, NULL, NULL);
    uint8_t type[16] = {9};
    ipmb_message_type(handle, type);
    CHECK(type[0] == 0);
    ipmb_message_type(handle, NULL);
    ipmb_message_object_append(handle, OBJECT_MISSING);
    CHECK(ipmb_message_object_retrieve(handle, 0) == UINT64_MAX);
    CHECK(ipmb_message_object_get(handle, 0) == UINT64_MAX);
    CHECK(ipmb_message_object_count(handle) == 0);
    ipmb_message_memory_region_append(handle, NULL);
    CHECK(ipmb_message_memory_region_retrieve(handle, 0) == NULL);
    CHECK(ipmb_message_memory_region_get(handle, 0) == NULL);
    CHECK(ipmb_message_memory_region_count(handle) == 0);
    CHECK(ipmb_message_sender_id(handle) == 0 && ipmb_message_sender_pid(handle) == 0);
    CHECK(ipmb_message_sender_label_count(handle) == 0 && ipmb_message_sender_label(handle, 0) == NULL);
    CHECK(!ipmb_message_redelivered(handle) && !ipmb_message_is_request(handle));

    CHECK(ipmb_memory_region_map(handle, 0, -1, &real_size) == NULL && real_size == 0);
    CHECK(ipmb_memory_region_map(handle, 0, -1, NULL) == NULL);
    CHECK(ipmb_memory_region_size(handle) == 0 && ipmb_memory_region_ref_count(handle) == 0);
    made = &number;
    CHECK(ipmb_memory_region_clone(handle, &made) == -1 && made == NULL);
    CHECK(ipmb_memory_region_clone(handle, NULL) == -1);
    CHECK(ipmb_memory_region_freeze(handle) == -1 && !ipmb_memory_region_is_frozen(handle));
    ipmb_memory_registry_maintain(handle);
    made = &number;
    CHECK(ipmb_memory_registry_alloc(handle, 1, NULL, &made) == -1 && made == NULL);
    CHECK(ipmb_memory_registry_alloc(handle, 1, NULL, NULL) == -1);
    CHECK(ipmb_memory_registry_alloc_with_free(handle, 1, NULL, NULL, NULL, &made) == -1);
    CHECK(ipmb_label_op_clone(handle) == NULL && ipmb_label_op_text(handle) == NULL);
    CHECK(!ipmb_label_op_matches(handle, handle));
    Label copy = ipmb_label_clone(handle);
    CHECK((copy != NULL) == is_label);
    ipmb_label_drop(copy);
    Selector selector = {handle, kUnicast, 0};
    CHECK(ipmb_message(selector, 0, NULL, 0) == NULL);
    Options options = {"test.nulls", handle, "", true};
    Sender sender = &number;
    Receiver receiver = &number;
    if (!is_label) {
        CHECK(ipmb_join(options, 0, &sender, &receiver) == -1 && sender == NULL && receiver == NULL);
    }
    CHECK(untouched == &number);
}

// Every function that consumes a handle, with one that is null or of another kind, which stays what it is.
static void consumed(void *handle) {
    ipmb_rstring_drop(handle);
    ipmb_sender_drop(handle);
    ipmb_receiver_drop(handle);
    ipmb_message_drop(handle);
    ipmb_memory_region_drop(handle);
    ipmb_memory_registry_drop(handle);
    CHECK(ipmb_label_op_not(handle) == NULL);
    LabelOp other = ipmb_label_op_bool(true);
    CHECK(ipmb_label_op_and(handle, other) == NULL);
    other = ipmb_label_op_bool(true);
    CHECK(ipmb_label_op_or(other, handle) == NULL);
    CHECK(ipmb_label_op_and(handle, handle) == NULL);
    ipmb_label_op_drop(handle);
}

int main(void) {
    CHECK(ipmb_last_error(NULL, 0) == 0 && ipmb_last_error_code() == ERROR_CODE_SUCCESS);
    used(NULL, false);
    void *null = NULL;
    used(&null, false);
    consumed(NULL);
    ipmb_label_drop(NULL);
    ipmb_label_insert(NULL, "x");
    ipmb_object_drop(OBJECT_MISSING);
    ipmb_object_drop(12345678);
    ipmb_version(NULL, NULL, NULL);

    // A label is what no function here takes; as a RString, Sender, ... it is of another kind.
    Label label = label_of("kind");
    LabelOp op = ipmb_label_op_bool(true);
    Selector selector = {&label, kUnicast, 0};
    CHECK(ipmb_message(selector, 0, NULL, 0) == NULL);
    used(&label, true);
    consumed(label);
    CHECK(ipmb_label_op_matches(&op, &label));
    CHECK(ipmb_send(&label, op) == -1 && ipmb_send(&op, label) == -1);
    ipmb_label_drop(op);
    CHECK(ipmb_label_op_matches(&op, &label));

    // Places for results, one by one.
    Sender sender = &label;
    Receiver receiver = &label;
    Options options = {"test.nulls", &label, NULL, true};
    CHECK(ipmb_join(options, 0, NULL, &receiver) == -1 && receiver == NULL);
    CHECK(ipmb_join(options, 0, &sender, NULL) == -1 && sender == NULL);
    options.identifier = NULL;
    CHECK(ipmb_join(options, 0, &sender, &receiver) == -1);
    CHECK(ipmb_memory_region(1, NULL) == -1);
    uint8_t numbers[3];
    ipmb_version(&numbers[0], NULL, &numbers[2]);

    // Wrong lengths, and what they are lengths of.
    selector.label_op = &op;
    CHECK(ipmb_message(selector, 0, NULL, 1) == NULL && ipmb_message(selector, 0, NULL, UINT32_MAX) == NULL);
    CHECK(ipmb_message_for_reply(0, NULL, 1) == NULL);
    CHECK(ipmb_message_typed(selector, NULL, numbers, 3) == NULL);
    CHECK(ipmb_message_typed(selector, numbers, numbers, SIZE_MAX) == NULL);
    CHECK(ipmb_message_typed(nobody(), NULL, NULL, 0) == NULL);
    selector.mode = (SelectorMode)7;
    CHECK(ipmb_message(selector, 0, NULL, 0) == NULL);
    MemoryRegion region = &label;
    CHECK(ipmb_memory_region(0, &region) == ERROR_CODE_INVALID_ARGUMENT && region == NULL);
    CHECK(ipmb_memory_region(SIZE_MAX, &region) == ERROR_CODE_OUT_OF_MEMORY && region == NULL);
    CHECK(ipmb_memory_region(SIZE_MAX / 2, &region) == ERROR_CODE_OUT_OF_MEMORY && region == NULL);
    CHECK(ipmb_label_op_leaf(NULL) == NULL && ipmb_label_op_leaf("") == NULL && ipmb_label_op_leaf("\xff") == NULL);
    CHECK(ipmb_label_op_parse(NULL) == NULL && ipmb_label_op_parse("a &") == NULL);

    // The text of the last error, in buffers of all lengths.
    char text[64] = "untouched";
    uintptr_t length = ipmb_last_error(NULL, 0);
    CHECK(length > 10 && ipmb_last_error_code() == ERROR_CODE_INVALID_ARGUMENT);
    CHECK(ipmb_last_error(text, 0) == length && strcmp(text, "untouched") == 0);
    CHECK(ipmb_last_error(text, 1) == length && text[0] == 0);
    CHECK(ipmb_last_error(text, 5) == length && strlen(text) == 4);
    // Cleaning up does not hide it.
    ipmb_message_drop(NULL);
    ipmb_sender_drop(NULL);
    ipmb_object_drop(OBJECT_MISSING);
    CHECK(ipmb_last_error(NULL, 0) == length);
    // A wrapper leaves an error of its own.
    ipmb_last_error_set(ERROR_CODE_BUSY, "taken: wait");
    CHECK(ipmb_last_error(text, sizeof text) == 11 && strcmp(text, "taken: wait") == 0);
    CHECK(ipmb_last_error_code() == ERROR_CODE_BUSY);
    ipmb_last_error_set(ERROR_CODE_BUSY, NULL);
    CHECK(ipmb_last_error_code() == ERROR_CODE_UNKNOWN);
    CHECK(strcmp(ipmb_error_name(0), "success") == 0 && strcmp(ipmb_error_name(-99), "no error code") == 0);

    ipmb_label_op_drop(op);
    ipmb_label_drop(label);
    puts("ok");
    return 0;
}
