// What could not be made is null, and whoever is given that says why it could not be made, however far away.
#include "check.h"

static char text[1024];

static const char *error_text(void) {
    ipmb_last_error(text, sizeof text);
    return text;
}

#define SAID " is null; the last call that failed in this thread said: "

// The text is that of the first error, quoted once.
#define CHECK_CAUSE(what, cause)                                                        \
    do {                                                                                \
        const char *found = error_text();                                               \
        CHECK(strncmp(found, what SAID cause, strlen(what SAID cause)) == 0);           \
        CHECK(strstr(strstr(found, " said: ") + 1, " said: ") == NULL);                 \
    } while (0)

int main(int argc, char **argv) {
    CHECK(argc == 2);
    // Nothing has failed here yet.
    CHECK(ipmb_send(NULL, NULL) == ERROR_CODE_UNKNOWN);
    CHECK(strcmp(error_text(), "the pointer to Sender is null: give one to a handle") == 0);
    // That it was null before is no cause.
    Message none = NULL;
    for (int turn = 0; turn < 2; turn++) {
        ipmb_last_error_set(ERROR_CODE_UNKNOWN, "");
        ipmb_message_is_request(&none);
        CHECK(strcmp(error_text(), "Message is null: give what a call has made") == 0);
        ipmb_message_is_request(&none);
        CHECK(strcmp(error_text(), "Message is null: give what a call has made") == 0);
    }

    Sender sender;
    Receiver receiver;
    join(argv[1], "causes", &sender, &receiver);

    // A region that does not fit, in a message that is sent.
    MemoryRegion region = NULL;
    CHECK(ipmb_memory_region(SIZE_MAX, &region) == ERROR_CODE_OUT_OF_MEMORY);
    CHECK(ipmb_memory_region_map(&region, 0, -1, NULL) == NULL);
    CHECK_CAUSE("MemoryRegion", "size: ");
    Message message = text_to("causes", "with a region");
    ipmb_message_memory_region_append(&message, region);
    CHECK_CAUSE("MemoryRegion", "size: ");
    ipmb_memory_region_drop(region);
    CHECK(ipmb_send(&sender, message) == ERROR_CODE_INVALID_ARGUMENT);
    CHECK_CAUSE("MemoryRegion", "size: ");

    // An expression that is none, in others, in a message.
    LabelOp op = ipmb_label_op_and(ipmb_label_op_leaf("a"), ipmb_label_op_not(ipmb_label_op_leaf("")));
    Selector selector = {&op, kUnicast, 0};
    CHECK(ipmb_send(&sender, ipmb_message(selector, 0, NULL, 0)) == ERROR_CODE_UNKNOWN);
    CHECK_CAUSE("Message", "label element is empty: give 1 to 255 bytes");

    // What callers make themselves has no such cause.
    CHECK(ipmb_label_op_leaf(NULL) == NULL);
    CHECK(strcmp(error_text(), "label element is null: give text in UTF-8 that ends with a NUL") == 0);
    CHECK(ipmb_message_for_reply(0, NULL, 3) == NULL);
    CHECK(strcmp(error_text(), "ptr is null: give a pointer to 3 bytes") == 0);
    CHECK(ipmb_recv(&receiver, NULL, 0) == ERROR_CODE_UNKNOWN);
    CHECK(strcmp(error_text(), "p_message is null: give a place for the result") == 0);
    message = text_to("causes", "with -1");
    ipmb_message_object_append(&message, (Object)-1);
    CHECK(ipmb_send(&sender, message) == ERROR_CODE_INVALID_ARGUMENT);
    CHECK(strcmp(error_text(), "object is OBJECT_MISSING, which is UINT64_MAX: give an open descriptor") == 0);

    ipmb_sender_drop(sender);
    ipmb_receiver_drop(receiver);
    puts("ok");
    return 0;
}
