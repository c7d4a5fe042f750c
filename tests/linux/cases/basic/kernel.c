/* What the kernel tells about itself and the machine: random bytes, limits, processors. */
#include "suite.h"

#include <sched.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

CASE(getrandom_fills)
{
    unsigned char one[64] = {0}, two[64] = {0};
    CALL("first", getrandom(one, sizeof one, 0));
    CALL("second", getrandom(two, sizeof two, 0));
    IS("differ", memcmp(one, two, sizeof one) != 0);
    unsigned zeros = 0;
    for (unsigned i = 0; i < sizeof one; i++)
        zeros += one[i] == 0;
    IS("not_empty", zeros < 16);
    CALL("nonblock", getrandom(one, 8, GRND_NONBLOCK));
    CALL("random", getrandom(one, 8, GRND_RANDOM));
    CALL("zero", getrandom(one, 0, 0));
}

CASE(getrandom_large)
{
    size_t length = 300000;
    unsigned char *bytes = pages(length / PAGE + 1);
    CALL("getrandom", getrandom(bytes, length, 0));
    unsigned used = 0;
    for (unsigned i = 0; i < 16; i++)
        used |= bytes[length - 1 - i];
    IS("end_filled", used != 0);
    IS("beyond_untouched", bytes[length] == 0);
}

CASE(getrandom_errors)
{
    char byte;
    CALL("flags", RAW(SYS_getrandom, &byte, 1, 0x100));
    CALL("insecure_and_random", RAW(SYS_getrandom, &byte, 1, 6));
    CALL("bad_pointer", RAW(SYS_getrandom, BAD_POINTER, 8, 0));
    char *page = page_before_hole();
    CALL("partial", RAW(SYS_getrandom, page + PAGE - 10, 64, 0));
}

CASE(sysinfo_fields)
{
    struct sysinfo info;
    memset(&info, 0xff, sizeof info);
    CALL("sysinfo", sysinfo(&info));
    IS("uptime", info.uptime < 1L << 40);
    IS("memory", info.totalram * info.mem_unit >= 1 << 20);
    IS("free", info.freeram <= info.totalram);
    IS("processes", info.procs >= 1);
    IS("unit", info.mem_unit >= 1);
    CALL("bad", RAW(SYS_sysinfo, BAD_POINTER));
}

CASE(getrlimit_all)
{
    unsigned bad = 0;
    for (int resource = 0; resource < 16; resource++) {
        struct rlimit limit = {5, 4};
        bad += getrlimit(resource, &limit) != 0 || limit.rlim_cur > limit.rlim_max;
    }
    observe_number("bad", bad);
    struct rlimit limit;
    CALL("unknown", RAW(SYS_getrlimit, 16, &limit));
    CALL("bad_pointer", RAW(SYS_getrlimit, 7, BAD_POINTER));
}

CASE(setrlimit_round_trip)
{
    struct rlimit before, lower, seen;
    NEED(getrlimit(RLIMIT_NOFILE, &before));
    lower = before;
    lower.rlim_cur = 100;
    CALL("lower", setrlimit(RLIMIT_NOFILE, &lower));
    NEED(getrlimit(RLIMIT_NOFILE, &seen));
    observe_number("current", (long)seen.rlim_cur);
    IS("maximum_kept", seen.rlim_max == before.rlim_max);
    struct rlimit wrong = {20, 10};
    CALL("current_over_maximum", setrlimit(RLIMIT_NOFILE, &wrong));
    CALL("unknown", RAW(SYS_setrlimit, 99, &lower));
    CALL("bad", RAW(SYS_setrlimit, RLIMIT_NOFILE, BAD_POINTER));
    CALL("restore", setrlimit(RLIMIT_NOFILE, &before));
}
ALSO(setrlimit_round_trip, "getrlimit");

CASE(prlimit64_old_and_new)
{
    struct rlimit before, lower, old;
    CALL("get", RAW(SYS_prlimit64, 0, RLIMIT_CORE, 0, &before));
    lower = before;
    lower.rlim_cur = 0;
    CALL("set", RAW(SYS_prlimit64, getpid(), RLIMIT_CORE, &lower, &old));
    IS("old", old.rlim_cur == before.rlim_cur);
    CALL("both_null", RAW(SYS_prlimit64, 0, RLIMIT_CORE, 0, 0));
    CALL("nobody", RAW(SYS_prlimit64, 0x7ffffff0, RLIMIT_CORE, 0, &old));
    CALL("unknown", RAW(SYS_prlimit64, 0, 16, 0, &old));
    CALL("bad", RAW(SYS_prlimit64, 0, RLIMIT_CORE, BAD_POINTER, 0));
}

CASE(sched_getaffinity_sizes)
{
    unsigned long mask[128] = {0};
    long size = RAW(SYS_sched_getaffinity, 0, sizeof mask, mask);
    IS("positive", size > 0 && size % 8 == 0);
    unsigned any = 0;
    for (unsigned i = 0; i < COUNT(mask); i++)
        any += mask[i] != 0;
    IS("any", any > 0);
    CALL("zero_size", RAW(SYS_sched_getaffinity, 0, 0, mask));
    CALL("odd_size", RAW(SYS_sched_getaffinity, 0, 1023, mask));
    CALL("bad", RAW(SYS_sched_getaffinity, 0, sizeof mask, BAD_POINTER));
    CALL("nobody", RAW(SYS_sched_getaffinity, 0x7ffffff0, sizeof mask, mask));
}

CASE(sched_setaffinity_one_cpu)
{
    unsigned long before[16] = {0}, one[16] = {0}, seen[16] = {0}, none[16] = {0};
    NEED(RAW(SYS_sched_getaffinity, 0, sizeof before, before));
    unsigned first = 0;
    while (!(before[first / 64] & 1UL << first % 64))
        first++;
    one[first / 64] = 1UL << first % 64;
    CALL("set", RAW(SYS_sched_setaffinity, 0, sizeof one, one));
    NEED(RAW(SYS_sched_getaffinity, 0, sizeof seen, seen));
    IS("seen", memcmp(seen, one, sizeof one) == 0);
    unsigned cpu = 9999, node = 9999;
    CALL("getcpu", RAW(SYS_getcpu, &cpu, &node, 0));
    IS("on_it", cpu == first);
    CALL("empty", RAW(SYS_sched_setaffinity, 0, sizeof none, none));
    CALL("bad", RAW(SYS_sched_setaffinity, 0, 8, BAD_POINTER));
    CALL("restore", RAW(SYS_sched_setaffinity, 0, sizeof before, before));
}
ALSO(sched_setaffinity_one_cpu, "sched_getaffinity getcpu");

CASE(getcpu_in_mask)
{
    unsigned long mask[16] = {0};
    unsigned cpu = 9999, node = 9999;
    NEED(RAW(SYS_sched_getaffinity, 0, sizeof mask, mask));
    CALL("getcpu", RAW(SYS_getcpu, &cpu, &node, 0));
    IS("allowed", cpu < 1024 && (mask[cpu / 64] & 1UL << cpu % 64));
    CALL("nulls", RAW(SYS_getcpu, 0, 0, 0));
    CALL("bad", RAW(SYS_getcpu, BAD_POINTER, 0, 0));
}

CASE(sched_yield_returns)
{
    CALL("yield", sched_yield());
}

CASE(sched_getscheduler_default)
{
    struct sched_param parameters = {77};
    CALL("policy", RAW(SYS_sched_getscheduler, 0));
    CALL("param", RAW(SYS_sched_getparam, 0, &parameters));
    observe_number("priority", parameters.sched_priority);
    CALL("nobody", RAW(SYS_sched_getscheduler, 0x7ffffff0));
    CALL("negative", RAW(SYS_sched_getscheduler, -1));
    CALL("null", RAW(SYS_sched_getparam, 0, 0));
}
ALSO(sched_getscheduler_default, "sched_getparam");

CASE(sched_get_priority_max_policies)
{
    for (int policy = 0; policy < 8; policy++) {
        CALL("max", RAW(SYS_sched_get_priority_max, policy));
        CALL("min", RAW(SYS_sched_get_priority_min, policy));
    }
}
ALSO(sched_get_priority_max_policies, "sched_get_priority_min");

CASE(sched_setscheduler_errors)
{
    struct sched_param zero = {0}, five = {5};
    CALL("other", RAW(SYS_sched_setscheduler, 0, SCHED_OTHER, &zero));
    CALL("other_with_priority", RAW(SYS_sched_setscheduler, 0, SCHED_OTHER, &five));
    CALL("batch", RAW(SYS_sched_setscheduler, 0, SCHED_BATCH, &zero));
    CALL("policy", RAW(SYS_sched_getscheduler, 0));
    CALL("fifo_zero", RAW(SYS_sched_setscheduler, 0, SCHED_FIFO, &zero));
    CALL("unknown", RAW(SYS_sched_setscheduler, 0, 42, &zero));
    CALL("null", RAW(SYS_sched_setscheduler, 0, SCHED_OTHER, 0));
    CALL("restore", RAW(SYS_sched_setscheduler, 0, SCHED_OTHER, &zero));
}

CASE(getpriority_and_raise)
{
    CALL("before", RAW(SYS_getpriority, PRIO_PROCESS, 0));
    CALL("unknown", RAW(SYS_getpriority, 9, 0));
    CALL("nobody", RAW(SYS_getpriority, PRIO_PROCESS, 0x7ffffff0));
    CALL("set_unknown", RAW(SYS_setpriority, 9, 0, 0));
    CALL("set_nobody", RAW(SYS_setpriority, PRIO_PROCESS, 0x7ffffff0, 0));
}
ALSO(getpriority_and_raise, "setpriority");

CASE(setpriority_child_inherits, NEEDS_FORK)
{
    CHILD(child)
    {
        CALL("set", RAW(SYS_setpriority, PRIO_PROCESS, 0, 5));
        /* The raw call returns 20 - nice, so that no error hides. */
        CALL("get", RAW(SYS_getpriority, PRIO_PROCESS, 0));
        CALL("clamped", RAW(SYS_setpriority, PRIO_PROCESS, 0, 100));
        CALL("get", RAW(SYS_getpriority, PRIO_PROCESS, 0));
        CHILD(inner)
        {
            CALL("inherited", RAW(SYS_getpriority, PRIO_PROCESS, 0));
        }
        await(inner);
    }
    observe_status("child", await(child));
    CALL("parent", RAW(SYS_getpriority, PRIO_PROCESS, 0));
}
ALSO(setpriority_child_inherits, "getpriority");

CASE(execve_auxiliary_vector)
{
    observe_number("page_size", (long)getauxval(AT_PAGESZ));
    observe_number("clock_ticks", (long)getauxval(AT_CLKTCK));
    observe_number("secure", (long)getauxval(AT_SECURE));
    IS("uid", getauxval(AT_UID) == getuid());
    IS("euid", getauxval(AT_EUID) == geteuid());
    IS("gid", getauxval(AT_GID) == getgid());
    IS("egid", getauxval(AT_EGID) == getegid());
    observe_text("platform", (const char *)getauxval(AT_PLATFORM));
    observe_number("program_header_size", (long)getauxval(AT_PHENT));
    IS("program_headers", getauxval(AT_PHNUM) > 2);
    IS("entry", getauxval(AT_ENTRY) != 0);
    IS("file_name", getauxval(AT_EXECFN) && *(const char *)getauxval(AT_EXECFN));
    observe_number("flags", (long)getauxval(AT_FLAGS));
}

CASE(execve_auxiliary_program_headers)
{
    struct header {
        uint32_t type, flags;
        uint64_t offset, address, physical, file_size, memory_size, alignment;
    };
    const struct header *headers = (const void *)getauxval(AT_PHDR);
    unsigned long count = getauxval(AT_PHNUM);
    unsigned loads = 0, stacks = 0, entry_inside = 0;
    unsigned long base = 0;
    for (unsigned long i = 0; i < count; i++)
        if (headers[i].type == 6) /* the table itself: tells the load address */
            base = (unsigned long)headers - headers[i].address;
    for (unsigned long i = 0; i < count; i++) {
        unsigned long start = base + headers[i].address;
        loads += headers[i].type == 1;
        stacks += headers[i].type == 0x6474e551;
        entry_inside += headers[i].type == 1 && (headers[i].flags & 1) &&
                        getauxval(AT_ENTRY) >= start &&
                        getauxval(AT_ENTRY) < start + headers[i].memory_size;
    }
    IS("loads", loads >= 2);
    observe_number("stacks", stacks);
    observe_number("entry_inside", entry_inside);
}

CASE(execve_auxiliary_random)
{
    const unsigned char *bytes = (const void *)getauxval(AT_RANDOM);
    IS("there", bytes != NULL);
    unsigned zeros = 0;
    for (unsigned i = 0; bytes && i < 16; i++)
        zeros += bytes[i] == 0;
    IS("random", zeros < 8);
}

CASE(execve_environment_and_arguments)
{
    extern char **environ;
    IS("environment", environ != NULL);
    const char *directory = getenv("TMPDIR");
    IS("passed", directory != NULL && directory[0] == '/');
    /* Strings lie above the vectors that point to them. */
    IS("above", environ[0] == NULL || (char *)environ[0] > (char *)environ);
}

CASE(arch_prctl_fs_base)
{
    unsigned long base = 0, self;
    CALL("get", RAW(SYS_arch_prctl, 0x1003, &base));
    __asm__("mov %%fs:0, %0" : "=r"(self));
    IS("is_the_thread_pointer", base == self);
    CALL("set_same", RAW(SYS_arch_prctl, 0x1002, base));
    CALL("get_bad", RAW(SYS_arch_prctl, 0x1003, BAD_POINTER));
    CALL("set_kernel", RAW(SYS_arch_prctl, 0x1002, KERNEL_POINTER));
    CALL("set_non_canonical", RAW(SYS_arch_prctl, 0x1002, 0x8000000000000000UL));
    CALL("unknown", RAW(SYS_arch_prctl, 0x9999, 0));
}

CASE(arch_prctl_gs_base)
{
    unsigned long base = 9, through = 0;
    static unsigned long value = 0x1122334455667788;
    CALL("get", RAW(SYS_arch_prctl, 0x1004, &base));
    observe_number("initially", (long)base);
    CALL("set", RAW(SYS_arch_prctl, 0x1001, &value));
    RAW(SYS_sched_yield);
    __asm__ volatile("mov %%gs:0, %0" : "=r"(through));
    observe_hex("through", through);
    CALL("get", RAW(SYS_arch_prctl, 0x1004, &base));
    IS("same", base == (unsigned long)&value);
    CALL("reset", RAW(SYS_arch_prctl, 0x1001, 0));
}

CASE(personality_query)
{
    CALL("query", RAW(SYS_personality, 0xffffffff));
    CALL("set_no_randomize", RAW(SYS_personality, 0x0040000));
    CALL("query", RAW(SYS_personality, 0xffffffff));
    CALL("restore", RAW(SYS_personality, 0));
}

CASE(syslog_errors, NEEDS_ROOT)
{
    char buffer[8];
    CALL("unknown", RAW(SYS_syslog, 99, buffer, 8));
    CALL("negative_length", RAW(SYS_syslog, 3, buffer, -1));
    CALL("null", RAW(SYS_syslog, 3, 0, 8));
}

CASE(setdomainname_errors, NEEDS_ROOT)
{
    CALL("negative", RAW(SYS_setdomainname, "x", -1));
    CALL("too_long", RAW(SYS_setdomainname, "x", 65));
    CALL("host_negative", RAW(SYS_sethostname, "x", -1));
    CALL("host_too_long", RAW(SYS_sethostname, "x", 65));
    CALL("host_bad", RAW(SYS_sethostname, BAD_POINTER, 4));
}
ALSO(setdomainname_errors, "sethostname");

CASE(reboot_wrong_magic, NEEDS_ROOT)
{
    CALL("magic", RAW(SYS_reboot, 1, 2, 3, 0));
}
