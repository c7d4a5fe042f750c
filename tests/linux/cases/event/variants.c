/* The older and the rarer forms of the waiting calls. */
#include "suite.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

CASE(epoll_create_works)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 5};
    int counter = (int)NEED(eventfd(1, 0));
    int epoll = (int)OK("create", RAW(SYS_epoll_create, 100));
    CALL("getfd", fcntl(epoll, F_GETFD));
    CALL("add", epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event));
    CALL("wait", epoll_wait(epoll, &event, 1, 0));
    observe_number("data", (long)event.data.u64);
}

CASE(epoll_create1_many)
{
    int first = (int)NEED(epoll_create1(0)), second = (int)NEED(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN};
    int counter = (int)NEED(eventfd(1, 0));
    NEED(epoll_ctl(first, EPOLL_CTL_ADD, counter, &event));
    NEED(epoll_ctl(second, EPOLL_CTL_ADD, counter, &event));
    CALL("first", epoll_wait(first, &event, 1, 0));
    CALL("second", epoll_wait(second, &event, 1, 0));
}

CASE(epoll_create1_poll)
{
    struct epoll_event event = {.events = EPOLLIN};
    int counter = (int)NEED(eventfd(0, 0)), epoll = (int)NEED(epoll_create1(0));
    uint64_t one = 1;
    struct pollfd poller = {epoll, POLLIN | POLLOUT, 0};
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event));
    CALL("quiet", poll(&poller, 1, 0));
    NEED(write(counter, &one, 8));
    CALL("ready", poll(&poller, 1, 0));
    observe_hex("events", (unsigned short)poller.revents);
}

CASE(epoll_pwait_without_mask)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 3};
    int counter = (int)NEED(eventfd(1, 0)), epoll = (int)NEED(epoll_create1(0));
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event));
    CALL("null_mask", RAW(SYS_epoll_pwait, epoll, &event, 1, 0, 0, 8));
    CALL("null_mask_any_size", RAW(SYS_epoll_pwait, epoll, &event, 1, 0, 0, 77));
    CALL("bad_mask", RAW(SYS_epoll_pwait, epoll, &event, 1, 0, BAD_POINTER, 8));
    CALL("no_events", RAW(SYS_epoll_pwait, epoll, &event, 0, 0, 0, 8));
}

CASE(epoll_pwait_timeout)
{
    struct epoll_event event;
    int epoll = (int)NEED(epoll_create1(0));
    sigset_t none;
    sigemptyset(&none);
    long long begin = now_ns();
    CALL("timeout", epoll_pwait(epoll, &event, 1, 15, &none));
    IS("at_least_15ms", now_ns() - begin >= 15 * MILLISECOND);
}

CASE(epoll_pwait2_times)
{
    struct epoll_event event;
    struct timespec bad = {0, 1000000000}, nothing = {0, 0};
    int epoll = (int)NEED(epoll_create1(0));
    CALL("zero", RAW(441, epoll, &event, 1, &nothing, 0, 8));
    CALL("bad", RAW(441, epoll, &event, 1, &bad, 0, 8));
    CALL("bad_pointer", RAW(441, epoll, &event, 1, BAD_POINTER, 0, 8));
    CALL("closed", RAW(441, 999, &event, 1, &nothing, 0, 8));
}

CASE(epoll_pwait2_ready)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 8};
    int counter = (int)NEED(eventfd(1, 0)), epoll = (int)NEED(epoll_create1(0));
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event));
    CALL("forever", RAW(441, epoll, &event, 1, 0, 0, 8));
    observe_number("data", (long)event.data.u64);
}

CASE(eventfd_plain)
{
    uint64_t value = 0;
    int fd = (int)OK("create", RAW(SYS_eventfd, 7));
    observe_hex("getfl", (unsigned long)fcntl(fd, F_GETFL));
    CALL("getfd", fcntl(fd, F_GETFD));
    CALL("read", read(fd, &value, 8));
    observe_number("value", (long)value);
}

CASE(eventfd_vectors)
{
    uint64_t value = 5;
    struct iovec out = {&value, 8}, shorter = {&value, 4};
    int fd = (int)NEED(RAW(SYS_eventfd, 0));
    CALL("writev", writev(fd, &out, 1));
    CALL("too_short", writev(fd, &shorter, 1));
    CALL("readv", readv(fd, &out, 1));
    observe_number("value", (long)value);
}

CASE(signalfd_old_call, NEEDS_SIGNALS)
{
    unsigned long mask = 1UL << (SIGUSR1 - 1);
    struct signalfd_siginfo info;
    NEED(RAW(SYS_rt_sigprocmask, SIG_BLOCK, &mask, 0, 8));
    int fd = (int)OK("create", RAW(SYS_signalfd, -1, &mask, 8));
    raise(SIGUSR1);
    CALL("read", read(fd, &info, sizeof info));
    observe_number("signal", info.ssi_signo);
    CALL("size", RAW(SYS_signalfd, -1, &mask, 4));
}

CASE(signalfd4_poll, NEEDS_SIGNALS)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = (int)NEED(signalfd(-1, &set, 0));
    struct pollfd one = {fd, POLLIN, 0};
    CALL("quiet", poll(&one, 1, 0));
    raise(SIGUSR2);
    CALL("ready", poll(&one, 1, 1000));
    observe_hex("events", (unsigned short)one.revents);
    struct signalfd_siginfo info;
    CALL("bad", RAW(SYS_read, fd, BAD_POINTER, sizeof info));
    CALL("write", write(fd, &info, sizeof info));
}

CASE(timerfd_create_flags)
{
    int fd = (int)NEED(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    uint64_t count;
    observe_hex("getfl", (unsigned long)fcntl(fd, F_GETFL));
    CALL("getfd", fcntl(fd, F_GETFD));
    CALL("unset", read(fd, &count, 8));
}

CASE(pselect6_ready)
{
    int ends[2];
    fd_set in;
    struct timespec nothing = {0, 0};
    struct {
        void *mask;
        size_t size;
    } empty = {NULL, 8}, wrong = {&nothing, 4};
    NEED(pipe(ends));
    NEED(write(ends[1], "x", 1));
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    CALL("ready", RAW(SYS_pselect6, ends[0] + 1, &in, 0, 0, &nothing, &empty));
    observe_number("set", FD_ISSET(ends[0], &in) != 0);
    CALL("wrong_size", RAW(SYS_pselect6, 0, 0, 0, 0, &nothing, &wrong));
    CALL("bad_mask", RAW(SYS_pselect6, 0, 0, 0, 0, &nothing, BAD_POINTER));
}

CASE(ppoll_ready)
{
    int ends[2];
    NEED(pipe(ends));
    struct pollfd one = {ends[1], POLLOUT, 0};
    CALL("forever", RAW(SYS_ppoll, &one, 1, 0, 0, 8));
    observe_hex("events", (unsigned short)one.revents);
    CALL("bad", RAW(SYS_ppoll, BAD_POINTER, 1, 0, 0, 8));
}

CASE(tee_then_splice)
{
    int from[2], to[2];
    char text[8] = "";
    NEED(pipe(from));
    NEED(pipe(to));
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDWR));
    NEED(write(from[1], "data", 4));
    CALL("tee", RAW(SYS_tee, from[0], to[1], 100, 0));
    CALL("splice", RAW(SYS_splice, from[0], 0, fd, 0, 100, 0));
    observe_file("f", "f");
    CALL("read", read(to[0], text, 8));
    observe_text("text", text);
}

CASE(tee_errors)
{
    int from[2], to[2];
    NEED(pipe(from));
    NEED(pipe(to));
    CALL("flags", RAW(SYS_tee, from[0], to[1], 4, 0x100));
    CALL("closed", RAW(SYS_tee, 999, to[1], 4, 0));
    CALL("wrong_ends", RAW(SYS_tee, from[1], to[1], 4, 0));
    CALL("zero", RAW(SYS_tee, from[0], to[1], 0, 0));
    NEED(close(from[1]));
    CALL("end", RAW(SYS_tee, from[0], to[1], 4, 0));
}

CASE(vmsplice_reads)
{
    int ends[2];
    char a[4] = "", b[4] = "";
    struct iovec parts[2] = {{a, 2}, {b, 3}};
    NEED(pipe(ends));
    NEED(write(ends[1], "abcde", 5));
    CALL("vmsplice", RAW(SYS_vmsplice, ends[0], parts, 2, 0));
    observe_text("a", a);
    observe_text("b", b);
}

CASE(vmsplice_errors)
{
    int ends[2];
    struct iovec bad = {BAD_POINTER, 4}, good = {"x", 1};
    NEED(pipe(ends));
    CALL("bad_part", RAW(SYS_vmsplice, ends[1], &bad, 1, 0));
    CALL("bad_vector", RAW(SYS_vmsplice, ends[1], BAD_POINTER, 1, 0));
    CALL("closed", RAW(SYS_vmsplice, 999, &good, 1, 0));
    CALL("none", RAW(SYS_vmsplice, ends[1], &good, 0, 0));
}
