/* wait4, waitid and what happens to orphans. */
#include "suite.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/times.h>

CASE(wait4_errors, NEEDS_FORK)
{
    int status;
    CALL("no_children", wait4(-1, &status, 0, NULL));
    CALL("no_such_child", wait4(getppid(), &status, 0, NULL));
    CALL("unknown_options", RAW(SYS_wait4, -1, &status, 0x10, 0));
    CALL("no_such_group", wait4(-0x7ffffff0, &status, 0, NULL));
    CALL("smallest", RAW(SYS_wait4, (long)INT_MIN, &status, 0, 0));
    CHILD(child)
    {
        _exit(0);
    }
    CALL("bad_status", RAW(SYS_wait4, child, BAD_POINTER, 0, 0));
    CALL("taken_all_the_same", wait4(child, &status, 0, NULL));
}

CASE(wait4_nohang, NEEDS_FORK)
{
    volatile int *go = shared_pages(1);
    int status = 77;
    CHILD(child)
    {
        wait_until(go, 1);
        _exit(4);
    }
    CALL("running", waitpid(child, &status, WNOHANG));
    observe_number("status_untouched", status);
    *go = 1;
    pid_t ended;
    while ((ended = waitpid(child, &status, WNOHANG)) == 0)
        sched_yield();
    IS("ended", ended == child);
    observe_status("status", status);
    CALL("again", waitpid(child, &status, WNOHANG));
}

CASE(wait4_any_and_one, NEEDS_FORK)
{
    pid_t children[3];
    int status, seen = 0;
    for (int i = 0; i < 3; i++) {
        CHILD(child)
        {
            _exit(i + 1);
        }
        children[i] = child;
    }
    IS("chosen", waitpid(children[1], &status, 0) == children[1]);
    observe_status("status", status);
    for (int i = 0; i < 2; i++) {
        waitpid(-1, &status, 0);
        seen += WEXITSTATUS(status);
    }
    observe_number("others", seen);
    CALL("none_left", waitpid(-1, &status, 0));
}

CASE(wait4_by_group, NEEDS_FORK)
{
    volatile int *go = shared_pages(1);
    int status;
    CHILD(same)
    {
        _exit(1);
    }
    CHILD(other)
    {
        NEED(setpgid(0, 0));
        *go = 1;
        _exit(2);
    }
    wait_until(go, 1);
    IS("other_group", waitpid(-other, &status, 0) == other);
    observe_status("status", status);
    IS("own_group", waitpid(0, &status, 0) == same);
    observe_status("status", status);
    CALL("no_more", waitpid(0, &status, 0));
}

CASE(wait4_usage, NEEDS_FORK)
{
    struct rusage usage;
    memset(&usage, 0xff, sizeof usage);
    CHILD(child)
    {
        long long begin = now_ns();
        while (elapsed_ms(begin) < 30)
            ;
    }
    int status;
    IS("wait4", wait4(child, &status, 0, &usage) == child);
    IS("used", usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 0 || usage.ru_utime.tv_sec > 0);
    NEED(getrusage(RUSAGE_CHILDREN, &usage));
    IS("children", usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 0 ||
                       usage.ru_utime.tv_sec > 0);
    CALL("no_pointers", RAW(SYS_wait4, -1, 0, 0, 0));
}
ALSO(wait4_usage, "getrusage");

CASE(wait4_stopped_once, NEEDS_FORK | NEEDS_SIGNALS)
{
    int status;
    volatile int *go = shared_pages(1);
    CHILD(child)
    {
        raise(SIGSTOP);
        wait_until(go, 1);
        _exit(3);
    }
    IS("stopped", waitpid(child, &status, WUNTRACED) == child);
    observe_status("status", status);
    CALL("told_once", waitpid(child, &status, WUNTRACED | WNOHANG));
    NEED(kill(child, SIGCONT));
    IS("continued", waitpid(child, &status, WCONTINUED) == child);
    observe_status("status", status);
    *go = 1;
    IS("ended", waitpid(child, &status, 0) == child);
    observe_status("status", status);
}

static void observe_info(const siginfo_t *info, pid_t child)
{
    observe_number("signal", info->si_signo);
    observe_number("code", info->si_code);
    observe_number("status", info->si_status);
    IS("pid", info->si_pid == child);
    IS("uid", info->si_uid == getuid());
}

CASE(waitid_states, NEEDS_FORK | NEEDS_SIGNALS)
{
    siginfo_t info;
    volatile int *go = shared_pages(1);
    CHILD(child)
    {
        raise(SIGSTOP);
        wait_until(go, 1);
        _exit(3);
    }
    CALL("stopped", waitid(P_PID, (id_t)child, &info, WSTOPPED));
    observe_info(&info, child);
    NEED(kill(child, SIGCONT));
    CALL("continued", waitid(P_ALL, 0, &info, WCONTINUED));
    observe_info(&info, child);
    *go = 1;
    CALL("peek", waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    observe_info(&info, child);
    CALL("take", waitid(P_PID, (id_t)child, &info, WEXITED));
    observe_info(&info, child);
    CALL("gone", waitid(P_PID, (id_t)child, &info, WEXITED));
}

CASE(waitid_killed, NEEDS_FORK | NEEDS_SIGNALS)
{
    siginfo_t info;
    CHILD(child)
    {
        pause();
    }
    NEED(kill(child, SIGUSR1));
    CALL("killed", waitid(P_PID, (id_t)child, &info, WEXITED));
    observe_info(&info, child);
}

CASE(waitid_errors, NEEDS_FORK)
{
    siginfo_t info;
    CHILD(child)
    {
        pause();
    }
    CALL("no_options", waitid(P_PID, (id_t)child, &info, 0));
    CALL("unknown_options", RAW(SYS_waitid, P_PID, child, &info, WEXITED | 0x100, 0));
    CALL("unknown_kind", RAW(SYS_waitid, 77, child, &info, WEXITED, 0));
    CALL("zero_pid", waitid(P_PID, 0, &info, WEXITED));
    memset(&info, 0xff, sizeof info);
    CALL("nohang", waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG));
    observe_number("pid_cleared", info.si_pid);
    observe_number("signal_cleared", info.si_signo);
    NEED(kill(child, SIGKILL));
    CALL("without_info", RAW(SYS_waitid, P_PID, child, 0, WEXITED, 0));
}

/* A parent that ignores SIGCHLD has no zombies, and its wait ends with ECHILD. */
CASE(wait4_ignored_children, NEEDS_FORK | NEEDS_SIGNALS)
{
    signal(SIGCHLD, SIG_IGN);
    CHILD(first)
    {
        _exit(3);
    }
    CALL("wait", waitpid(first, NULL, 0));
    struct sigaction action = {0};
    action.sa_handler = SIG_DFL;
    action.sa_flags = SA_NOCLDWAIT;
    NEED(sigaction(SIGCHLD, &action, NULL));
    CHILD(second)
    {
        _exit(3);
    }
    CALL("wait", waitpid(second, NULL, 0));
}

static volatile int signals;

static void count_signal(int signal)
{
    (void)signal;
    signals++;
}

CASE(wait4_child_signals, NEEDS_FORK | NEEDS_SIGNALS)
{
    int status;
    handle(SIGCHLD, count_signal, SA_NOCLDSTOP);
    CHILD(child)
    {
        raise(SIGSTOP);
        _exit(0);
    }
    NEED(waitid(P_PID, (id_t)child, &(siginfo_t){0}, WSTOPPED | WNOWAIT));
    observe_number("stop_not_told", signals);
    NEED(kill(child, SIGCONT));
    while (waitpid(child, &status, 0) < 0)
        ;
    observe_number("exit_told", signals);
    handle(SIGCHLD, count_signal, 0);
    CHILD(other)
    {
        raise(SIGSTOP);
        _exit(0);
    }
    while (signals < 2)
        sched_yield();
    observe_number("stop_told", signals);
    NEED(kill(other, SIGCONT));
    while (waitpid(other, &status, 0) < 0)
        ;
    IS("rest_told", signals >= 3);
}

CASE(wait4_orphans, NEEDS_FORK)
{
    volatile int *shared = shared_pages(1);
    CHILD(middle)
    {
        CHILD(orphan)
        {
            int before = getppid();
            shared[0] = 1;
            while (getppid() == before)
                sched_yield();
            shared[1] = getppid() >= 1;
            shared[2] = 1;
        }
        wait_until(shared, 1);
    }
    observe_status("middle", await(middle));
    wait_until(shared + 2, 1);
    observe_number("adopted", shared[1]);
    CALL("not_ours", waitpid(-1, NULL, WNOHANG));
}

CASE(prctl_child_subreaper, NEEDS_FORK)
{
    int on = 77;
    pid_t self = getpid();
    volatile int *shared = shared_pages(1);
    CALL("set", RAW(SYS_prctl, 36, 1, 0, 0, 0));
    CALL("get", RAW(SYS_prctl, 37, &on, 0, 0, 0));
    observe_number("on", on);
    CHILD(middle)
    {
        CHILD(orphan)
        {
            int before = getppid();
            shared[0] = 1;
            while (getppid() == before)
                sched_yield();
            _exit(getppid() == self ? 41 : 42);
        }
        wait_until(shared, 1);
        RAW(SYS_prctl, 37, &on, 0, 0, 0);
        observe_number("not_inherited", on);
    }
    observe_status("middle", await(middle));
    int status;
    IS("orphan_is_ours", waitpid(-1, &status, 0) > 0);
    observe_status("orphan", status);
}

CASE(prctl_parent_death_signal, NEEDS_FORK | NEEDS_SIGNALS)
{
    volatile int *shared = shared_pages(1);
    int ends[2];
    char byte;
    NEED(pipe(ends));
    CHILD(middle)
    {
        CHILD(inner)
        {
            int signal = 0;
            NEED(RAW(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, SIGTERM, 0, 0, 0));
            NEED(RAW(SYS_prctl, 2, &signal, 0, 0, 0));
            shared[1] = signal;
            shared[0] = 1;
            for (;;)
                pause();
        }
        wait_until(shared, 1);
    }
    NEED(close(ends[1]));
    await(middle);
    /* The end of the pipe comes when the inner one is dead as well. */
    CALL("end", read(ends[0], &byte, 1));
    observe_signal("signal", shared[1]);
    CALL("bad_signal", RAW(SYS_prctl, 1, 99, 0, 0, 0));
}

CASE(times_of_children, NEEDS_FORK)
{
    struct tms before, after;
    NEED(times(&before));
    CHILD(child)
    {
        long long begin = now_ns();
        struct tms own;
        do
            times(&own);
        while (own.tms_utime + own.tms_stime < 3 && elapsed_ms(begin) < 5000);
    }
    await(child);
    NEED(times(&after));
    IS("added", after.tms_cutime + after.tms_cstime >= before.tms_cutime + before.tms_cstime + 2);
}
ALSO(times_of_children, "times");

/* --- pidfd --- */

CASE(pidfd_open_child, NEEDS_FORK)
{
    siginfo_t info;
    CHILD(child)
    {
        pause();
    }
    int fd = (int)OK("open", RAW(434, child, 0));
    CALL("getfd", fcntl(fd, F_GETFD));
    CALL("send_zero", RAW(424, fd, 0, 0, 0));
    CALL("send", RAW(424, fd, SIGTERM, 0, 0));
    CALL("waitid", waitid(3 /* P_PIDFD */, (id_t)fd, &info, WEXITED));
    observe_number("status", info.si_status);
    CALL("gone", RAW(424, fd, 0, 0, 0));
}
ALSO(pidfd_open_child, "pidfd_send_signal waitid");

CASE(pidfd_open_errors)
{
    CALL("nobody", RAW(434, 0x7ffffff0, 0));
    CALL("zero", RAW(434, 0, 0));
    CALL("flags", RAW(434, getpid(), 1));
    CALL("negative", RAW(434, -1, 0));
}

CASE(pidfd_open_poll, NEEDS_FORK)
{
    struct {
        int fd;
        short events, revents;
    } one = {0, 1, 0};
    CHILD(child)
    {
        sleep_ms(10);
        _exit(1);
    }
    one.fd = (int)NEED(RAW(434, child, 0));
    CALL("running", RAW(SYS_poll, &one, 1, 0));
    CALL("ended", RAW(SYS_poll, &one, 1, 10000));
    observe_hex("events", (unsigned long)(unsigned short)(one.revents & 1));
    await(child);
}

CASE(pidfd_send_signal_errors)
{
    int fd = (int)NEED(RAW(434, getpid(), 0));
    CALL("flags", RAW(424, fd, 0, 0, 0x100));
    CALL("unknown_signal", RAW(424, fd, 99, 0, 0));
    CALL("no_pidfd", RAW(424, 0, 0, 0, 0));
    CALL("closed", RAW(424, 999, 0, 0, 0));
}

CASE(pidfd_getfd_copies, NEEDS_FORK)
{
    int ends[2];
    volatile int *step = shared_pages(1);
    char text[8] = "";
    CHILD(child)
    {
        NEED(pipe(ends));
        NEED(write(ends[1], "passed", 6));
        step[1] = ends[0];
        step[0] = 1;
        wait_until(step + 2, 1);
    }
    wait_until(step, 1);
    int fd = (int)NEED(RAW(434, child, 0));
    int copy = (int)OK("getfd", RAW(438, fd, step[1], 0));
    CALL("read", read(copy, text, 8));
    observe_text("text", text);
    CALL("cloexec", fcntl(copy, F_GETFD));
    CALL("closed_there", RAW(438, fd, 999, 0));
    CALL("flags", RAW(438, fd, 0, 1));
    step[2] = 1;
    await(child);
}

CASE(process_vm_readv_child, NEEDS_FORK)
{
    char *memory = pages(1), local[16] = "";
    struct {
        void *base;
        size_t length;
    } here = {local, 5}, there = {memory, 5};
    volatile int *step = shared_pages(1);
    CHILD(child)
    {
        strcpy(memory, "child");
        step[0] = 1;
        wait_until(step + 1, 1);
        observe_text("written", memory);
    }
    wait_until(step, 1);
    CALL("read", RAW(SYS_process_vm_readv, child, &here, 1, &there, 1, 0));
    observe_text("text", local);
    strcpy(local, "hello");
    CALL("write", RAW(SYS_process_vm_writev, child, &here, 1, &there, 1, 0));
    there.base = BAD_POINTER;
    CALL("bad_there", RAW(SYS_process_vm_readv, child, &here, 1, &there, 1, 0));
    CALL("flags", RAW(SYS_process_vm_readv, child, &here, 1, &there, 1, 1));
    CALL("nobody", RAW(SYS_process_vm_readv, 0x7ffffff0, &here, 1, &there, 1, 0));
    step[1] = 1;
    await(child);
}
ALSO(process_vm_readv_child, "process_vm_writev");

CASE(process_vm_readv_itself)
{
    char from[] = "abcdef", to[8] = "";
    struct {
        void *base;
        size_t length;
    } here[2] = {{to, 2}, {to + 3, 3}}, there[2] = {{from, 4}, {from + 5, 1}};
    CALL("scattered", RAW(SYS_process_vm_readv, getpid(), here, 2, there, 2, 0));
    observe_bytes("to", to, 7);
    CALL("none", RAW(SYS_process_vm_readv, getpid(), here, 0, there, 2, 0));
    CALL("too_many", RAW(SYS_process_vm_readv, getpid(), here, 1025, there, 2, 0));
    CALL("bad_here", RAW(SYS_process_vm_readv, getpid(), BAD_POINTER, 1, there, 1, 0));
}
