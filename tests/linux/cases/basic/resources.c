/* Limits, usage, scheduling parameters. */
#include "suite.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>

CASE(getrlimit_inherited, NEEDS_FORK)
{
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_STACK, &limit));
    limit.rlim_cur = 4 << 20;
    NEED(setrlimit(RLIMIT_STACK, &limit));
    CHILD(child)
    {
        NEED(getrlimit(RLIMIT_STACK, &limit));
        observe_number("inherited", (long)limit.rlim_cur);
        limit.rlim_cur = 2 << 20;
        NEED(setrlimit(RLIMIT_STACK, &limit));
    }
    await(child);
    NEED(getrlimit(RLIMIT_STACK, &limit));
    observe_number("own", (long)limit.rlim_cur);
}

CASE(getrlimit_hard_only_down, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        struct rlimit limit = {50, 60};
        NEED(setrlimit(RLIMIT_NOFILE, &limit));
        NEED(setresuid(65534, 65534, 65534));
        limit.rlim_max = 61;
        CALL("raise_hard", setrlimit(RLIMIT_NOFILE, &limit));
        limit = (struct rlimit){60, 60};
        CALL("raise_soft", setrlimit(RLIMIT_NOFILE, &limit));
        limit = (struct rlimit){40, 40};
        CALL("lower_hard", setrlimit(RLIMIT_NOFILE, &limit));
        NEED(getrlimit(RLIMIT_NOFILE, &limit));
        observe_number("now", (long)limit.rlim_max);
    }
    observe_status("child", await(child));
}
ALSO(getrlimit_hard_only_down, "setrlimit");

CASE(prlimit64_of_child, NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    struct rlimit limit = {33, 44}, old = {0, 0};
    CHILD(child)
    {
        wait_until(step, 1);
        NEED(getrlimit(RLIMIT_NOFILE, &limit));
        observe_number("seen", (long)limit.rlim_cur);
    }
    CALL("set", RAW(SYS_prlimit64, child, RLIMIT_NOFILE, &limit, 0));
    CALL("get", RAW(SYS_prlimit64, child, RLIMIT_NOFILE, 0, &old));
    observe_number("current", (long)old.rlim_cur);
    observe_number("maximum", (long)old.rlim_max);
    step[0] = 1;
    await(child);
}

CASE(getrusage_faults)
{
    struct rusage before, after;
    NEED(getrusage(RUSAGE_SELF, &before));
    memset(pages(256), 1, 256 * PAGE);
    NEED(getrusage(RUSAGE_SELF, &after));
    IS("minor_faults_counted", after.ru_minflt > before.ru_minflt);
    IS("no_less_memory", after.ru_maxrss >= before.ru_maxrss);
}

static void *burn(void *argument)
{
    struct rusage usage;
    long long begin = now_ns();
    while (elapsed_ms(begin) < 30)
        ;
    NEED(getrusage(RUSAGE_THREAD, &usage));
    return (void *)(long)(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec +
                          usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec +
                          (argument != NULL));
}

CASE(getrusage_thread, NEEDS_THREADS)
{
    struct rusage own;
    pthread_t thread;
    void *used;
    NEED0(pthread_create(&thread, NULL, burn, NULL));
    pthread_join(thread, &used);
    NEED(getrusage(RUSAGE_SELF, &own));
    long process = own.ru_utime.tv_sec * 1000000 + own.ru_utime.tv_usec +
                   own.ru_stime.tv_sec * 1000000 + own.ru_stime.tv_usec;
    IS("thread_used", (long)used > 0);
    IS("part_of_process", process >= (long)used - 10000);
}

CASE(sysinfo_counts_up)
{
    struct sysinfo first, second;
    NEED(sysinfo(&first));
    NEED(sysinfo(&second));
    IS("uptime", second.uptime >= first.uptime);
    IS("same_total", first.totalram == second.totalram);
    IS("swap", first.freeswap <= first.totalswap);
}

CASE(sysinfo_bad_pointers)
{
    CALL("null", RAW(SYS_sysinfo, 0));
    CALL("kernel", RAW(SYS_sysinfo, KERNEL_POINTER));
    char *page = page_before_hole();
    CALL("across", RAW(SYS_sysinfo, page + PAGE - 50));
}

CASE(gettimeofday_raw_and_library)
{
    struct timeval raw, library;
    NEED(RAW(SYS_gettimeofday, &raw, 0));
    NEED(gettimeofday(&library, NULL));
    IS("order", library.tv_sec > raw.tv_sec ||
                    (library.tv_sec == raw.tv_sec && library.tv_usec >= raw.tv_usec));
    IS("microseconds", raw.tv_usec >= 0 && raw.tv_usec < 1000000);
}

CASE(gettimeofday_bad_zone)
{
    struct timeval now;
    CALL("bad_zone", RAW(SYS_gettimeofday, &now, BAD_POINTER));
    CALL("kernel", RAW(SYS_gettimeofday, KERNEL_POINTER, 0));
}

CASE(time_null)
{
    long now = RAW(SYS_time, 0);
    IS("positive", now > 1577836800);
    IS("not_ahead", now <= time(NULL));
}

CASE(time_stores_everywhere)
{
    char *page = page_before_hole();
    IS("at_the_end", RAW(SYS_time, page + PAGE - 8) > 0);
    CALL("across", RAW(SYS_time, page + PAGE - 4));
}

CASE(clock_getres_all_clocks)
{
    for (int clock = 0; clock < 12; clock++) {
        struct timespec resolution = {9, 9};
        if (clock == 8 || clock == 9 || clock == 10)
            continue;
        CALL("clock", clock_getres(clock, &resolution));
        IS("at_most_10ms", resolution.tv_sec == 0 && resolution.tv_nsec >= 1 &&
                               resolution.tv_nsec <= 10 * MILLISECOND);
    }
}

CASE(clock_getres_negative)
{
    struct timespec resolution;
    CALL("large_negative", RAW(SYS_clock_getres, -1, &resolution));
    CALL("of_self", RAW(SYS_clock_getres, -6, &resolution));
}

CASE(clock_nanosleep_relative)
{
    struct timespec ten = {0, 10 * MILLISECOND}, left = {7, 7};
    long long begin = now_ns();
    observe_error("sleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &ten, &left));
    IS("at_least_10ms", now_ns() - begin >= 10 * MILLISECOND);
    observe_number("left_untouched", left.tv_sec * 10 + left.tv_nsec);
    begin = now_ns();
    observe_error("realtime", clock_nanosleep(CLOCK_REALTIME, 0, &ten, NULL));
    IS("at_least_10ms", now_ns() - begin >= 10 * MILLISECOND);
}

CASE(clock_settime_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        NEED(setresuid(65534, 65534, 65534));
        CALL("clock", RAW(SYS_clock_settime, CLOCK_REALTIME, &now));
        CALL("day", RAW(SYS_settimeofday, (&(struct timeval){now.tv_sec, 0}), 0));
    }
    observe_status("child", await(child));
}
ALSO(clock_settime_not_permitted, "settimeofday");

CASE(settimeofday_errors, NEEDS_ROOT)
{
    struct timeval bad = {0, 1000000}, negative = {-1, 0};
    CALL("microseconds", RAW(SYS_settimeofday, &bad, 0));
    CALL("negative", RAW(SYS_settimeofday, &negative, 0));
    CALL("bad_pointer", RAW(SYS_settimeofday, BAD_POINTER, 0));
    CALL("bad_zone", RAW(SYS_settimeofday, 0, BAD_POINTER));
}

CASE(getpriority_inherited, NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(RAW(SYS_setpriority, PRIO_PROCESS, 0, 7));
        CALL("own", RAW(SYS_getpriority, PRIO_PROCESS, getpid()));
        IS("group", RAW(SYS_getpriority, PRIO_PGRP, 0) >= 13);
    }
    observe_status("child", await(child));
}

CASE(sched_setparam_errors)
{
    struct sched_param zero = {0}, five = {5};
    CALL("zero", RAW(SYS_sched_setparam, 0, &zero));
    CALL("priority_without_policy", RAW(SYS_sched_setparam, 0, &five));
    CALL("null", RAW(SYS_sched_setparam, 0, 0));
    CALL("bad", RAW(SYS_sched_setparam, 0, BAD_POINTER));
    CALL("nobody", RAW(SYS_sched_setparam, 0x7ffffff0, &zero));
    CALL("negative", RAW(SYS_sched_setparam, -1, &zero));
}

CASE(sched_getparam_errors)
{
    struct sched_param seen = {9};
    CALL("bad", RAW(SYS_sched_getparam, 0, BAD_POINTER));
    CALL("nobody", RAW(SYS_sched_getparam, 0x7ffffff0, &seen));
    CALL("negative", RAW(SYS_sched_getparam, -1, &seen));
}

CASE(sched_setscheduler_idle, NEEDS_FORK)
{
    CHILD(child)
    {
        struct sched_param zero = {0};
        CALL("idle", RAW(SYS_sched_setscheduler, 0, SCHED_IDLE, &zero));
        CALL("policy", RAW(SYS_sched_getscheduler, 0));
        CHILD(inner)
        {
            CALL("inherited", RAW(SYS_sched_getscheduler, 0));
        }
        await(inner);
    }
    observe_status("child", await(child));
}
ALSO(sched_setscheduler_idle, "sched_getscheduler");

CASE(sched_setscheduler_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        struct sched_param one = {1};
        struct rlimit none = {0, 0};
        NEED(setrlimit(RLIMIT_RTPRIO, &none));
        NEED(setresuid(65534, 65534, 65534));
        CALL("fifo", RAW(SYS_sched_setscheduler, 0, SCHED_FIFO, &one));
        CALL("round_robin", RAW(SYS_sched_setscheduler, 0, SCHED_RR, &one));
    }
    observe_status("child", await(child));
}

static void *own_policy(void *argument)
{
    struct sched_param zero = {0};
    (void)argument;
    NEED(RAW(SYS_sched_setscheduler, 0, SCHED_BATCH, &zero));
    return (void *)RAW(SYS_sched_getscheduler, 0);
}

CASE(sched_getscheduler_per_thread, NEEDS_THREADS)
{
    pthread_t thread;
    void *seen;
    NEED0(pthread_create(&thread, NULL, own_policy, NULL));
    pthread_join(thread, &seen);
    observe_number("thread", (long)seen);
    CALL("main", RAW(SYS_sched_getscheduler, 0));
}

CASE(personality_inherited, NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(RAW(SYS_personality, 0x0040000));
        CHILD(inner)
        {
            CALL("inner", RAW(SYS_personality, 0xffffffff));
        }
        await(inner);
    }
    await(child);
    CALL("outer", RAW(SYS_personality, 0xffffffff));
}

CASE(ioprio_get_default)
{
    IS("own", RAW(SYS_ioprio_get, 1, 0) >= 0);
    CALL("unknown", RAW(SYS_ioprio_get, 9, 0));
    CALL("nobody", RAW(SYS_ioprio_get, 1, 0x7ffffff0));
    CALL("set_unknown", RAW(SYS_ioprio_set, 9, 0, 0));
    CALL("set_bad_class", RAW(SYS_ioprio_set, 1, 0, 7 << 13));
    CALL("set_best_effort", RAW(SYS_ioprio_set, 1, 0, 2 << 13 | 5));
    CALL("get", RAW(SYS_ioprio_get, 1, 0));
}
ALSO(ioprio_get_default, "ioprio_set");

CASE(getcpu_bad_pointers)
{
    unsigned value;
    CALL("node", RAW(SYS_getcpu, 0, BAD_POINTER, 0));
    CALL("cache_ignored", RAW(SYS_getcpu, &value, &value, BAD_POINTER));
}

CASE(getcpu_library)
{
    int cpu = sched_getcpu();
    cpu_set_t set;
    NEED(sched_getaffinity(0, sizeof set, &set));
    IS("allowed", cpu >= 0 && CPU_ISSET(cpu, &set));
}
