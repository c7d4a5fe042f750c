/* What a handled signal does to a call that blocks. Signals come every 5 ms, so none is missed. */
#include "suite.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>

static volatile int count;

static void count_signal(int signal)
{
    (void)signal;
    count++;
}

static void begin(int flags)
{
    handle(SIGALRM, count_signal, flags);
    interrupt_often(SIGALRM);
}

static void end(void)
{
    interrupt_never();
    IS("handler_ran", count > 0);
}

CASE(read_interrupted, NEEDS_SIGNALS)
{
    int ends[2];
    char bytes[4];
    NEED(pipe(ends));
    begin(0);
    CALL("read", read(ends[0], bytes, 4));
    struct iovec part = {bytes, 4};
    CALL("readv", readv(ends[0], &part, 1));
    end();
}

static void write_late(int signal)
{
    (void)signal;
    if (++count == 3)
        write(200, "done", 4);
}

CASE(read_restarted, NEEDS_SIGNALS)
{
    int ends[2];
    char bytes[4] = "";
    NEED(pipe(ends));
    NEED(dup2(ends[1], 200));
    handle(SIGALRM, write_late, SA_RESTART);
    interrupt_often(SIGALRM);
    /* Three interruptions, restarted each time; the third handler writes. */
    CALL("read", read(ends[0], bytes, 4));
    observe_bytes("bytes", bytes, 4);
    end();
}

CASE(write_interrupted, NEEDS_SIGNALS)
{
    static char bytes[1 << 17];
    int ends[2];
    NEED(pipe(ends));
    begin(0);
    /* What went in before the interruption counts. */
    CALL("partial", write(ends[1], bytes, sizeof bytes));
    CALL("nothing_fits", write(ends[1], bytes, 1));
    end();
}

CASE(open_fifo_interrupted, NEEDS_SIGNALS)
{
    NEED(mkfifo("p", 0600));
    begin(0);
    CALL("reader", open("p", O_RDONLY));
    CALL("writer", open("p", O_WRONLY));
    end();
}

CASE(wait4_interrupted, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(child)
    {
        for (;;)
            pause();
    }
    begin(0);
    CALL("waitpid", waitpid(child, NULL, 0));
    siginfo_t info;
    CALL("waitid", waitid(P_PID, (id_t)child, &info, WEXITED));
    end();
    kill(child, SIGKILL);
    await(child);
}

CASE(wait4_restarted, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(child)
    {
        sleep_ms(40);
        _exit(5);
    }
    int status = -1;
    begin(SA_RESTART);
    IS("waitpid", waitpid(child, &status, 0) == child);
    observe_status("status", status);
    end();
}

CASE(nanosleep_interrupted, NEEDS_SIGNALS)
{
    struct timespec time = {100, 0}, left = {0, 0};
    begin(SA_RESTART);
    CALL("nanosleep", nanosleep(&time, &left));
    IS("left", left.tv_sec >= 90 && left.tv_sec < 100);
    observe_error("relative", clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &left));
    IS("left", left.tv_sec >= 90 && left.tv_sec < 100);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 100;
    left.tv_sec = 77;
    observe_error("absolute", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, &left));
    observe_number("left_untouched", left.tv_sec);
    end();
}

/* poll, select and epoll_wait come back with EINTR even under SA_RESTART. */
CASE(poll_interrupted, NEEDS_SIGNALS)
{
    int ends[2];
    NEED(pipe(ends));
    struct pollfd one = {ends[0], POLLIN, 0};
    begin(SA_RESTART);
    CALL("poll", RAW(SYS_poll, &one, 1, 100000));
    CALL("poll_forever", RAW(SYS_poll, 0, 0, -1));
    struct timespec long_time = {100, 0};
    CALL("ppoll", ppoll(&one, 1, &long_time, NULL));
    end();
}
ALSO(poll_interrupted, "ppoll");

CASE(select_interrupted, NEEDS_SIGNALS)
{
    int ends[2];
    fd_set set;
    NEED(pipe(ends));
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    begin(SA_RESTART);
    struct timeval time = {100, 0};
    CALL("select", select(ends[0] + 1, &set, NULL, NULL, &time));
    IS("set_kept", FD_ISSET(ends[0], &set));
    struct timespec long_time = {100, 0};
    CALL("pselect", pselect(ends[0] + 1, &set, NULL, NULL, &long_time, NULL));
    end();
}
ALSO(select_interrupted, "pselect6");

CASE(epoll_wait_interrupted, NEEDS_SIGNALS)
{
    struct epoll_event event;
    int fd = (int)NEED(epoll_create1(0));
    begin(SA_RESTART);
    CALL("wait", epoll_wait(fd, &event, 1, 100000));
    CALL("forever", epoll_wait(fd, &event, 1, -1));
    end();
}

/* The mask of ppoll holds only while it waits, and a pending signal ends it at once. */
CASE(ppoll_mask, NEEDS_SIGNALS)
{
    sigset_t set, none, now;
    struct timespec long_time = {100, 0};
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    handle(SIGUSR1, count_signal, 0);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    raise(SIGUSR1);
    observe_number("before", count);
    CALL("ppoll", ppoll(NULL, 0, &long_time, &none));
    observe_number("after", count);
    NEED(sigprocmask(SIG_BLOCK, NULL, &now));
    observe_number("blocked_again", sigismember(&now, SIGUSR1));
}
ALSO(ppoll_mask, "rt_sigprocmask");

CASE(epoll_pwait_mask, NEEDS_SIGNALS)
{
    sigset_t set, none;
    struct epoll_event event;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    handle(SIGUSR1, count_signal, 0);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    raise(SIGUSR1);
    int fd = (int)NEED(epoll_create1(0));
    CALL("epoll_pwait", epoll_pwait(fd, &event, 1, 100000, &none));
    observe_number("after", count);
    CALL("bad_size", RAW(SYS_epoll_pwait, fd, &event, 1, 0, &none, 4));
}

CASE(pselect6_mask, NEEDS_SIGNALS)
{
    sigset_t set, none;
    struct timespec long_time = {100, 0};
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    handle(SIGUSR1, count_signal, 0);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    raise(SIGUSR1);
    CALL("pselect", pselect(0, NULL, NULL, NULL, &long_time, &none));
    observe_number("after", count);
}

CASE(futex_wait_interrupted, NEEDS_SIGNALS)
{
    int word = 0;
    struct timespec long_time = {100, 0};
    begin(0);
    CALL("wait", RAW(SYS_futex, &word, 0, 0, 0, 0, 0));
    CALL("with_timeout", RAW(SYS_futex, &word, 0, 0, &long_time, 0, 0));
    end();
}

CASE(fcntl_lock_interrupted, NEEDS_SIGNALS | NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDWR));
    CHILD(child)
    {
        NEED(fcntl(fd, F_SETLK, &lock));
        *step = 1;
        for (;;)
            pause();
    }
    wait_until(step, 1);
    begin(0);
    CALL("lock", fcntl(fd, F_SETLKW, &lock));
    end();
    kill(child, SIGKILL);
    await(child);
}

CASE(flock_interrupted, NEEDS_SIGNALS)
{
    put_file("f", "");
    int a = (int)NEED(open("f", O_RDWR)), b = (int)NEED(open("f", O_RDWR));
    NEED(RAW(SYS_flock, a, 2));
    begin(0);
    CALL("flock", RAW(SYS_flock, b, 2));
    end();
}

/* Stopping and continuing a process leaves its blocked read alone. */
CASE(read_survives_stop, NEEDS_SIGNALS | NEEDS_FORK)
{
    int ends[2], status;
    NEED(pipe(ends));
    CHILD(child)
    {
        char byte = 0;
        CALL("read", read(ends[0], &byte, 1));
        _exit(byte);
    }
    sleep_ms(10);
    NEED(kill(child, SIGSTOP));
    NEED(waitpid(child, &status, WUNTRACED));
    NEED(kill(child, SIGCONT));
    NEED(waitpid(child, &status, WCONTINUED));
    NEED(write(ends[1], "\x07", 1));
    observe_status("child", await(child));
}

/* A storm of signals over ordinary work loses and repeats nothing. */
CASE(rt_sigreturn_storm, NEEDS_SIGNALS)
{
    struct timespec fast = {0, 100000};
    struct itimerspec period = {fast, fast};
    struct sigevent event = {0};
    timer_t timer;
    int ends[2];
    NEED(pipe(ends));
    handle(SIGUSR1, count_signal, SA_RESTART);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    NEED(timer_create(CLOCK_MONOTONIC, &event, &timer));
    NEED(timer_settime(timer, 0, &period, NULL));
    unsigned wrong = 0;
    unsigned long sum = 0, check = 0;
    for (unsigned i = 0; i < 20000 || count < 50; i++) {
        unsigned sent = i * 2654435761u, received = 0;
        wrong += write(ends[1], &sent, sizeof sent) != sizeof sent;
        wrong += read(ends[0], &received, sizeof received) != sizeof received;
        wrong += sent != received;
        sum += received;
        check += sent;
    }
    timer_delete(timer);
    observe_number("wrong", wrong);
    IS("sums", sum == check);
}
