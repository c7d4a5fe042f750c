/* poll, select and epoll. */
#include "suite.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static void observe_poll(const char *key, int fd, short events)
{
    struct pollfd one = {fd, events, 0};
    int result = poll(&one, 1, 0);
    observe_call(key, result, errno);
    observe_hex("events", (unsigned short)one.revents);
}

enum { ALL = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };

CASE(poll_pipe_states)
{
    static char bytes[1 << 16];
    int ends[2];
    NEED(pipe2(ends, O_NONBLOCK));
    observe_poll("empty_reader", ends[0], ALL);
    observe_poll("empty_writer", ends[1], ALL);
    NEED(write(ends[1], bytes, sizeof bytes));
    observe_poll("full_reader", ends[0], ALL);
    observe_poll("full_writer", ends[1], ALL);
    int writer = (int)NEED(dup(ends[1]));
    NEED(close(ends[1]));
    observe_poll("one_writer_left", ends[0], ALL);
    NEED(close(writer));
    observe_poll("hung_up_with_data", ends[0], ALL);
    while (read(ends[0], bytes, sizeof bytes) > 0)
        ;
    observe_poll("hung_up", ends[0], ALL);
    observe_poll("hung_up_unasked", ends[0], 0);
}

CASE(poll_writer_without_reader)
{
    int ends[2];
    NEED(pipe(ends));
    NEED(close(ends[0]));
    observe_poll("writer", ends[1], ALL);
    observe_poll("unasked", ends[1], 0);
}

CASE(poll_files_and_devices)
{
    put_file("f", "");
    observe_poll("file", (int)NEED(open("f", O_RDONLY)), ALL);
    observe_poll("directory", (int)NEED(open(".", O_RDONLY)), ALL);
    observe_poll("null", (int)NEED(open("/dev/null", O_RDWR)), ALL);
    observe_poll("closed", 999, ALL);
    observe_poll("negative", -1, ALL);
    observe_poll("path_only", (int)NEED(open("f", 010000000)), ALL);
}

CASE(poll_timeouts)
{
    struct pollfd none = {-1, POLLIN, 0};
    long long begin = now_ns();
    CALL("timeout", RAW(SYS_poll, &none, 1, 20));
    IS("at_least_20ms", now_ns() - begin >= 20 * MILLISECOND);
    CALL("no_descriptors", RAW(SYS_poll, 0, 0, 5));
    CALL("zero", RAW(SYS_poll, 0, 0, 0));
}

CASE(poll_errors)
{
    struct pollfd one = {0, 0, 0};
    CALL("bad", RAW(SYS_poll, BAD_POINTER, 1, 0));
    CALL("too_many", RAW(SYS_poll, &one, 1 << 30, 0));
    CALL("bad_but_none", RAW(SYS_poll, BAD_POINTER, 0, 0));
}

CASE(poll_several)
{
    int ends[2];
    NEED(pipe(ends));
    NEED(write(ends[1], "x", 1));
    struct pollfd set[5] = {{ends[0], POLLIN, 77},
                            {ends[1], POLLOUT, 77},
                            {-5, POLLIN, 77},
                            {999, POLLIN, 77},
                            {ends[0], POLLOUT, 77}};
    CALL("poll", poll(set, 5, 1000));
    for (int i = 0; i < 5; i++)
        observe_hex("events", (unsigned short)set[i].revents);
}

CASE(poll_woken, NEEDS_FORK)
{
    int ends[2];
    NEED(pipe(ends));
    CHILD(child)
    {
        sleep_ms(10);
        NEED(write(ends[1], "x", 1));
        sleep_ms(10);
    }
    NEED(close(ends[1]));
    struct pollfd one = {ends[0], POLLIN, 0};
    char byte;
    CALL("data", poll(&one, 1, 10000));
    observe_hex("events", (unsigned short)one.revents);
    NEED(read(ends[0], &byte, 1));
    CALL("hang_up", poll(&one, 1, 10000));
    observe_hex("events", (unsigned short)one.revents);
    await(child);
}

CASE(ppoll_timeouts)
{
    struct timespec ten = {0, 10 * MILLISECOND}, bad = {0, -1};
    long long begin = now_ns();
    CALL("timeout", RAW(SYS_ppoll, 0, 0, &ten, 0, 8));
    IS("at_least_10ms", now_ns() - begin >= 10 * MILLISECOND);
    IS("time_left_written", ten.tv_sec == 0 && ten.tv_nsec == 0);
    CALL("bad_time", RAW(SYS_ppoll, 0, 0, &bad, 0, 8));
    CALL("bad_pointer", RAW(SYS_ppoll, 0, 0, BAD_POINTER, 0, 8));
    unsigned long mask = 0;
    CALL("mask_size", RAW(SYS_ppoll, 0, 0, &ten, &mask, 4));
}

CASE(select_pipe_states)
{
    int ends[2];
    fd_set in, out, except;
    struct timeval zero = {0, 0};
    NEED(pipe(ends));
    for (int round = 0; round < 3; round++) {
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_ZERO(&except);
        for (int i = 0; i < 2; i++) {
            FD_SET(ends[i], &in);
            FD_SET(ends[i], &out);
            FD_SET(ends[i], &except);
        }
        CALL("select", select(ends[1] + 1, &in, &out, &except, &zero));
        observe_number("reader_in", FD_ISSET(ends[0], &in) != 0);
        observe_number("writer_out", FD_ISSET(ends[1], &out) != 0);
        observe_number("others", FD_ISSET(ends[1], &in) + FD_ISSET(ends[0], &out) +
                                     FD_ISSET(ends[0], &except) != 0);
        if (round == 0)
            NEED(write(ends[1], "x", 1));
        if (round == 1) {
            char byte;
            NEED(read(ends[0], &byte, 1));
            NEED(dup2(0, ends[1] + 1));
            NEED(close(ends[1]));
            ends[1] = ends[0];
        }
    }
}

CASE(select_errors)
{
    fd_set set;
    struct timeval bad = {0, -1}, zero = {0, 0};
    FD_ZERO(&set);
    FD_SET(40, &set);
    CALL("closed", select(41, &set, NULL, NULL, &zero));
    CALL("negative", select(-1, NULL, NULL, NULL, &zero));
    CALL("bad_time", select(0, NULL, NULL, NULL, &bad));
    CALL("bad_set", RAW(SYS_select, 10, BAD_POINTER, 0, 0, &zero));
    CALL("closed_beyond_count", select(40, &set, NULL, NULL, &zero));
}

CASE(select_timeouts)
{
    struct timeval ten = {0, 10000}, odd = {0, 1500000};
    long long begin = now_ns();
    CALL("timeout", select(0, NULL, NULL, NULL, &ten));
    IS("at_least_10ms", now_ns() - begin >= 10 * MILLISECOND);
    /* Linux writes back what is left. */
    observe_number("left", ten.tv_sec + ten.tv_usec);
    int ends[2];
    NEED(pipe(ends));
    fd_set out;
    FD_ZERO(&out);
    FD_SET(ends[1], &out);
    CALL("large_microseconds", RAW(SYS_select, ends[1] + 1, 0, &out, 0, &odd));
}

CASE(pselect6_timeouts)
{
    struct timespec ten = {0, 10 * MILLISECOND}, bad = {0, 1000000000};
    long long begin = now_ns();
    CALL("timeout", RAW(SYS_pselect6, 0, 0, 0, 0, &ten, 0));
    IS("at_least_10ms", now_ns() - begin >= 10 * MILLISECOND);
    CALL("bad_time", RAW(SYS_pselect6, 0, 0, 0, 0, &bad, 0));
    CALL("negative_count", RAW(SYS_pselect6, -1, 0, 0, 0, &ten, 0));
}

/* --- epoll --- */

static int epoll;

static void add(int fd, unsigned events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    CALL("add", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static void modify(int fd, unsigned events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    CALL("modify", epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
}

static void observe_ready(const char *key)
{
    struct epoll_event events[8];
    int number = epoll_wait(epoll, events, 8, 0);
    observe_call(key, number, errno);
    for (int i = 0; i < number; i++) {
        observe_number("data", (long)events[i].data.u64);
        observe_hex("events", events[i].events);
    }
}

CASE(epoll_create1_flags)
{
    int fd = (int)CALL("cloexec", epoll_create1(EPOLL_CLOEXEC));
    CALL("getfd", fcntl(fd, F_GETFD));
    CALL("unknown", RAW(SYS_epoll_create1, 1));
    CALL("old_zero", RAW(SYS_epoll_create, 0));
    CALL("old_negative", RAW(SYS_epoll_create, -1));
    OK("old", RAW(SYS_epoll_create, 1));
    char byte;
    CALL("read", read(fd, &byte, 1));
    CALL("write", write(fd, &byte, 1));
}
ALSO(epoll_create1_flags, "epoll_create");

CASE(epoll_ctl_errors)
{
    struct epoll_event event = {.events = EPOLLIN};
    int ends[2];
    NEED(pipe(ends));
    epoll = (int)NEED(epoll_create1(0));
    put_file("f", "");
    CALL("file", epoll_ctl(epoll, EPOLL_CTL_ADD, (int)NEED(open("f", O_RDONLY)), &event));
    CALL("directory", epoll_ctl(epoll, EPOLL_CTL_ADD, (int)NEED(open(".", O_RDONLY)), &event));
    CALL("itself", epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event));
    CALL("closed", epoll_ctl(epoll, EPOLL_CTL_ADD, 999, &event));
    CALL("closed_epoll", epoll_ctl(999, EPOLL_CTL_ADD, ends[0], &event));
    CALL("no_epoll", epoll_ctl(ends[1], EPOLL_CTL_ADD, ends[0], &event));
    CALL("unknown", epoll_ctl(epoll, 77, ends[0], &event));
    CALL("modify_missing", epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event));
    CALL("delete_missing", epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], &event));
    CALL("bad", RAW(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, ends[0], BAD_POINTER));
    CALL("add", epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    CALL("again", epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    CALL("delete_without_event", RAW(SYS_epoll_ctl, epoll, EPOLL_CTL_DEL, ends[0], 0));
}

CASE(epoll_wait_errors)
{
    struct epoll_event event;
    epoll = (int)NEED(epoll_create1(0));
    CALL("zero_events", epoll_wait(epoll, &event, 0, 0));
    CALL("negative_events", RAW(SYS_epoll_wait, epoll, &event, -1, 0));
    CALL("closed", epoll_wait(999, &event, 1, 0));
    CALL("no_epoll", epoll_wait(0, &event, 1, 0));
    CALL("empty", epoll_wait(epoll, &event, 1, 0));
    int counter = (int)NEED(eventfd(1, 0));
    add(counter, EPOLLIN, 5);
    CALL("bad", RAW(SYS_epoll_wait, epoll, BAD_POINTER, 1, 0));
    observe_ready("not_lost");
}

CASE(epoll_wait_level)
{
    int ends[2];
    char byte;
    NEED(pipe(ends));
    epoll = (int)NEED(epoll_create1(0));
    add(ends[0], EPOLLIN, 7);
    observe_ready("empty");
    NEED(write(ends[1], "ab", 2));
    observe_ready("ready");
    observe_ready("still_ready");
    NEED(read(ends[0], &byte, 1));
    observe_ready("half_read");
    NEED(read(ends[0], &byte, 1));
    observe_ready("all_read");
    NEED(close(ends[1]));
    observe_ready("hung_up");
}

CASE(epoll_wait_edge)
{
    int ends[2];
    char byte;
    NEED(pipe(ends));
    epoll = (int)NEED(epoll_create1(0));
    add(ends[0], EPOLLIN | EPOLLET, 7);
    NEED(write(ends[1], "ab", 2));
    observe_ready("ready");
    observe_ready("told_once");
    NEED(read(ends[0], &byte, 1));
    observe_ready("reading_is_no_edge");
    NEED(write(ends[1], "c", 1));
    observe_ready("new_data_is");
    observe_ready("told_once");
    NEED(close(ends[1]));
    observe_ready("hang_up_is");
}

CASE(epoll_wait_edge_existing_data)
{
    int counter = (int)NEED(eventfd(1, EFD_NONBLOCK));
    uint64_t one = 1;
    epoll = (int)NEED(epoll_create1(0));
    add(counter, EPOLLIN | EPOLLOUT | EPOLLET, 3);
    observe_ready("both");
    observe_ready("once");
    NEED(write(counter, &one, 8));
    observe_ready("write");
    modify(counter, EPOLLIN | EPOLLET, 4);
    observe_ready("modify_tells_again");
}

CASE(epoll_wait_one_shot)
{
    int counter = (int)NEED(eventfd(1, EFD_NONBLOCK));
    uint64_t one = 1;
    epoll = (int)NEED(epoll_create1(0));
    add(counter, EPOLLIN | EPOLLONESHOT, 3);
    observe_ready("once");
    NEED(write(counter, &one, 8));
    observe_ready("disabled");
    modify(counter, EPOLLIN | EPOLLONESHOT, 4);
    observe_ready("rearmed");
    observe_ready("disabled");
}

CASE(epoll_wait_always_reports)
{
    int ends[2];
    NEED(pipe(ends));
    epoll = (int)NEED(epoll_create1(0));
    add(ends[0], 0, 1);
    observe_ready("nothing_asked");
    NEED(write(ends[1], "x", 1));
    observe_ready("data_unasked");
    NEED(close(ends[1]));
    observe_ready("hang_up_unasked");
    int other[2];
    NEED(pipe(other));
    add(other[1], EPOLLOUT, 2);
    NEED(close(other[0]));
    observe_ready("error");
}

/* The last descriptor of a file takes its entry with it; a duplicate keeps it alive. */
CASE(epoll_wait_closed_descriptor)
{
    int counter = (int)NEED(eventfd(1, 0)), copy = (int)NEED(dup(counter));
    epoll = (int)NEED(epoll_create1(0));
    add(counter, EPOLLIN, 9);
    NEED(close(counter));
    observe_ready("duplicate_lives");
    struct epoll_event event = {0};
    CALL("delete_closed", epoll_ctl(epoll, EPOLL_CTL_DEL, counter, &event));
    NEED(close(copy));
    observe_ready("gone");
    int other = (int)NEED(eventfd(1, 0));
    IS("number_reused", other == counter);
    add(other, EPOLLIN, 10);
    observe_ready("new_one");
}

CASE(epoll_ctl_same_file_twice)
{
    int counter = (int)NEED(eventfd(1, 0)), copy = (int)NEED(dup(counter));
    epoll = (int)NEED(epoll_create1(0));
    add(counter, EPOLLIN, 1);
    add(copy, EPOLLIN, 2);
    struct epoll_event events[4];
    CALL("both", epoll_wait(epoll, events, 4, 0));
    observe_number("sum", (long)(events[0].data.u64 + events[1].data.u64));
}

CASE(epoll_wait_fair)
{
    int counters[6];
    unsigned seen = 0;
    epoll = (int)NEED(epoll_create1(0));
    for (unsigned i = 0; i < 6; i++) {
        counters[i] = (int)NEED(eventfd(1, 0));
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, counters[i], &event));
    }
    /* All stay ready; whoever asks for two at a time still sees each. */
    for (int round = 0; round < 3; round++) {
        struct epoll_event events[2];
        NEED(epoll_wait(epoll, events, 2, 0));
        seen |= 1u << events[0].data.u32 | 1u << events[1].data.u32;
    }
    observe_hex("seen", seen);
}

CASE(epoll_wait_nested)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
    int counter = (int)NEED(eventfd(0, EFD_NONBLOCK));
    uint64_t one = 1;
    int inner = (int)NEED(epoll_create1(0));
    epoll = (int)NEED(epoll_create1(0));
    NEED(epoll_ctl(inner, EPOLL_CTL_ADD, counter, &event));
    add(inner, EPOLLIN, 2);
    observe_ready("empty");
    NEED(write(counter, &one, 8));
    observe_ready("ready");
    struct pollfd poller = {epoll, POLLIN, 0};
    CALL("poll_of_epoll", poll(&poller, 1, 0));
    NEED(read(counter, &one, 8));
    observe_ready("drained");
    CALL("cycle", epoll_ctl(inner, EPOLL_CTL_ADD, epoll, &event));
}

CASE(epoll_ctl_exclusive)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    int counter = (int)NEED(eventfd(1, 0));
    epoll = (int)NEED(epoll_create1(0));
    add(counter, EPOLLIN | EPOLLEXCLUSIVE, 1);
    observe_ready("ready");
    CALL("modify", epoll_ctl(epoll, EPOLL_CTL_MOD, counter, &event));
    event.events |= EPOLLONESHOT;
    CALL("with_oneshot", epoll_ctl(epoll, EPOLL_CTL_ADD, (int)NEED(dup(counter)), &event));
    event.events = EPOLLIN | EPOLLEXCLUSIVE;
    CALL("of_epoll", epoll_ctl(epoll, EPOLL_CTL_ADD, (int)NEED(epoll_create1(0)), &event));
}

CASE(epoll_wait_timeouts)
{
    struct epoll_event event;
    epoll = (int)NEED(epoll_create1(0));
    long long begin = now_ns();
    CALL("timeout", epoll_wait(epoll, &event, 1, 20));
    IS("at_least_20ms", now_ns() - begin >= 20 * MILLISECOND);
    IS("under_5s", now_ns() - begin < 5000 * MILLISECOND);
    begin = now_ns();
    struct timespec ten = {0, 10 * MILLISECOND};
    CALL("pwait2", RAW(441, epoll, &event, 1, &ten, 0, 8));
    IS("at_least_10ms", now_ns() - begin >= 10 * MILLISECOND);
}
ALSO(epoll_wait_timeouts, "epoll_pwait2");

static void *write_later(void *argument)
{
    uint64_t one = 1;
    sleep_ms(10);
    NEED(write(*(int *)argument, &one, 8));
    return NULL;
}

CASE(epoll_wait_woken_by_thread, NEEDS_THREADS)
{
    struct epoll_event event;
    pthread_t thread;
    int counter = (int)NEED(eventfd(0, 0));
    epoll = (int)NEED(epoll_create1(0));
    add(counter, EPOLLIN, 1);
    NEED0(pthread_create(&thread, NULL, write_later, &counter));
    CALL("wait", epoll_wait(epoll, &event, 1, 10000));
    pthread_join(thread, NULL);
}

static void *add_later(void *argument)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 6};
    sleep_ms(10);
    NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, *(int *)argument, &event));
    return NULL;
}

/* An entry added while another thread waits must wake it. */
CASE(epoll_wait_sees_added, NEEDS_THREADS)
{
    struct epoll_event event = {0};
    pthread_t thread;
    int counter = (int)NEED(eventfd(1, 0));
    epoll = (int)NEED(epoll_create1(0));
    NEED0(pthread_create(&thread, NULL, add_later, &counter));
    CALL("wait", epoll_wait(epoll, &event, 1, 10000));
    observe_number("data", (long)event.data.u64);
    pthread_join(thread, NULL);
}

static volatile int wakeups, waiting;

static void *wait_once(void *argument)
{
    struct epoll_event event;
    (void)argument;
    __atomic_fetch_add(&waiting, 1, __ATOMIC_RELEASE);
    if (epoll_wait(epoll, &event, 1, 10000) == 1)
        __atomic_fetch_add(&wakeups, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* With one edge only one of several waiters is told. */
CASE(epoll_wait_edge_wakes_one, NEEDS_THREADS)
{
    pthread_t threads[3];
    uint64_t one = 1;
    int counter = (int)NEED(eventfd(0, EFD_NONBLOCK));
    epoll = (int)NEED(epoll_create1(0));
    add(counter, EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 3; i++)
        NEED0(pthread_create(&threads[i], NULL, wait_once, NULL));
    wait_until(&waiting, 3);
    for (int round = 1; round <= 3; round++) {
        NEED(write(counter, &one, 8));
        wait_until(&wakeups, round);
        sleep_ms(5);
        observe_number("wakeups", wakeups);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* What is registered belongs to the file, not to the process: a child shares it. */
CASE(epoll_wait_inherited, NEEDS_FORK)
{
    int counter = (int)NEED(eventfd(1, 0));
    epoll = (int)NEED(epoll_create1(0));
    add(counter, EPOLLIN, 4);
    CHILD(child)
    {
        observe_ready("child");
        struct epoll_event event = {0};
        CALL("delete", epoll_ctl(epoll, EPOLL_CTL_DEL, counter, &event));
    }
    await(child);
    observe_ready("parent");
}
