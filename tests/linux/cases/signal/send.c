/* Sending, blocking, queueing and waiting for signals. */
#include "suite.h"

#include <pthread.h>
#include <sched.h>
#include <sys/signalfd.h>

static volatile int count;
static volatile int values[16];

static void count_signal(int signal)
{
    (void)signal;
    count++;
}

static void keep_value(int signal, siginfo_t *info, void *context)
{
    (void)context;
    values[count++ & 15] = (signal - SIGRTMIN) * 100 + info->si_value.sival_int;
}

static sigset_t set_of(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

CASE(kill_errors)
{
    CALL("signal_zero", kill(getpid(), 0));
    CALL("unknown_signal", kill(getpid(), 65));
    CALL("negative_signal", kill(getpid(), -1));
    CALL("nobody", kill(0x7ffffff0, 0));
    CALL("no_group", kill(-0x7ffffff0, 0));
    CALL("nobody_and_unknown", kill(0x7ffffff0, 65));
}

CASE(kill_self_before_return, NEEDS_SIGNALS)
{
    handle(SIGUSR1, count_signal, 0);
    for (int i = 1; i <= 100; i++) {
        NEED(kill(getpid(), SIGUSR1));
        if (count != i)
            observe_number("late", i);
    }
    observe_number("count", count);
}

CASE(kill_default_actions, NEEDS_SIGNALS | NEEDS_FORK)
{
    for (int signal = 1; signal < 32; signal++) {
        if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)
            continue;
        CHILD(child)
        {
            kill(getpid(), signal);
            _exit(1);
        }
        observe_status("action", await(child));
    }
    CHILD(realtime)
    {
        kill(getpid(), SIGRTMIN + 3);
    }
    observe_status("realtime", await(realtime));
}

CASE(kill_stop_and_continue, NEEDS_SIGNALS | NEEDS_FORK)
{
    int status;
    CHILD(child)
    {
        for (;;)
            pause();
    }
    NEED(kill(child, SIGSTOP));
    IS("waited", waitpid(child, &status, WUNTRACED) == child);
    observe_status("stopped", status);
    NEED(kill(child, SIGCONT));
    IS("waited", waitpid(child, &status, WCONTINUED) == child);
    observe_status("continued", status);
    NEED(kill(child, SIGTERM));
    observe_status("ended", await(child));
}

/* A stopped process can be killed, and other signals wait. */
CASE(kill_stopped_process, NEEDS_SIGNALS | NEEDS_FORK)
{
    int status;
    CHILD(child)
    {
        pause();
    }
    NEED(kill(child, SIGSTOP));
    NEED(waitpid(child, &status, WUNTRACED));
    NEED(kill(child, SIGTERM));
    sleep_ms(10);
    CALL("still_stopped", waitpid(child, &status, WNOHANG));
    NEED(kill(child, SIGCONT));
    observe_status("after_continue", await(child));
    CHILD(other)
    {
        pause();
    }
    NEED(kill(other, SIGSTOP));
    NEED(waitpid(other, &status, WUNTRACED));
    NEED(kill(other, SIGKILL));
    observe_status("killed", await(other));
}

CASE(kill_group, NEEDS_SIGNALS | NEEDS_FORK)
{
    volatile int *ready = shared_pages(1);
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        CHILD(child)
        {
            wait_until(ready, 1);
            for (;;)
                pause();
        }
        children[i] = child;
        NEED(setpgid(child, i == 0 ? child : children[0]));
    }
    NEED(setpgid(children[2], children[2]));
    *ready = 1;
    CALL("group", kill(-children[0], SIGTERM));
    observe_status("first", await(children[0]));
    observe_status("second", await(children[1]));
    CALL("third_lives", waitpid(children[2], NULL, WNOHANG));
    CALL("empty_group", kill(-children[0], 0));
    CALL("third", kill(-children[2], SIGKILL));
    observe_status("third", await(children[2]));
}

CASE(kill_own_group, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(leader)
    {
        setpgid(0, 0);
        CHILD(child)
        {
            pause();
        }
        signal(SIGTERM, SIG_IGN);
        CALL("kill_zero", kill(0, SIGTERM));
        observe_status("inner", await(child));
    }
    observe_status("leader", await(leader));
}

CASE(kill_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    pid_t parent = getpid();
    CHILD(child)
    {
        NEED(setresuid(65534, 65534, 65534));
        CALL("parent", kill(parent, 0));
        CALL("parent_term", kill(parent, SIGTERM));
        CALL("self", kill(getpid(), 0));
    }
    observe_status("child", await(child));
}

CASE(tgkill_errors)
{
    int tid = (int)RAW(SYS_gettid);
    CALL("self", RAW(SYS_tgkill, getpid(), tid, 0));
    CALL("wrong_group", RAW(SYS_tgkill, getppid() + 0x100000, tid, 0));
    CALL("nobody", RAW(SYS_tgkill, getpid(), 0x7ffffff0, 0));
    CALL("zero", RAW(SYS_tgkill, getpid(), 0, 0));
    CALL("negative", RAW(SYS_tgkill, -1, tid, 0));
    CALL("unknown_signal", RAW(SYS_tgkill, getpid(), tid, 65));
    CALL("tkill_zero", RAW(SYS_tkill, 0, 0));
    CALL("tkill_nobody", RAW(SYS_tkill, 0x7ffffff0, 0));
}
ALSO(tgkill_errors, "tkill");

static volatile int target_tid, handled_in;

static void note_thread(int signal)
{
    (void)signal;
    handled_in = (int)RAW(SYS_gettid);
}

static void *wait_for_signal(void *argument)
{
    __atomic_store_n(&target_tid, (int)RAW(SYS_gettid), __ATOMIC_RELEASE);
    while (!handled_in)
        sched_yield();
    return argument;
}

CASE(tgkill_chosen_thread, NEEDS_SIGNALS | NEEDS_THREADS)
{
    pthread_t thread;
    handle(SIGUSR1, note_thread, 0);
    NEED0(pthread_create(&thread, NULL, wait_for_signal, NULL));
    wait_until(&target_tid, 1);
    CALL("tgkill", RAW(SYS_tgkill, getpid(), target_tid, SIGUSR1));
    pthread_join(thread, NULL);
    IS("in_that_thread", handled_in == target_tid);
}

/* A signal for the process goes to a thread that does not block it. */
CASE(kill_finds_unblocked_thread, NEEDS_SIGNALS | NEEDS_THREADS)
{
    pthread_t thread;
    sigset_t set = set_of(SIGUSR1);
    handle(SIGUSR1, note_thread, 0);
    NEED0(pthread_create(&thread, NULL, wait_for_signal, NULL));
    wait_until(&target_tid, 1);
    NEED0(pthread_sigmask(SIG_BLOCK, &set, NULL));
    CALL("kill", kill(getpid(), SIGUSR1));
    pthread_join(thread, NULL);
    IS("in_that_thread", handled_in == target_tid);
}

CASE(rt_sigprocmask_how, NEEDS_SIGNALS)
{
    sigset_t one = set_of(SIGUSR1), two = set_of(SIGUSR2), now;
    CALL("block", sigprocmask(SIG_BLOCK, &one, NULL));
    CALL("block_more", sigprocmask(SIG_BLOCK, &two, &now));
    observe_number("old", sigismember(&now, SIGUSR1) * 2 + sigismember(&now, SIGUSR2));
    CALL("unblock", sigprocmask(SIG_UNBLOCK, &one, &now));
    observe_number("old", sigismember(&now, SIGUSR1) * 2 + sigismember(&now, SIGUSR2));
    CALL("set", sigprocmask(SIG_SETMASK, &one, &now));
    observe_number("old", sigismember(&now, SIGUSR1) * 2 + sigismember(&now, SIGUSR2));
    NEED(sigprocmask(SIG_SETMASK, NULL, &now));
    observe_number("now", sigismember(&now, SIGUSR1) * 2 + sigismember(&now, SIGUSR2));
}

CASE(rt_sigprocmask_errors)
{
    unsigned long mask = 0;
    CALL("unknown_how", RAW(SYS_rt_sigprocmask, 77, &mask, 0, 8));
    CALL("unknown_how_without_set", RAW(SYS_rt_sigprocmask, 77, 0, &mask, 8));
    CALL("size", RAW(SYS_rt_sigprocmask, SIG_BLOCK, &mask, 0, 4));
    CALL("bad", RAW(SYS_rt_sigprocmask, SIG_BLOCK, BAD_POINTER, 0, 8));
    CALL("bad_old", RAW(SYS_rt_sigprocmask, SIG_BLOCK, 0, BAD_POINTER, 8));
}

CASE(rt_sigprocmask_kill_cannot_be_blocked, NEEDS_SIGNALS | NEEDS_FORK)
{
    unsigned long all = ~0UL, now = 0;
    NEED(RAW(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8));
    NEED(RAW(SYS_rt_sigprocmask, SIG_SETMASK, 0, &now, 8));
    observe_hex("mask", now);
    CHILD(child)
    {
        for (;;)
            sleep_ms(1000);
    }
    NEED(kill(child, SIGKILL));
    observe_status("child", await(child));
}

CASE(rt_sigpending_shows, NEEDS_SIGNALS)
{
    sigset_t set = set_of(SIGUSR1), now;
    handle(SIGUSR1, count_signal, 0);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 3; i++)
        raise(SIGUSR1);
    CALL("pending", sigpending(&now));
    observe_number("usr1", sigismember(&now, SIGUSR1));
    observe_number("usr2", sigismember(&now, SIGUSR2));
    NEED(sigprocmask(SIG_UNBLOCK, &set, NULL));
    /* Standard signals do not queue. */
    observe_number("count", count);
    NEED(sigpending(&now));
    observe_number("usr1", sigismember(&now, SIGUSR1));
}

CASE(rt_sigpending_errors)
{
    CALL("bad", RAW(SYS_rt_sigpending, BAD_POINTER, 8));
    CALL("large_size", RAW(SYS_rt_sigpending, &count, 16));
    unsigned long mask = ~0UL;
    CALL("smaller_size", RAW(SYS_rt_sigpending, &mask, 4));
    observe_hex("written", mask);
}

CASE(rt_sigpending_not_inherited, NEEDS_SIGNALS | NEEDS_FORK)
{
    sigset_t set = set_of(SIGUSR1), now;
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    raise(SIGUSR1);
    CHILD(child)
    {
        NEED(sigpending(&now));
        observe_number("child_pending", sigismember(&now, SIGUSR1));
        NEED(sigprocmask(SIG_BLOCK, NULL, &now));
        observe_number("child_blocked", sigismember(&now, SIGUSR1));
    }
    await(child);
    NEED(sigpending(&now));
    observe_number("pending", sigismember(&now, SIGUSR1));
}

CASE(rt_sigqueueinfo_order, NEEDS_SIGNALS)
{
    sigset_t all;
    sigfillset(&all);
    for (int i = 0; i < 3; i++) {
        struct sigaction action = {0};
        action.sa_sigaction = keep_value;
        action.sa_flags = SA_SIGINFO;
        sigfillset(&action.sa_mask);
        NEED(sigaction(SIGRTMIN + i, &action, NULL));
    }
    NEED(sigprocmask(SIG_BLOCK, &all, NULL));
    NEED(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 1}));
    NEED(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 2}));
    NEED(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 3}));
    NEED(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 4}));
    NEED(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 5}));
    NEED(sigprocmask(SIG_UNBLOCK, &all, NULL));
    observe_number("count", count);
    for (int i = 0; i < 5; i++)
        observe_number("value", values[i]);
}

CASE(rt_sigqueueinfo_errors)
{
    struct {
        int signal, error, code, pad;
        int pid, uid;
        long value;
        char rest[96];
    } info = {.code = 0};
    info.pid = getpid();
    CALL("kill_code_to_other", RAW(SYS_rt_sigqueueinfo, getppid(), 0, &info));
    CALL("unknown_signal", RAW(SYS_rt_sigqueueinfo, getpid(), 65, &info));
    info.code = -1;
    CALL("queue_code", RAW(SYS_rt_sigqueueinfo, getpid(), 0, &info));
    CALL("nobody", RAW(SYS_rt_sigqueueinfo, 0x7ffffff0, 0, &info));
    CALL("bad", RAW(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, BAD_POINTER));
}

CASE(rt_tgsigqueueinfo_to_thread, NEEDS_SIGNALS)
{
    struct {
        int signal, error, code, pad;
        int pid, uid;
        long value;
        char rest[96];
    } info = {.code = -1, .value = 77};
    handle_info(SIGRTMIN, keep_value, 0);
    CALL("queue", RAW(SYS_rt_tgsigqueueinfo, getpid(), RAW(SYS_gettid), SIGRTMIN, &info));
    observe_number("value", values[0]);
    CALL("nobody", RAW(SYS_rt_tgsigqueueinfo, getpid(), 0x7ffffff0, SIGRTMIN, &info));
    CALL("zero", RAW(SYS_rt_tgsigqueueinfo, 0, 0, SIGRTMIN, &info));
}

CASE(rt_sigsuspend_swaps_mask, NEEDS_SIGNALS)
{
    sigset_t set = set_of(SIGUSR1), none, now;
    sigemptyset(&none);
    handle(SIGUSR1, count_signal, 0);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    raise(SIGUSR1);
    observe_number("before", count);
    CALL("suspend", sigsuspend(&none));
    observe_number("after", count);
    NEED(sigprocmask(SIG_BLOCK, NULL, &now));
    observe_number("blocked_again", sigismember(&now, SIGUSR1));
}

CASE(rt_sigsuspend_waits, NEEDS_SIGNALS)
{
    sigset_t set = set_of(SIGALRM), none;
    sigemptyset(&none);
    handle(SIGALRM, count_signal, 0);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    interrupt_often(SIGALRM);
    CALL("suspend", sigsuspend(&none));
    interrupt_never();
    IS("count", count >= 1);
    CALL("bad", RAW(SYS_rt_sigsuspend, BAD_POINTER, 8));
    CALL("size", RAW(SYS_rt_sigsuspend, &none, 4));
}

CASE(rt_sigtimedwait_takes, NEEDS_SIGNALS)
{
    sigset_t set = set_of(SIGRTMIN);
    siginfo_t info;
    struct timespec nothing = {0, 0}, twenty = {0, 20 * MILLISECOND}, bad = {0, -1};
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    NEED(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 5}));
    NEED(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 6}));
    IS("first", sigtimedwait(&set, &info, &twenty) == SIGRTMIN);
    observe_number("value", info.si_value.sival_int);
    observe_number("code", info.si_code);
    IS("second", sigwaitinfo(&set, &info) == SIGRTMIN);
    observe_number("value", info.si_value.sival_int);
    CALL("none", sigtimedwait(&set, &info, &nothing));
    long long begin = now_ns();
    CALL("timeout", sigtimedwait(&set, &info, &twenty));
    IS("at_least_20ms", now_ns() - begin >= 20 * MILLISECOND);
    CALL("bad_time", sigtimedwait(&set, &info, &bad));
}

CASE(rt_sigtimedwait_interrupted, NEEDS_SIGNALS)
{
    sigset_t set = set_of(SIGUSR1);
    struct timespec long_time = {100, 0};
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    handle(SIGALRM, count_signal, 0);
    interrupt_often(SIGALRM);
    CALL("wait", RAW(SYS_rt_sigtimedwait, &set, 0, &long_time, 8));
    interrupt_never();
    CALL("bad", RAW(SYS_rt_sigtimedwait, BAD_POINTER, 0, 0, 8));
    CALL("size", RAW(SYS_rt_sigtimedwait, &set, 0, 0, 4));
}

CASE(rt_sigtimedwait_from_child, NEEDS_SIGNALS | NEEDS_FORK)
{
    sigset_t set = set_of(SIGCHLD);
    siginfo_t info;
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    CHILD(child)
    {
        _exit(3);
    }
    observe_signal("signal", sigwaitinfo(&set, &info));
    IS("pid", info.si_pid == child);
    observe_number("status", info.si_status);
    await(child);
}

CASE(signalfd4_reads, NEEDS_SIGNALS)
{
    sigset_t set = set_of(SIGUSR1);
    struct signalfd_siginfo info[3];
    sigaddset(&set, SIGRTMIN);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = (int)CALL("signalfd", signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    CALL("empty", read(fd, info, sizeof info));
    raise(SIGUSR1);
    NEED(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 9}));
    CALL("too_small", read(fd, info, 100));
    IS("two", read(fd, info, sizeof info) == 2 * (long)sizeof info[0]);
    observe_number("first", info[0].ssi_signo);
    observe_number("code", info[0].ssi_code);
    IS("pid", info[0].ssi_pid == (unsigned)getpid());
    IS("second", (int)info[1].ssi_signo == SIGRTMIN);
    observe_number("value", info[1].ssi_int);
    CALL("empty", read(fd, info, sizeof info));
}

CASE(signalfd4_errors)
{
    sigset_t set = set_of(SIGUSR1);
    CALL("closed", RAW(SYS_signalfd4, 999, &set, 8, 0));
    CALL("no_signalfd", RAW(SYS_signalfd4, 0, &set, 8, 0));
    CALL("unknown_flags", RAW(SYS_signalfd4, -1, &set, 8, 1));
    CALL("size", RAW(SYS_signalfd4, -1, &set, 4, 0));
    CALL("bad", RAW(SYS_signalfd4, -1, BAD_POINTER, 8, 0));
    OK("old_call", RAW(SYS_signalfd, -1, &set, 8));
}
ALSO(signalfd4_errors, "signalfd");

CASE(signalfd4_changes_set, NEEDS_SIGNALS)
{
    sigset_t one = set_of(SIGUSR1), two = set_of(SIGUSR2), both = set_of(SIGUSR1);
    struct signalfd_siginfo info;
    sigaddset(&both, SIGUSR2);
    NEED(sigprocmask(SIG_BLOCK, &both, NULL));
    int fd = (int)NEED(signalfd(-1, &one, SFD_NONBLOCK));
    raise(SIGUSR2);
    CALL("other", read(fd, &info, sizeof info));
    IS("same_descriptor", signalfd(fd, &two, 0) == fd);
    CALL("now", read(fd, &info, sizeof info));
    observe_number("signal", info.ssi_signo);
}

CASE(pause_returns_after_handler, NEEDS_SIGNALS)
{
    handle(SIGALRM, count_signal, SA_RESTART);
    interrupt_often(SIGALRM);
    /* pause is never restarted. */
    CALL("pause", RAW(SYS_pause));
    interrupt_never();
    IS("ran", count >= 1);
}

CASE(pause_ignores_ignored_signals, NEEDS_SIGNALS)
{
    signal(SIGUSR1, SIG_IGN);
    handle(SIGALRM, count_signal, 0);
    NEED(kill(getpid(), SIGUSR1));
    interrupt_often(SIGALRM);
    CALL("pause", RAW(SYS_pause));
    interrupt_never();
    IS("ran", count >= 1);
}
