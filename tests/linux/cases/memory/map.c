/* Anonymous memory: mmap, munmap, mprotect, brk. Whether an address can be used is asked of the
 * kernel (a call that copies to or from it), so that no case here needs signals. */
#include "suite.h"

static int can_write(void *address)
{
    return RAW(SYS_clock_gettime, CLOCK_MONOTONIC, address) == 0;
}

/* The contents of the page make no valid time, or none at all, so this does not sleep. */
static int can_read(void *address)
{
    return RAW(SYS_nanosleep, address, 0) == 0 || errno != EFAULT;
}

CASE(mmap_anonymous_zeroed)
{
    unsigned char *memory = pages(16);
    unsigned used = 0;
    for (unsigned i = 0; i < 16 * PAGE; i++)
        used |= memory[i];
    observe_number("used", used);
    memset(memory, 0x5a, 16 * PAGE);
    IS("kept", memory[0] == 0x5a && memory[16 * PAGE - 1] == 0x5a);
    CALL("munmap", munmap(memory, 16 * PAGE));
    /* Fresh pages again, not the old contents. */
    memory = pages(16);
    for (unsigned i = 0; i < 16 * PAGE; i++)
        used |= memory[i];
    observe_number("used_again", used);
}

CASE(mmap_errors)
{
    int private = MAP_PRIVATE | MAP_ANONYMOUS, both = PROT_READ | PROT_WRITE;
    CALL("zero_length", RAW(SYS_mmap, 0, 0, both, private, -1, 0));
    CALL("no_type", RAW(SYS_mmap, 0, PAGE, both, MAP_ANONYMOUS, -1, 0));
    CALL("bad_descriptor", RAW(SYS_mmap, 0, PAGE, both, MAP_PRIVATE, 999, 0));
    CALL("odd_offset", RAW(SYS_mmap, 0, PAGE, both, private, -1, 100));
    CALL("odd_fixed", RAW(SYS_mmap, 0x10001, PAGE, both, private | MAP_FIXED, -1, 0));
    CALL("fixed_kernel", RAW(SYS_mmap, -2 * (long)PAGE, PAGE, both, private | MAP_FIXED, -1, 0));
    CALL("wraps", RAW(SYS_mmap, 0, -1L, both, private, -1, 0));
    CALL("too_large", RAW(SYS_mmap, 0, 1L << 47, both, private, -1, 0));
}

CASE(mmap_length_is_rounded_up)
{
    char *memory = (char *)NEED(RAW(SYS_mmap, 0, 100, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    IS("aligned", (unsigned long)memory % PAGE == 0);
    IS("end_of_page", can_write(memory + PAGE - 16));
    CALL("munmap_one_byte", munmap(memory, 1));
    IS("gone", !can_write(memory + 2000));
}

CASE(mmap_fixed_replaces)
{
    char *memory = pages(4);
    memset(memory, 0x5a, 4 * PAGE);
    void *middle = mmap(memory + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    IS("there", middle == memory + PAGE);
    IS("before", memory[PAGE - 1] == 0x5a);
    IS("replaced", memory[PAGE] == 0 && memory[3 * PAGE - 1] == 0);
    IS("after", memory[3 * PAGE] == 0x5a);
}

CASE(mmap_fixed_noreplace)
{
    enum { FIXED_NOREPLACE = 0x100000 };
    char *memory = pages(3);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | FIXED_NOREPLACE;
    CALL("occupied", RAW(SYS_mmap, memory, PAGE, PROT_READ, flags, -1, 0));
    CALL("partly", RAW(SYS_mmap, memory + 2 * PAGE, 2 * PAGE, PROT_READ, flags, -1, 0));
    NEED(munmap(memory + PAGE, PAGE));
    IS("free", RAW(SYS_mmap, memory + PAGE, PAGE, PROT_READ, flags, -1, 0) ==
                   (long)(memory + PAGE));
}

CASE(mmap_hint)
{
    char *memory = pages(3);
    NEED(munmap(memory, 3 * PAGE));
    char *again = mmap(memory + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS("free_hint_is_taken", again == memory + PAGE);
    char *odd = mmap(memory + 2 * PAGE + 5, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS("odd_hint_is_rounded_down", odd == memory + 2 * PAGE);
    char *other = mmap(memory + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS("occupied_hint_is_not", other != MAP_FAILED && other != memory + PAGE);
}

CASE(mmap_low_addresses)
{
    long at_zero = RAW(SYS_mmap, 0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS("null_hint_gives_no_null", at_zero > 0x10000);
    char *below_4g = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    IS("map_32bit", (unsigned long)below_4g < 1UL << 31);
}

CASE(mmap_populate)
{
    char *memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    unsigned char resident[8] = {0};
    CALL("mincore", mincore(memory, 8 * PAGE, resident));
    unsigned count = 0;
    for (unsigned i = 0; i < 8; i++)
        count += resident[i] & 1;
    observe_number("resident", count);
}
ALSO(mmap_populate, "mincore");

CASE(mmap_none_and_noreserve)
{
    char *memory = mmap(NULL, 1L << 34, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1, 0);
    IS("reserved", memory != MAP_FAILED);
    IS("no_reading", !can_read(memory));
    CALL("commit", mprotect(memory + (1L << 33), PAGE, PROT_READ | PROT_WRITE));
    memory[1L << 33] = 7;
    IS("usable", memory[1L << 33] == 7);
    IS("rest_not", !can_write(memory + (1L << 33) + PAGE));
    CALL("release", munmap(memory, 1L << 34));
}

CASE(mmap_many)
{
    enum { MANY = 2000 };
    static char *mapped[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        mapped[i] = mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped[i] == MAP_FAILED)
            stop_case(__LINE__, errno);
        if (i % 2 == 0)
            mapped[i][17] = (char)i;
    }
    unsigned wrong = 0;
    for (unsigned i = 0; i < MANY; i++)
        wrong += mapped[i][17] != (char)(i % 2 ? 0 : i);
    observe_number("wrong", wrong);
    for (unsigned i = 0; i < MANY; i++)
        wrong += munmap(mapped[i], PAGE) != 0;
    observe_number("wrong", wrong);
}

CASE(munmap_errors)
{
    char *memory = pages(2);
    CALL("odd", RAW(SYS_munmap, memory + 1, PAGE));
    CALL("zero_length", RAW(SYS_munmap, memory, 0));
    CALL("kernel", RAW(SYS_munmap, -2 * (long)PAGE, PAGE));
    CALL("wraps", RAW(SYS_munmap, memory, -1L));
    CALL("unmap", munmap(memory, 2 * PAGE));
    CALL("again_is_fine", munmap(memory, 2 * PAGE));
}

CASE(munmap_middle)
{
    char *memory = pages(5);
    memset(memory, 0x5a, 5 * PAGE);
    CALL("middle", munmap(memory + PAGE, 3 * PAGE));
    IS("first", can_write(memory));
    IS("hole", !can_read(memory + PAGE) && !can_read(memory + 3 * PAGE + 8));
    IS("last_kept", memory[4 * PAGE] == 0x5a);
    CALL("over_the_hole", munmap(memory, 5 * PAGE));
    IS("all_gone", !can_read(memory) && !can_read(memory + 4 * PAGE));
}

CASE(mprotect_read_only)
{
    char *memory = pages(3);
    memset(memory, 0x5a, 3 * PAGE);
    CALL("protect", mprotect(memory + PAGE, PAGE, PROT_READ));
    IS("readable", memory[PAGE] == 0x5a);
    IS("not_writable", !can_write(memory + PAGE));
    IS("around", can_write(memory) && can_write(memory + 2 * PAGE));
    CALL("unprotect", mprotect(memory + PAGE, PAGE, PROT_READ | PROT_WRITE));
    IS("contents_kept", memory[PAGE + 99] == 0x5a);
    IS("writable", can_write(memory + PAGE));
    CALL("none", mprotect(memory + PAGE, PAGE, PROT_NONE));
    IS("not_readable", !can_read(memory + PAGE));
    CALL("back", mprotect(memory + PAGE, PAGE, PROT_READ));
    IS("contents_kept", memory[PAGE + 99] == 0x5a);
}

CASE(mprotect_errors)
{
    char *memory = pages(3);
    CALL("odd", RAW(SYS_mprotect, memory + 1, PAGE, PROT_READ));
    CALL("zero_length", RAW(SYS_mprotect, memory, 0, PROT_READ));
    CALL("unknown_bits", RAW(SYS_mprotect, memory, PAGE, 0x100));
    CALL("grows_both", RAW(SYS_mprotect, memory, PAGE, PROT_READ | 0x03000000));
    NEED(munmap(memory + PAGE, PAGE));
    CALL("hole", RAW(SYS_mprotect, memory, 3 * PAGE, PROT_READ));
    /* Linux changes the pages before the hole and leaves those behind it. */
    IS("before_changed", !can_write(memory));
    IS("after_unchanged", can_write(memory + 2 * PAGE));
    CALL("unmapped", RAW(SYS_mprotect, memory + PAGE, PAGE, PROT_READ));
    CALL("wraps", RAW(SYS_mprotect, memory, -(long)PAGE, PROT_READ));
}

CASE(mprotect_execute)
{
    unsigned char code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
    unsigned char *memory = pages(1);
    memcpy(memory, code, sizeof code);
    CALL("protect", mprotect(memory, PAGE, PROT_READ | PROT_EXEC));
    int (*function)(void) = (int (*)(void))(uintptr_t)memory;
    observe_number("result", function());
    CALL("writable_again", mprotect(memory, PAGE, PROT_READ | PROT_WRITE));
    memory[1] = 43;
    NEED(mprotect(memory, PAGE, PROT_READ | PROT_EXEC));
    observe_number("result", function());
}

CASE(mmap_execute_writable)
{
    unsigned char code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3};
    unsigned char *memory = (void *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memcpy(memory, code, sizeof code);
    int (*function)(void) = (int (*)(void))(uintptr_t)memory;
    observe_number("result", function());
    memory[1] = 44;
    observe_number("result", function());
}

/* A program may write code that makes system calls. */
CASE(mmap_execute_system_call)
{
    unsigned char code[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3}; /* getpid */
    unsigned char *memory = (void *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memcpy(memory, code, sizeof code);
    long (*function)(void) = (long (*)(void))(uintptr_t)memory;
    IS("getpid", function() == getpid());
    memory[1] = 110; /* getppid, in place, without any announcement */
    IS("getppid", function() == getppid());
}

static unsigned char *current_break(void)
{
    return (unsigned char *)RAW(SYS_brk, 0);
}

CASE(brk_grow_and_shrink)
{
    unsigned char *begin = current_break();
    IS("begin", begin != NULL);
    IS("grow", RAW(SYS_brk, begin + 10 * PAGE) == (long)(begin + 10 * PAGE));
    unsigned used = 0;
    for (unsigned i = 0; i < 10 * PAGE; i++)
        used |= begin[i];
    observe_number("used", used);
    memset(begin, 0x5a, 10 * PAGE);
    IS("current", current_break() == begin + 10 * PAGE);
    IS("shrink", RAW(SYS_brk, begin) == (long)begin);
    IS("grow_again", RAW(SYS_brk, begin + 10 * PAGE) == (long)(begin + 10 * PAGE));
    /* What was given back comes back as zeros; the page that was never whole may stay. */
    used = 0;
    for (unsigned long i = PAGE; i < 10 * PAGE; i++)
        used |= begin[i];
    observe_number("used_again", used);
    RAW(SYS_brk, begin);
}

CASE(brk_odd_and_impossible)
{
    unsigned char *begin = current_break();
    IS("odd", RAW(SYS_brk, begin + 12345) == (long)(begin + 12345));
    begin[12344] = 7;
    IS("below_start", RAW(SYS_brk, 4096) == (long)(begin + 12345));
    IS("huge", RAW(SYS_brk, -4096L) == (long)(begin + 12345));
    IS("kept", begin[12344] == 7);
    RAW(SYS_brk, begin);
}

CASE(mremap_grow_keeps)
{
    char *memory = pages(2);
    memory[0] = 'a';
    memory[2 * PAGE - 1] = 'z';
    char *grown = mremap(memory, 2 * PAGE, 600 * PAGE, MREMAP_MAYMOVE);
    IS("grown", grown != MAP_FAILED);
    IS("kept", grown[0] == 'a' && grown[2 * PAGE - 1] == 'z');
    IS("rest_zero", grown[2 * PAGE] == 0 && grown[600 * PAGE - 1] == 0);
    if (grown != memory)
        IS("old_gone", !can_read(memory));
    else
        IS("old_gone", 1);
    IS("shrink_in_place", mremap(grown, 600 * PAGE, PAGE, 0) == grown);
    IS("tail_gone", !can_read(grown + PAGE));
    IS("head_kept", grown[0] == 'a');
}

CASE(mremap_blocked)
{
    char *memory = pages(4);
    NEED(munmap(memory + 2 * PAGE, PAGE));
    memory[0] = 'a';
    CALL("no_room", RAW(SYS_mremap, memory, 2 * PAGE, 5 * PAGE, 0));
    IS("one_page_fits", RAW(SYS_mremap, memory, 2 * PAGE, 3 * PAGE, 0) == (long)memory);
    IS("kept", memory[0] == 'a');
}

CASE(mremap_fixed)
{
    char *from = pages(2), *to = pages(4);
    strcpy(from, "moved");
    memset(to, 0x5a, 4 * PAGE);
    IS("moved", mremap(from, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) ==
                    to + PAGE);
    observe_text("contents", to + PAGE);
    IS("around", to[0] == 0x5a && to[3 * PAGE] == 0x5a);
    IS("old_gone", !can_read(from));
}

CASE(mremap_errors)
{
    char *memory = pages(4);
    int fixed = MREMAP_MAYMOVE | MREMAP_FIXED;
    CALL("odd_address", RAW(SYS_mremap, memory + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    CALL("zero_new", RAW(SYS_mremap, memory, PAGE, 0, MREMAP_MAYMOVE));
    CALL("unknown_flag", RAW(SYS_mremap, memory, PAGE, PAGE, 0x80));
    CALL("fixed_alone", RAW(SYS_mremap, memory, PAGE, PAGE, MREMAP_FIXED, memory + PAGE));
    CALL("overlap", RAW(SYS_mremap, memory, 2 * PAGE, 2 * PAGE, fixed, memory + PAGE));
    CALL("odd_target", RAW(SYS_mremap, memory, PAGE, PAGE, fixed, memory + 100));
    CALL("private_old_zero", RAW(SYS_mremap, memory, 0, PAGE, MREMAP_MAYMOVE));
    NEED(munmap(memory + PAGE, PAGE));
    CALL("unmapped", RAW(SYS_mremap, memory + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    CALL("over_a_hole", RAW(SYS_mremap, memory, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE));
}

/* An old size of zero makes a second view of shared memory. */
CASE(mremap_duplicates_shared)
{
    char *memory = shared_pages(1);
    char *second = mremap(memory, 0, PAGE, MREMAP_MAYMOVE);
    IS("second", second != MAP_FAILED && second != memory);
    if (second == MAP_FAILED)
        return;
    memory[5] = 'x';
    IS("same_memory", second[5] == 'x');
}

CASE(mremap_dontunmap)
{
    char *memory = pages(2);
    strcpy(memory, "here");
    enum { DONTUNMAP = 4 };
    char *moved = (char *)RAW(SYS_mremap, memory, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | DONTUNMAP, 0);
    IS("moved", moved != MAP_FAILED && moved != memory);
    if (moved == MAP_FAILED)
        return;
    observe_text("new", moved);
    observe_text("old", memory);
}

CASE(madvise_dontneed)
{
    char *memory = pages(3);
    memset(memory, 0x5a, 3 * PAGE);
    CALL("madvise", madvise(memory + PAGE, PAGE, MADV_DONTNEED));
    IS("zero", memory[PAGE] == 0 && memory[2 * PAGE - 1] == 0);
    IS("around", memory[PAGE - 1] == 0x5a && memory[2 * PAGE] == 0x5a);
    char *shared = shared_pages(1);
    shared[0] = 'k';
    CALL("shared", madvise(shared, PAGE, MADV_DONTNEED));
    IS("shared_kept", shared[0] == 'k');
}

CASE(madvise_errors)
{
    char *memory = pages(3);
    CALL("odd", RAW(SYS_madvise, memory + 1, PAGE, MADV_DONTNEED));
    CALL("unknown", RAW(SYS_madvise, memory, PAGE, 999));
    CALL("zero_length", RAW(SYS_madvise, memory, 0, MADV_DONTNEED));
    CALL("wraps", RAW(SYS_madvise, memory, -1L, MADV_DONTNEED));
    NEED(munmap(memory + PAGE, PAGE));
    memory[2 * PAGE] = 1;
    CALL("hole", RAW(SYS_madvise, memory, 3 * PAGE, MADV_DONTNEED));
    IS("behind_the_hole_done", memory[2 * PAGE] == 0);
    CALL("willneed", madvise(memory, PAGE, MADV_WILLNEED));
    CALL("sequential", madvise(memory, PAGE, MADV_SEQUENTIAL));
    CALL("random", madvise(memory, PAGE, MADV_RANDOM));
    CALL("normal", madvise(memory, PAGE, MADV_NORMAL));
    CALL("free", madvise(memory, PAGE, MADV_FREE));
    CALL("remove_private", madvise(memory, PAGE, MADV_REMOVE));
}

CASE(madvise_dontfork, NEEDS_FORK)
{
    char *memory = pages(3);
    memset(memory, 0x5a, 3 * PAGE);
    CALL("dontfork", madvise(memory, PAGE, MADV_DONTFORK));
    CALL("wipe", madvise(memory + PAGE, PAGE, 18 /* MADV_WIPEONFORK */));
    CHILD(child)
    {
        IS("absent", !can_read(memory));
        IS("wiped", memory[PAGE] == 0);
        IS("kept", memory[2 * PAGE] == 0x5a);
    }
    observe_status("child", await(child));
    IS("parent", memory[0] == 0x5a && memory[PAGE] == 0x5a);
}

CASE(mincore_errors)
{
    unsigned char state[4];
    char *memory = pages(3);
    NEED(munmap(memory + PAGE, PAGE));
    CALL("hole", RAW(SYS_mincore, memory, 3 * PAGE, state));
    CALL("odd", RAW(SYS_mincore, memory + 1, PAGE, state));
    CALL("bad", RAW(SYS_mincore, memory, PAGE, BAD_POINTER));
    CALL("zero", RAW(SYS_mincore, memory, 0, state));
    memory[0] = 1;
    CALL("touched", RAW(SYS_mincore, memory, 1, state));
    observe_number("resident", state[0] & 1);
    CALL("untouched", RAW(SYS_mincore, memory + 2 * PAGE, 1, state));
    observe_number("resident", state[0] & 1);
}

CASE(mlock_range)
{
    unsigned char state[2] = {0};
    char *memory = pages(3);
    CALL("lock", mlock(memory, 2 * PAGE));
    NEED(mincore(memory, 2 * PAGE, state));
    observe_number("resident", (state[0] & 1) + (state[1] & 1));
    CALL("unlock", munlock(memory, 2 * PAGE));
    NEED(munmap(memory + PAGE, PAGE));
    CALL("hole", mlock(memory, 3 * PAGE));
    CALL("unlock_hole", munlock(memory, 3 * PAGE));
    CALL("wraps", RAW(SYS_mlock, memory, -1L));
    CALL("mlock2_flags", RAW(SYS_mlock2, memory, PAGE, 8));
    CALL("mlock2_onfault", RAW(SYS_mlock2, memory, PAGE, 1));
}
ALSO(mlock_range, "munlock mincore mlock2");

CASE(mlockall_flags)
{
    CALL("none", RAW(SYS_mlockall, 0));
    CALL("unknown", RAW(SYS_mlockall, 8));
    CALL("onfault_alone", RAW(SYS_mlockall, 4));
    CALL("munlockall", RAW(SYS_munlockall));
}
ALSO(mlockall_flags, "munlockall");

CASE(msync_errors)
{
    char *memory = shared_pages(3);
    CALL("sync", msync(memory, PAGE, MS_SYNC));
    CALL("async", msync(memory, PAGE, MS_ASYNC));
    CALL("both", RAW(SYS_msync, memory, PAGE, MS_SYNC | MS_ASYNC));
    CALL("unknown", RAW(SYS_msync, memory, PAGE, 0x40));
    CALL("odd", RAW(SYS_msync, memory + 1, PAGE, MS_SYNC));
    CALL("zero", RAW(SYS_msync, memory, 0, MS_SYNC));
    NEED(munmap(memory + PAGE, PAGE));
    CALL("hole", RAW(SYS_msync, memory, 3 * PAGE, MS_ASYNC));
}

CASE(mmap_shared_anonymous_fork, NEEDS_FORK)
{
    volatile int *shared = shared_pages(1), *private = pages(1);
    CHILD(child)
    {
        *shared = 7;
        *private = 7;
    }
    await(child);
    observe_number("shared", *shared);
    observe_number("private", *private);
}

CASE(mprotect_fork_independent, NEEDS_FORK)
{
    char *memory = pages(1);
    CHILD(child)
    {
        NEED(mprotect(memory, PAGE, PROT_NONE));
        IS("child", can_read(memory));
    }
    await(child);
    IS("parent", can_write(memory));
}

/* As just-in-time compilers have it: one view to execute, one to write. */
CASE(mmap_shared_views_of_hole)
{
    int file = (int)NEED(syscall(SYS_memfd_create, "views", 0));
    NEED(ftruncate(file, 8 * PAGE));
    volatile char *read_view = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, file, 0);
    volatile char *write_view = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    observe_number("before", read_view[3 * PAGE]);
    write_view[3 * PAGE] = 7;
    observe_number("stored", read_view[3 * PAGE]);
    CALL("pwrite", pwrite(file, "abc", 3, 5 * PAGE));
    observe_bytes("written", (const void *)(read_view + 5 * PAGE), 3);
    NEED(mprotect((void *)read_view, 8 * PAGE, PROT_READ | PROT_WRITE));
    read_view[6 * PAGE] = 9;
    observe_number("back", write_view[6 * PAGE]);
}
ALSO(mmap_shared_views_of_hole, "memfd_create pwrite64 mprotect");

CASE(mmap_shared_view_of_file_hole)
{
    put_file("sparse", "start");
    int file = (int)NEED(open("sparse", O_RDWR));
    NEED(ftruncate(file, 4 * PAGE));
    volatile char *view = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, file, 0);
    observe_number("hole", view[2 * PAGE]);
    CALL("pwrite", pwrite(file, "x", 1, 2 * PAGE));
    observe_number("written", view[2 * PAGE]);
}
ALSO(mmap_shared_view_of_file_hole, "pwrite64 ftruncate");
