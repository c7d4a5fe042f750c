/* Clocks and sleeping. */
#include "suite.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

CASE(clock_gettime_clocks)
{
    static const struct {
        const char *name;
        int clock;
    } CLOCKS[] = {{"realtime", CLOCK_REALTIME},         {"monotonic", CLOCK_MONOTONIC},
                  {"process", CLOCK_PROCESS_CPUTIME_ID}, {"thread", CLOCK_THREAD_CPUTIME_ID},
                  {"raw", CLOCK_MONOTONIC_RAW},          {"coarse", CLOCK_REALTIME_COARSE},
                  {"monotonic_coarse", CLOCK_MONOTONIC_COARSE}, {"boot", CLOCK_BOOTTIME},
                  {"tai", CLOCK_TAI}};
    for (unsigned i = 0; i < COUNT(CLOCKS); i++) {
        struct timespec now = {-1, -1};
        CALL(CLOCKS[i].name, clock_gettime(CLOCKS[i].clock, &now));
        IS("valid", now.tv_sec >= 0 && now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
    }
}

CASE(clock_gettime_errors)
{
    struct timespec now;
    CALL("unknown", RAW(SYS_clock_gettime, 12, &now));
    CALL("large", RAW(SYS_clock_gettime, 1000, &now));
    CALL("bad_pointer", RAW(SYS_clock_gettime, CLOCK_MONOTONIC, BAD_POINTER));
    CALL("null", RAW(SYS_clock_gettime, CLOCK_REALTIME, 0));
}

/* The C library may read the clock without a call: both ways show one clock. */
CASE(clock_gettime_never_goes_back)
{
    int back = 0;
    for (int clock = 0; clock < 2; clock++) {
        struct timespec last = {0, 0}, now;
        for (int i = 0; i < 2000; i++) {
            if (i & 1)
                RAW(SYS_clock_gettime, clock, &now);
            else
                clock_gettime(clock, &now);
            back += now.tv_sec < last.tv_sec ||
                    (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec);
            last = now;
        }
    }
    observe_number("back", back);
}

CASE(clock_gettime_cpu_time_advances)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while (now.tv_sec == begin.tv_sec && now.tv_nsec < begin.tv_nsec + MILLISECOND);
    IS("advanced", 1);
    /* A sleeping program uses no processor time. */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    sleep_ms(60);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    long long used = (now.tv_sec - begin.tv_sec) * 1000000000LL + now.tv_nsec - begin.tv_nsec;
    IS("asleep_under_30ms", used < 30 * MILLISECOND);
}

CASE(clock_getres_values)
{
    struct timespec resolution = {9, 9};
    CALL("monotonic", clock_getres(CLOCK_MONOTONIC, &resolution));
    observe_number("seconds", resolution.tv_sec);
    observe_number("nanoseconds", resolution.tv_nsec);
    CALL("realtime", clock_getres(CLOCK_REALTIME, &resolution));
    observe_number("nanoseconds", resolution.tv_nsec);
    CALL("null", RAW(SYS_clock_getres, CLOCK_REALTIME, 0));
    CALL("unknown", RAW(SYS_clock_getres, 99, &resolution));
    CALL("unknown_null", RAW(SYS_clock_getres, 99, 0));
    CALL("bad", RAW(SYS_clock_getres, CLOCK_REALTIME, BAD_POINTER));
}

CASE(clock_settime_errors)
{
    struct timespec invalid = {0, 1000000000};
    struct timespec good = {1, 1};
    CALL("bad_pointer", RAW(SYS_clock_settime, CLOCK_REALTIME, BAD_POINTER));
    CALL("invalid_time", RAW(SYS_clock_settime, CLOCK_REALTIME, &invalid));
    CALL("monotonic", RAW(SYS_clock_settime, CLOCK_MONOTONIC, &good));
    CALL("unknown", RAW(SYS_clock_settime, 99, &good));
}

CASE(gettimeofday_agrees)
{
    struct timeval now;
    struct timespec precise;
    CALL("gettimeofday", gettimeofday(&now, NULL));
    clock_gettime(CLOCK_REALTIME, &precise);
    IS("near", precise.tv_sec - now.tv_sec <= 5 && precise.tv_sec >= now.tv_sec);
    IS("after_2020", now.tv_sec > 1577836800);
    CALL("null", RAW(SYS_gettimeofday, 0, 0));
    CALL("bad", RAW(SYS_gettimeofday, BAD_POINTER, 0));
    int zone[2] = {77, 77};
    CALL("zone", RAW(SYS_gettimeofday, 0, zone));
    IS("zone_written", zone[0] != 77);
}

CASE(time_agrees)
{
    time_t stored = 0;
    long now = RAW(SYS_time, &stored);
    IS("stored", now == stored);
    IS("near", time(NULL) - now <= 5);
    CALL("bad", RAW(SYS_time, BAD_POINTER));
}

CASE(times_clock_ticks)
{
    struct tms used = {-1, -1, -1, -1};
    IS("worked", times(&used) != -1);
    IS("user", used.tms_utime >= 0);
    IS("system", used.tms_stime >= 0);
    observe_number("children", used.tms_cutime + used.tms_cstime);
    CALL("bad", RAW(SYS_times, BAD_POINTER));
    IS("null", RAW(SYS_times, 0) != -1);
}

CASE(nanosleep_elapsed)
{
    struct timespec twenty = {0, 20 * MILLISECOND};
    long long begin = now_ns();
    CALL("nanosleep", nanosleep(&twenty, NULL));
    IS("at_least_20ms", now_ns() - begin >= 20 * MILLISECOND);
    IS("under_5s", now_ns() - begin < 5000 * MILLISECOND);
}

CASE(nanosleep_errors)
{
    struct timespec nothing = {0, 0}, large = {0, 1000000000}, negative = {-1, 0};
    struct timespec minus = {0, -1};
    CALL("zero", nanosleep(&nothing, NULL));
    CALL("large", nanosleep(&large, NULL));
    CALL("negative_seconds", nanosleep(&negative, NULL));
    CALL("negative_nanoseconds", nanosleep(&minus, NULL));
    CALL("bad_pointer", RAW(SYS_nanosleep, BAD_POINTER, 0));
    CALL("remainder_unused", RAW(SYS_nanosleep, &nothing, BAD_POINTER));
}

CASE(clock_nanosleep_absolute)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    observe_error("past", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
    long long target = now_ns() + 20 * MILLISECOND;
    until.tv_sec = target / 1000000000;
    until.tv_nsec = target % 1000000000;
    observe_error("future", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
    IS("reached", now_ns() >= target);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec -= 100;
    observe_error("realtime", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL));
}

CASE(clock_nanosleep_errors)
{
    struct timespec nothing = {0, 0}, large = {0, 1000000000};
    CALL("unknown_clock", RAW(SYS_clock_nanosleep, 99, 0, &nothing, 0));
    CALL("thread_clock", RAW(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &nothing, 0));
    CALL("coarse_clock", RAW(SYS_clock_nanosleep, CLOCK_REALTIME_COARSE, 0, &nothing, 0));
    CALL("invalid_time", RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &large, 0));
    CALL("bad_pointer", RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD_POINTER, 0));
    CALL("boottime", RAW(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &nothing, 0));
    CALL("tai", RAW(SYS_clock_nanosleep, CLOCK_TAI, 0, &nothing, 0));
}

CASE(getrusage_self)
{
    struct rusage used;
    memset(&used, 0xff, sizeof used);
    memset(pages(512), 1, 512 * PAGE);
    CALL("self", getrusage(RUSAGE_SELF, &used));
    IS("user", used.ru_utime.tv_sec >= 0 && used.ru_utime.tv_usec < 1000000);
    IS("resident_kilobytes", used.ru_maxrss >= 1024 && used.ru_maxrss < 1 << 20);
    CALL("thread", getrusage(RUSAGE_THREAD, &used));
    CALL("children", getrusage(RUSAGE_CHILDREN, &used));
    observe_number("children_user", used.ru_utime.tv_sec + used.ru_utime.tv_usec);
    CALL("unknown", RAW(SYS_getrusage, 2, &used));
    CALL("bad", RAW(SYS_getrusage, RUSAGE_SELF, BAD_POINTER));
}

/* The clocks of threads and processes by their identity. */
CASE(clock_gettime_by_identity)
{
    struct timespec now;
    long self = getpid(), thread = gettid();
    enum { VIRTUAL = 1, SCHEDULED = 2, DEVICE = 3, THREAD = 4 };
#define CLOCK_OF(id, kind) ((int)(~(unsigned)(id) << 3 | (kind)))
    OK("process", RAW(SYS_clock_gettime, CLOCK_OF(self, SCHEDULED), &now));
    OK("thread", RAW(SYS_clock_gettime, CLOCK_OF(thread, THREAD | SCHEDULED), &now));
    OK("virtual", RAW(SYS_clock_gettime, CLOCK_OF(self, VIRTUAL), &now));
    OK("own", RAW(SYS_clock_gettime, CLOCK_OF(0, SCHEDULED), &now));
    OK("resolution", RAW(SYS_clock_getres, CLOCK_OF(self, SCHEDULED), &now));
    OK("no_process", RAW(SYS_clock_gettime, CLOCK_OF(4194303, SCHEDULED), &now));
    OK("no_thread", RAW(SYS_clock_gettime, CLOCK_OF(4194303, THREAD | SCHEDULED), &now));
    OK("no_device", RAW(SYS_clock_gettime, CLOCK_OF(1000000, DEVICE), &now));
    OK("set", RAW(SYS_clock_settime, CLOCK_OF(self, SCHEDULED), &now));
}
ALSO(clock_gettime_by_identity, "clock_getres clock_settime");
