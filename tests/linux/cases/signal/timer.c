/* Timers that send signals. */
#include "suite.h"

#include <sys/time.h>

static volatile int count;
static siginfo_t info;

static void count_signal(int signal, siginfo_t *from, void *context)
{
    (void)signal;
    (void)context;
    info = *from;
    count++;
}

CASE(alarm_fires, NEEDS_SIGNALS)
{
    handle_info(SIGALRM, count_signal, 0);
    long long begin = now_ns();
    CALL("alarm", RAW(SYS_alarm, 1));
    pause();
    IS("about_a_second", elapsed_ms(begin) >= 990);
    observe_number("count", count);
    observe_number("code", info.si_code);
}

CASE(alarm_returns_rest)
{
    CALL("first", RAW(SYS_alarm, 100));
    long rest = RAW(SYS_alarm, 50);
    IS("second", rest == 99 || rest == 100);
    rest = RAW(SYS_alarm, 0);
    IS("cancel", rest == 49 || rest == 50);
    CALL("none", RAW(SYS_alarm, 0));
}

CASE(alarm_not_inherited, NEEDS_FORK)
{
    NEED(RAW(SYS_alarm, 100));
    CHILD(child)
    {
        CALL("child", RAW(SYS_alarm, 0));
    }
    await(child);
    IS("parent", RAW(SYS_alarm, 0) >= 95);
}

CASE(setitimer_repeats, NEEDS_SIGNALS)
{
    struct itimerval every = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}}, now;
    handle_info(SIGALRM, count_signal, 0);
    CALL("set", setitimer(ITIMER_REAL, &every, NULL));
    while (count < 5)
        pause();
    CALL("get", getitimer(ITIMER_REAL, &now));
    observe_number("interval", now.it_interval.tv_usec);
    IS("left", now.it_value.tv_usec <= 5000);
    CALL("stop", setitimer(ITIMER_REAL, &never, &now));
    observe_number("old_interval", now.it_interval.tv_usec);
    NEED(getitimer(ITIMER_REAL, &now));
    observe_number("left", now.it_value.tv_usec + now.it_value.tv_sec);
}
ALSO(setitimer_repeats, "getitimer");

CASE(setitimer_cpu_time, NEEDS_SIGNALS)
{
    struct itimerval soon = {{0, 0}, {0, 5000}};
    handle_info(SIGPROF, count_signal, 0);
    handle_info(SIGVTALRM, count_signal, 0);
    CALL("profile", setitimer(ITIMER_PROF, &soon, NULL));
    while (count < 1)
        ;
    CALL("virtual", setitimer(ITIMER_VIRTUAL, &soon, NULL));
    while (count < 2)
        ;
    observe_signal("last", info.si_signo);
}

CASE(setitimer_errors)
{
    struct itimerval bad = {{0, 0}, {0, 1000000}}, negative = {{0, 0}, {-1, 0}}, now;
    CALL("unknown", RAW(SYS_setitimer, 3, &bad, 0));
    CALL("microseconds", RAW(SYS_setitimer, ITIMER_REAL, &bad, 0));
    CALL("negative", RAW(SYS_setitimer, ITIMER_REAL, &negative, 0));
    CALL("bad_pointer", RAW(SYS_setitimer, ITIMER_REAL, BAD_POINTER, 0));
    CALL("get_unknown", RAW(SYS_getitimer, 3, &now));
    CALL("get_bad", RAW(SYS_getitimer, ITIMER_REAL, BAD_POINTER));
}
ALSO(setitimer_errors, "getitimer");

CASE(getitimer_shares_alarm)
{
    struct itimerval now;
    NEED(RAW(SYS_alarm, 100));
    CALL("get", getitimer(ITIMER_REAL, &now));
    IS("seconds", now.it_value.tv_sec == 99 || now.it_value.tv_sec == 100);
    observe_number("interval", now.it_interval.tv_sec);
    CALL("virtual", getitimer(ITIMER_VIRTUAL, &now));
    observe_number("unset", now.it_value.tv_sec + now.it_value.tv_usec);
    RAW(SYS_alarm, 0);
}

static int create(int clock, int notify, int signal, int value)
{
    struct sigevent event = {0};
    int timer = -1;
    event.sigev_notify = notify;
    event.sigev_signo = signal;
    event.sigev_value.sival_int = value;
    NEED(RAW(SYS_timer_create, clock, &event, &timer));
    return timer;
}

CASE(timer_create_signal_value, NEEDS_SIGNALS)
{
    struct itimerspec soon = {{0, 0}, {0, 5 * MILLISECOND}};
    handle_info(SIGRTMIN, count_signal, 0);
    int timer = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 4711);
    CALL("set", RAW(SYS_timer_settime, timer, 0, &soon, 0));
    while (!count)
        sleep_ms(1);
    observe_number("code", info.si_code);
    observe_number("value", info.si_value.sival_int);
    IS("timer_id", info.si_timerid == timer);
    observe_number("overrun", info.si_overrun);
    sleep_ms(15);
    observe_number("once", count);
}

CASE(timer_create_errors)
{
    struct sigevent event = {0};
    int timer;
    event.sigev_notify = 77;
    CALL("notify", RAW(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 65;
    CALL("signal", RAW(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
    event.sigev_signo = SIGALRM;
    CALL("clock", RAW(SYS_timer_create, 99, &event, &timer));
    CALL("bad", RAW(SYS_timer_create, CLOCK_MONOTONIC, BAD_POINTER, &timer));
    CALL("bad_result", RAW(SYS_timer_create, CLOCK_MONOTONIC, &event, BAD_POINTER));
}

CASE(timer_create_default_event, NEEDS_SIGNALS)
{
    struct itimerspec soon = {{0, 0}, {0, 2 * MILLISECOND}};
    int timer = -1;
    handle_info(SIGALRM, count_signal, 0);
    CALL("create", RAW(SYS_timer_create, CLOCK_REALTIME, 0, &timer));
    NEED(RAW(SYS_timer_settime, timer, 0, &soon, 0));
    while (!count)
        sleep_ms(1);
    IS("value_is_the_id", info.si_value.sival_int == timer);
}

CASE(timer_settime_interval_and_gettime, NEEDS_SIGNALS)
{
    struct itimerspec every = {{0, 5 * MILLISECOND}, {0, 5 * MILLISECOND}}, now, old;
    struct itimerspec never = {{0, 0}, {0, 0}};
    handle_info(SIGUSR1, count_signal, 0);
    int timer = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
    CALL("gettime_unset", RAW(SYS_timer_gettime, timer, &now));
    observe_number("value", now.it_value.tv_nsec + now.it_value.tv_sec);
    NEED(RAW(SYS_timer_settime, timer, 0, &every, 0));
    while (count < 4)
        sleep_ms(1);
    CALL("gettime", RAW(SYS_timer_gettime, timer, &now));
    observe_number("interval", now.it_interval.tv_nsec);
    IS("left", now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 5 * MILLISECOND);
    CALL("stop", RAW(SYS_timer_settime, timer, 0, &never, &old));
    observe_number("old_interval", old.it_interval.tv_nsec);
    CALL("delete", RAW(SYS_timer_delete, timer));
    CALL("gone", RAW(SYS_timer_gettime, timer, &now));
}
ALSO(timer_settime_interval_and_gettime, "timer_gettime timer_delete");

CASE(timer_settime_absolute, NEEDS_SIGNALS)
{
    struct itimerspec past = {{0, 0}, {0, 1}};
    handle_info(SIGUSR1, count_signal, 0);
    int timer = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
    CALL("set", RAW(SYS_timer_settime, timer, TIMER_ABSTIME, &past, 0));
    while (!count)
        sleep_ms(1);
    observe_number("count", count);
}

CASE(timer_settime_errors)
{
    struct itimerspec bad = {{0, 0}, {0, 1000000000}}, good = {{0, 0}, {0, 0}};
    int timer = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
    CALL("invalid", RAW(SYS_timer_settime, timer, 0, &bad, 0));
    CALL("unknown", RAW(SYS_timer_settime, 12345, 0, &good, 0));
    CALL("bad", RAW(SYS_timer_settime, timer, 0, BAD_POINTER, 0));
    CALL("null", RAW(SYS_timer_settime, timer, 0, 0, 0));
}

static volatile int most_overruns;

static void keep_overruns(int signal, siginfo_t *from, void *context)
{
    (void)signal;
    (void)context;
    if (from->si_overrun > most_overruns)
        most_overruns = from->si_overrun;
}

CASE(timer_getoverrun_counts, NEEDS_SIGNALS)
{
    struct itimerspec every = {{0, MILLISECOND}, {0, MILLISECOND}};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    handle_info(SIGUSR1, keep_overruns, 0);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    int timer = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
    NEED(RAW(SYS_timer_settime, timer, 0, &every, 0));
    sleep_ms(30);
    NEED(sigprocmask(SIG_UNBLOCK, &set, NULL));
    IS("at_least_20", most_overruns >= 20);
    CALL("unknown", RAW(SYS_timer_getoverrun, 12345));
    CALL("delete", RAW(SYS_timer_delete, timer));
}

CASE(timer_delete_drops_timer, NEEDS_SIGNALS)
{
    struct itimerspec later = {{0, 0}, {0, 10 * MILLISECOND}};
    handle_info(SIGUSR1, count_signal, 0);
    int timer = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
    NEED(RAW(SYS_timer_settime, timer, 0, &later, 0));
    CALL("delete", RAW(SYS_timer_delete, timer));
    sleep_ms(25);
    observe_number("count", count);
    CALL("again", RAW(SYS_timer_delete, timer));
    CALL("negative", RAW(SYS_timer_delete, -1));
}
ALSO(timer_delete_drops_timer, "timer_settime");

CASE(timer_create_not_inherited, NEEDS_FORK)
{
    struct itimerspec now;
    int timer = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
    CHILD(child)
    {
        CALL("child", RAW(SYS_timer_gettime, timer, &now));
    }
    await(child);
    CALL("parent", RAW(SYS_timer_gettime, timer, &now));
}
ALSO(timer_create_not_inherited, "timer_gettime");

CASE(timer_create_thread_target, NEEDS_SIGNALS)
{
    struct {
        long value;
        int signal, notify, tid, pad[11];
    } event = {.signal = SIGUSR1, .notify = 4 /* SIGEV_THREAD_ID */};
    struct itimerspec soon = {{0, 0}, {0, MILLISECOND}};
    int timer;
    handle_info(SIGUSR1, count_signal, 0);
    event.tid = (int)RAW(SYS_gettid);
    CALL("create", RAW(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0 ? 0 : -1);
    NEED(RAW(SYS_timer_settime, timer, 0, &soon, 0));
    while (!count)
        sleep_ms(1);
    IS("ran", count == 1);
    event.tid = 0x7ffffff0;
    CALL("nobody", RAW(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
}

CASE(timer_create_cpu_clock, NEEDS_SIGNALS)
{
    struct itimerspec soon = {{0, 0}, {0, 5 * MILLISECOND}};
    handle_info(SIGUSR1, count_signal, 0);
    int timer = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 0);
    NEED(RAW(SYS_timer_settime, timer, 0, &soon, 0));
    while (!count)
        ;
    IS("fired", 1);
}

/* The limit of processor time: first SIGXCPU every second, then SIGKILL. */
CASE(setrlimit_cpu_time, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned long limit[2] = {1, 2};
        NEED(RAW(SYS_prlimit64, 0, 0 /* RLIMIT_CPU */, limit, 0));
        for (;;)
            ;
    }
    observe_status("child", await(child));
}
