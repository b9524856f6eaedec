// What the system refuses has the code that says so, where an endpoint or a region was to be made of it.
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const char *error_text(void) {
    static char text[1024];
    ipmb_last_error(text, sizeof text);
    return text;
}

// From now on this thread, and all that it starts, get no memory files.
static bool forbid_memory_files(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    if (!forbid_memory_files()) {
        puts("this system has no filters: ok");
        return 0;
    }
    Label label = label_of("refused");
    Options options = {argv[1], &label, "", true};
    Sender sender;
    Receiver receiver;
    CHECK(ipmb_join(options, 10000, &sender, &receiver) == ERROR_CODE_SYSTEM && !sender && !receiver);
    CHECK(strcmp(error_text(), "the operating system refused a step of joining: Operation not permitted (os error 1)") == 0);
    ipmb_label_drop(label);

    MemoryRegion region;
    CHECK(ipmb_memory_region(10, &region) == ERROR_CODE_SYSTEM && !region);
    CHECK(strcmp(error_text(), "making a region: Operation not permitted (os error 1)") == 0);
    MemoryRegistry registry = ipmb_memory_registry();
    CHECK(ipmb_memory_registry_alloc(&registry, 10, NULL, &region) == ERROR_CODE_SYSTEM && !region);
    CHECK(strcmp(error_text(), "making a region: Operation not permitted (os error 1)") == 0);
    ipmb_memory_registry_drop(registry);
    // What is wrong with the size is said of the size.
    CHECK(ipmb_memory_region(0, &region) == ERROR_CODE_INVALID_ARGUMENT);
    CHECK(strncmp(error_text(), "size: ", 6) == 0);
    puts("ok");
    return 0;
}
