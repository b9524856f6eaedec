// Labels and expressions: what they match, what they say, and what is refused.
#include "check.h"

static void expect(LabelOp op, const char *wanted) {
    RString text = ipmb_label_op_text(&op);
    const char *data = NULL;
    uintptr_t size = 0;
    ipmb_rstring_data(&text, &data, &size);
    CHECK(data && strcmp(data, wanted) == 0 && size == strlen(wanted));
    ipmb_rstring_drop(text);
    ipmb_label_op_drop(op);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    LabelOp a = ipmb_label_op_leaf("a");
    LabelOp b = ipmb_label_op_leaf("b c");
    LabelOp both = ipmb_label_op_and(a, ipmb_label_op_not(b));
    LabelOp either = ipmb_label_op_or(ipmb_label_op_clone(&both), ipmb_label_op_bool(false));
    expect(ipmb_label_op_clone(&both), "a & !\"b c\"");
    expect(either, "a & !\"b c\" | false");
    expect(ipmb_label_op_parse("x|y&!z"), "x | y & !z");

    Label label = label_of("a");
    CHECK(ipmb_label_op_matches(&both, &label));
    ipmb_label_insert(&label, "b c");
    ipmb_label_insert(&label, "b c");
    CHECK(!ipmb_label_op_matches(&both, &label));
    ipmb_label_op_drop(both);

    // The same handle twice is one expression, and consumed once.
    LabelOp one = ipmb_label_op_leaf("one");
    expect(ipmb_label_op_and(one, one), "one & one");

    // Deeper than the bound.
    LabelOp deep = ipmb_label_op_leaf("deep");
    int depth = 1;
    for (; deep && depth < 1000; depth++) {
        deep = ipmb_label_op_not(deep);
    }
    CHECK(deep == NULL && depth == 65);

    // An element that could not be inserted is told when the label is used.
    char longest[300];
    memset(longest, 'x', 256);
    longest[256] = 0;
    ipmb_label_insert(&label, longest);
    Options options = {argv[1], &label, "", true};
    Sender sender = NULL;
    Receiver receiver = NULL;
    CHECK(ipmb_join(options, 1000, &sender, &receiver) == ERROR_CODE_INVALID_ARGUMENT);
    char text[200];
    ipmb_last_error(text, sizeof text);
    CHECK(strstr(text, "label element is 256 bytes long") != NULL);
    ipmb_label_drop(label);
    puts("ok");
    return 0;
}
