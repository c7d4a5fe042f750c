/* More of queued signals, waiting for signals, POSIX timers. */
#include "suite.h"

#include <sys/signalfd.h>

static volatile int count, value, code;

static void note(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    count++;
    value = info->si_value.sival_int;
    code = info->si_code;
}

CASE(rt_sigqueueinfo_values, NEEDS_SIGNALS)
{
    siginfo_t info = {0};
    handle_info(SIGUSR1, note, 0);
    info.si_code = SI_QUEUE;
    info.si_value.sival_int = 31;
    CALL("queue", RAW(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    observe_number("value", value);
    observe_number("code", code);
    CALL("zero", RAW(SYS_rt_sigqueueinfo, getpid(), 0, &info));
    CALL("unknown", RAW(SYS_rt_sigqueueinfo, getpid(), 65, &info));
    CALL("nobody", RAW(SYS_rt_sigqueueinfo, 0x7ffffff0, SIGUSR1, &info));
    CALL("bad", RAW(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, BAD_POINTER));
    observe_number("count", count);
}

CASE(rt_tgsigqueueinfo_thread, NEEDS_SIGNALS)
{
    siginfo_t info = {0};
    handle_info(SIGUSR1, note, 0);
    info.si_code = SI_QUEUE;
    info.si_value.sival_int = 5;
    CALL("queue", RAW(SYS_rt_tgsigqueueinfo, getpid(), RAW(SYS_gettid), SIGUSR1, &info));
    observe_number("value", value);
    CALL("other_group", RAW(SYS_rt_tgsigqueueinfo, getppid(), RAW(SYS_gettid), SIGUSR1, &info));
    CALL("unknown", RAW(SYS_rt_tgsigqueueinfo, getpid(), RAW(SYS_gettid), 65, &info));
    observe_number("count", count);
}

CASE(rt_tgsigqueueinfo_errors, NEEDS_SIGNALS)
{
    siginfo_t info = {0};
    info.si_code = SI_QUEUE;
    CALL("zero_group", RAW(SYS_rt_tgsigqueueinfo, 0, RAW(SYS_gettid), SIGUSR1, &info));
    CALL("negative", RAW(SYS_rt_tgsigqueueinfo, getpid(), -1, SIGUSR1, &info));
    CALL("nobody", RAW(SYS_rt_tgsigqueueinfo, 0x7ffffff0, 0x7ffffff0, SIGUSR1, &info));
    CALL("bad", RAW(SYS_rt_tgsigqueueinfo, getpid(), RAW(SYS_gettid), SIGUSR1, BAD_POINTER));
}

CASE(tkill_errors, NEEDS_SIGNALS)
{
    CALL("zero", RAW(SYS_tkill, 0, SIGUSR1));
    CALL("negative", RAW(SYS_tkill, -1, SIGUSR1));
    CALL("nobody", RAW(SYS_tkill, 0x7ffffff0, SIGUSR1));
    CALL("nobody_and_unknown", RAW(SYS_tkill, 0x7ffffff0, 65));
    CALL("unknown", RAW(SYS_tkill, RAW(SYS_gettid), 65));
    CALL("probe", RAW(SYS_tkill, RAW(SYS_gettid), 0));
}

CASE(rt_sigsuspend_errors, NEEDS_SIGNALS)
{
    sigset_t set;
    sigemptyset(&set);
    CALL("length", RAW(SYS_rt_sigsuspend, &set, 4));
    CALL("bad", RAW(SYS_rt_sigsuspend, BAD_POINTER, 8));
    handle_info(SIGUSR1, note, 0);
    sigaddset(&set, SIGUSR1);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    NEED(raise(SIGUSR1));
    sigemptyset(&set);
    CALL("pending", RAW(SYS_rt_sigsuspend, &set, 8));
    observe_number("count", count);
}

CASE(pause_interrupted_once, NEEDS_SIGNALS)
{
    handle_info(SIGALRM, note, SA_RESTART);
    interrupt_often(SIGALRM);
    CALL("pause", pause());
    interrupt_never();
    IS("ran", count > 0);
}

static int timer_of(int notify)
{
    struct sigevent event = {0};
    int timer = -1;
    event.sigev_notify = notify;
    event.sigev_signo = SIGUSR2;
    NEED(RAW(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
    return timer;
}

CASE(timer_gettime_states, NEEDS_SIGNALS)
{
    struct itimerspec setting = {{5, 6}, {1000, 0}}, seen = {{9, 9}, {9, 9}};
    int timer = timer_of(SIGEV_NONE);
    CALL("fresh", RAW(SYS_timer_gettime, timer, &seen));
    IS("off", seen.it_value.tv_sec == 0 && seen.it_value.tv_nsec == 0);
    NEED(RAW(SYS_timer_settime, timer, 0, &setting, 0));
    CALL("running", RAW(SYS_timer_gettime, timer, &seen));
    IS("interval", seen.it_interval.tv_sec == 5 && seen.it_interval.tv_nsec == 6);
    IS("left", seen.it_value.tv_sec >= 990 && seen.it_value.tv_sec <= 1000);
    CALL("bad", RAW(SYS_timer_gettime, timer, BAD_POINTER));
    CALL("overrun", RAW(SYS_timer_getoverrun, timer));
    CALL("delete", RAW(SYS_timer_delete, timer));
    CALL("gone", RAW(SYS_timer_gettime, timer, &seen));
    CALL("overrun_gone", RAW(SYS_timer_getoverrun, timer));
}
ALSO(timer_gettime_states, "timer_delete timer_getoverrun timer_create timer_settime");

CASE(timer_getoverrun_none, NEEDS_SIGNALS)
{
    struct itimerspec once = {{0, 0}, {0, 1000000}};
    handle_info(SIGUSR2, note, 0);
    int timer = timer_of(SIGEV_SIGNAL);
    NEED(RAW(SYS_timer_settime, timer, 0, &once, 0));
    while (count == 0)
        sleep_ms(1);
    observe_number("code", code);
    CALL("overrun", RAW(SYS_timer_getoverrun, timer));
    CALL("negative", RAW(SYS_timer_getoverrun, -1));
    CALL("delete", RAW(SYS_timer_delete, timer));
}
ALSO(timer_getoverrun_none, "timer_delete");

CASE(signalfd_old_call_errors, NEEDS_SIGNALS)
{
    sigset_t set;
    struct signalfd_siginfo info = {0};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = (int)RAW(SYS_signalfd, -1, &set, 8);
    IS("made", fd >= 0);
    NEED(raise(SIGUSR1));
    CALL("read", read(fd, &info, sizeof info));
    observe_number("signal", info.ssi_signo);
    CALL("length", RAW(SYS_signalfd, -1, &set, 4));
    CALL("bad", RAW(SYS_signalfd, -1, BAD_POINTER, 8));
    CALL("no_signalfd", RAW(SYS_signalfd, 0, &set, 8));
}
