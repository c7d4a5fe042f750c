/* eventfd and timerfd. */
#include "suite.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

CASE(eventfd2_counts)
{
    uint64_t value = 0;
    int fd = (int)CALL("eventfd", RAW(SYS_eventfd2, 3, EFD_NONBLOCK | EFD_CLOEXEC));
    CALL("read", read(fd, &value, 8));
    observe_number("value", (long)value);
    CALL("empty", read(fd, &value, 8));
    value = 5;
    CALL("write", write(fd, &value, 8));
    CALL("write", write(fd, &value, 8));
    CALL("read", read(fd, &value, 8));
    observe_number("value", (long)value);
    CALL("getfd", fcntl(fd, F_GETFD));
}

CASE(eventfd2_semaphore)
{
    uint64_t value = 0;
    int fd = (int)NEED(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
    for (int i = 0; i < 4; i++) {
        value = 77;
        CALL("read", read(fd, &value, 8));
        observe_number("value", (long)value);
    }
}

CASE(eventfd2_limits)
{
    uint64_t value = UINT64_MAX;
    int fd = (int)NEED(eventfd(0, EFD_NONBLOCK));
    CALL("largest_is_invalid", write(fd, &value, 8));
    value = UINT64_MAX - 1;
    CALL("almost", write(fd, &value, 8));
    value = 1;
    CALL("overflow", write(fd, &value, 8));
    value = 0;
    CALL("zero", write(fd, &value, 8));
    CALL("short_read", read(fd, &value, 4));
    CALL("short_write", write(fd, &value, 7));
    CALL("long_read", read(fd, (char[16]){0}, 16));
    CALL("unknown_flag", RAW(SYS_eventfd2, 0, 0x100));
    OK("old_call", RAW(SYS_eventfd, 1));
}
ALSO(eventfd2_limits, "eventfd");

CASE(eventfd2_poll)
{
    uint64_t value = UINT64_MAX - 1;
    int fd = (int)NEED(eventfd(0, EFD_NONBLOCK));
    struct pollfd poller = {fd, POLLIN | POLLOUT, 0};
    CALL("empty", poll(&poller, 1, 0));
    observe_hex("events", (unsigned long)poller.revents);
    NEED(write(fd, &value, 8));
    CALL("full", poll(&poller, 1, 0));
    observe_hex("events", (unsigned long)poller.revents);
    NEED(read(fd, &value, 8));
    value = 1;
    NEED(write(fd, &value, 8));
    CALL("some", poll(&poller, 1, 0));
    observe_hex("events", (unsigned long)poller.revents);
}

CASE(eventfd2_blocking, NEEDS_FORK)
{
    uint64_t value = 0;
    int fd = (int)NEED(eventfd(0, 0));
    CHILD(child)
    {
        sleep_ms(10);
        value = 7;
        NEED(write(fd, &value, 8));
    }
    CALL("read", read(fd, &value, 8));
    observe_number("value", (long)value);
    await(child);
}

CASE(timerfd_create_clocks)
{
    OK("realtime", timerfd_create(CLOCK_REALTIME, 0));
    OK("monotonic", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    OK("boottime", timerfd_create(CLOCK_BOOTTIME, 0));
    CALL("process_clock", timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    CALL("unknown_clock", timerfd_create(99, 0));
    CALL("unknown_flag", timerfd_create(CLOCK_MONOTONIC, 1));
}

CASE(timerfd_settime_once)
{
    struct itimerspec soon = {{0, 0}, {0, 10 * MILLISECOND}}, now;
    uint64_t count = 0;
    int fd = (int)NEED(timerfd_create(CLOCK_MONOTONIC, 0));
    long long begin = now_ns();
    CALL("set", timerfd_settime(fd, 0, &soon, NULL));
    CALL("read", read(fd, &count, 8));
    IS("at_least_10ms", now_ns() - begin >= 10 * MILLISECOND);
    observe_number("count", (long)count);
    CALL("gettime", timerfd_gettime(fd, &now));
    observe_number("left", now.it_value.tv_sec + now.it_value.tv_nsec);
    CALL("short_read", read(fd, &count, 4));
}
ALSO(timerfd_settime_once, "timerfd_gettime");

CASE(timerfd_settime_periodic)
{
    struct itimerspec every = {{0, 5 * MILLISECOND}, {0, 5 * MILLISECOND}}, old, off = {{0, 0}, {0, 0}};
    uint64_t count = 0, total = 0;
    int fd = (int)NEED(timerfd_create(CLOCK_MONOTONIC, 0));
    long long begin = now_ns();
    NEED(timerfd_settime(fd, 0, &every, NULL));
    while (total < 6) {
        NEED(read(fd, &count, 8));
        total += count;
    }
    long long elapsed = now_ns() - begin;
    /* As many expirations as periods, whoever reads late. */
    IS("count_fits_time", (long long)total <= elapsed / (5 * MILLISECOND));
    sleep_ms(22);
    NEED(read(fd, &count, 8));
    IS("missed_ones_add_up", count >= 3);
    CALL("stop", timerfd_settime(fd, 0, &off, &old));
    observe_number("old_interval", old.it_interval.tv_nsec);
}
ALSO(timerfd_settime_periodic, "timerfd_gettime timerfd_create");

CASE(timerfd_settime_absolute)
{
    struct itimerspec past = {{0, 0}, {1, 0}};
    uint64_t count = 0;
    int fd = (int)NEED(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    CALL("unset", read(fd, &count, 8));
    NEED(timerfd_settime(fd, TFD_TIMER_ABSTIME, &past, NULL));
    struct pollfd poller = {fd, POLLIN, 0};
    CALL("poll", poll(&poller, 1, 10000));
    CALL("read", read(fd, &count, 8));
    observe_number("count", (long)count);
    CALL("again", read(fd, &count, 8));
}

CASE(timerfd_settime_errors)
{
    struct itimerspec bad = {{0, 0}, {0, 1000000000}}, good = {{0, 0}, {0, 1}};
    int fd = (int)NEED(timerfd_create(CLOCK_MONOTONIC, 0));
    CALL("invalid", timerfd_settime(fd, 0, &bad, NULL));
    CALL("flags", timerfd_settime(fd, 77, &good, NULL));
    CALL("no_timer", timerfd_settime(0, 0, &good, NULL));
    CALL("closed", timerfd_settime(999, 0, &good, NULL));
    CALL("bad", RAW(SYS_timerfd_settime, fd, 0, BAD_POINTER, 0));
    CALL("write", write(fd, &good, 8));
}

CASE(timerfd_gettime_counts_down)
{
    struct itimerspec later = {{7, 0}, {100, 0}}, now;
    int fd = (int)NEED(timerfd_create(CLOCK_MONOTONIC, 0));
    NEED(timerfd_settime(fd, 0, &later, NULL));
    sleep_ms(2);
    CALL("gettime", timerfd_gettime(fd, &now));
    IS("left", now.it_value.tv_sec >= 90 && now.it_value.tv_sec < 100);
    observe_number("interval", now.it_interval.tv_sec);
    CALL("no_timer", timerfd_gettime(0, &now));
    CALL("bad", RAW(SYS_timerfd_gettime, fd, BAD_POINTER));
}

/* Setting a timer anew forgets what had expired. */
CASE(timerfd_settime_resets)
{
    struct itimerspec soon = {{0, 0}, {0, 1}}, later = {{0, 0}, {100, 0}};
    uint64_t count;
    int fd = (int)NEED(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct pollfd poller = {fd, POLLIN, 0};
    NEED(timerfd_settime(fd, 0, &soon, NULL));
    CALL("poll", poll(&poller, 1, 10000));
    NEED(timerfd_settime(fd, 0, &later, NULL));
    CALL("poll", poll(&poller, 1, 0));
    CALL("read", read(fd, &count, 8));
}
