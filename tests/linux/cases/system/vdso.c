/* The functions that the kernel gives to every program (vdso(7)), found as C libraries find
 * them, against the system calls of the same names. */
#include "suite.h"

#include <elf.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/time.h>

/* The address of a function of the vDSO; NULL: there is none. */
static void *find(const char *name)
{
    char *image = (char *)getauxval(AT_SYSINFO_EHDR);
    if (!image)
        return NULL;
    Elf64_Ehdr *header = (Elf64_Ehdr *)image;
    Elf64_Phdr *segment = (Elf64_Phdr *)(image + header->e_phoff);
    Elf64_Dyn *dynamic = NULL;
    char *base = NULL;
    for (int i = 0; i < header->e_phnum; i++, segment++) {
        if (segment->p_type == PT_LOAD)
            base = image + segment->p_offset - segment->p_vaddr;
        if (segment->p_type == PT_DYNAMIC)
            dynamic = (Elf64_Dyn *)(image + segment->p_offset);
    }
    Elf64_Sym *symbols = NULL;
    char *strings = NULL;
    Elf64_Word *hash = NULL;
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_SYMTAB)
            symbols = (Elf64_Sym *)(base + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_STRTAB)
            strings = base + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_HASH)
            hash = (Elf64_Word *)(base + dynamic->d_un.d_ptr);
    }
    if (!symbols || !strings || !hash)
        return NULL;
    for (Elf64_Word i = 0; i < hash[1]; i++)
        if (strcmp(strings + symbols[i].st_name, name) == 0)
            return base + symbols[i].st_value;
    return NULL;
}

static long long nanoseconds(const struct timespec *time)
{
    return time->tv_sec * 1000000000LL + time->tv_nsec;
}

/* How often the clock went back, read both ways in turn. */
static void compare(const char *key, clockid_t clock)
{
    int (*fast)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    struct timespec time;
    long long last = 0;
    long back = 0;
    for (int i = 0; fast && i < 20000; i++) {
        if (i & 1)
            NEED(RAW(SYS_clock_gettime, clock, &time));
        else
            NEED0(fast(clock, &time));
        back += nanoseconds(&time) < last || time.tv_nsec < 0 || time.tv_nsec > 999999999;
        last = nanoseconds(&time);
    }
    observe_number(key, fast ? back : -1);
}

CASE(clock_gettime_vdso)
{
    compare("realtime", CLOCK_REALTIME);
    compare("monotonic", CLOCK_MONOTONIC);
    compare("raw", CLOCK_MONOTONIC_RAW);
    compare("realtime_coarse", CLOCK_REALTIME_COARSE);
    compare("monotonic_coarse", CLOCK_MONOTONIC_COARSE);
    compare("boottime", CLOCK_BOOTTIME);
    compare("process", CLOCK_PROCESS_CPUTIME_ID);
    compare("thread", CLOCK_THREAD_CPUTIME_ID);
}

CASE(clock_gettime_vdso_errors)
{
    int (*fast)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    struct timespec time = {1, 2};
    observe_number("unknown", fast(77, &time));
    observe_number("ten", fast(10, &time));
    observe_number("seconds", time.tv_sec);
    observe_number("nanoseconds", time.tv_nsec);
}

CASE(gettimeofday_vdso)
{
    int (*fast)(struct timeval *, struct timezone *) = find("__vdso_gettimeofday");
    struct timeval one, two;
    struct timezone zone = {7, 7};
    long back = 0, last = 0;
    for (int i = 0; i < 10000; i++) {
        if (i & 1)
            NEED(RAW(SYS_gettimeofday, &one, NULL));
        else
            NEED0(fast(&one, NULL));
        long now = one.tv_sec * 1000000L + one.tv_usec;
        back += now < last || one.tv_usec < 0 || one.tv_usec > 999999;
        last = now;
    }
    observe_number("back", back);
    observe_number("zone only", fast(NULL, &zone));
    observe_number("west", zone.tz_minuteswest);
    observe_number("both", fast(&two, &zone));
    observe_number("neither", fast(NULL, NULL));
}

CASE(time_vdso)
{
    time_t (*fast)(time_t *) = find("__vdso_time");
    time_t stored = 0, returned = fast(&stored);
    IS("stored", stored == returned);
    IS("near", labs(RAW(SYS_time, NULL) - returned) <= 1);
    IS("without", labs(fast(NULL) - returned) <= 1);
}

CASE(getcpu_vdso)
{
    int (*fast)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
    cpu_set_t set;
    NEED(sched_getaffinity(0, sizeof set, &set));
    long wrong = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        cpu_set_t one;
        unsigned here = 999, node = 999;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        NEED(sched_setaffinity(0, sizeof one, &one));
        wrong += fast(&here, &node, NULL) != 0 || here != (unsigned)cpu || node == 999;
        wrong += fast(NULL, NULL, NULL) != 0;
    }
    observe_number("wrong", wrong);
}
