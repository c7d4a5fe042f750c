/* Locking all memory, and what its limits refuse. */
#include "suite.h"

CASE(mlockall_counts_future, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        CALL("future", RAW(SYS_mlockall, 2));
        char *memory = pages(1);
        CALL("discard_locked", madvise(memory, PAGE, MADV_DONTNEED));
        CALL("munlockall", RAW(SYS_munlockall));
        CALL("discard", madvise(memory, PAGE, MADV_DONTNEED));
        char *after = pages(1);
        CALL("discard_new", madvise(after, PAGE, MADV_DONTNEED));
    }
    observe_status("child", await(child));
}
ALSO(mlockall_counts_future, "munlockall");

CASE(mlockall_beyond_the_limit, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned long limit[2] = {16 * PAGE, 16 * PAGE};
        NEED(RAW(SYS_prlimit64, 0, 8 /* RLIMIT_MEMLOCK */, limit, 0));
        NEED(setresuid(65534, 65534, 65534));
        CALL("current", RAW(SYS_mlockall, 1));
        CALL("future", RAW(SYS_mlockall, 2));
        CALL("map", (long)mmap(NULL, 32 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        CALL("munlockall", RAW(SYS_munlockall));
        limit[0] = 0;
        NEED(RAW(SYS_prlimit64, 0, 8, limit, 0));
        CALL("no_limit", RAW(SYS_mlockall, 1));
    }
    observe_status("child", await(child));
}
ALSO(mlockall_beyond_the_limit, "munlockall");
