/* Calls that need little: scheduling, names, queues of events. */
#include "suite.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>

CASE(sched_get_priority_max_errors)
{
    CALL("negative", RAW(SYS_sched_get_priority_max, -1));
    CALL("unknown", RAW(SYS_sched_get_priority_max, 99));
    CALL("with_flag", RAW(SYS_sched_get_priority_max, SCHED_FIFO | 0x40000000));
    CALL("least_negative", RAW(SYS_sched_get_priority_min, -1));
    CALL("least_unknown", RAW(SYS_sched_get_priority_min, 99));
}
ALSO(sched_get_priority_max_errors, "sched_get_priority_min");

CASE(sched_get_priority_max_of_real_time)
{
    CALL("fifo", RAW(SYS_sched_get_priority_max, SCHED_FIFO));
    CALL("fifo_least", RAW(SYS_sched_get_priority_min, SCHED_FIFO));
    CALL("rr", RAW(SYS_sched_get_priority_max, SCHED_RR));
    CALL("rr_least", RAW(SYS_sched_get_priority_min, SCHED_RR));
}
ALSO(sched_get_priority_max_of_real_time, "sched_get_priority_min");

CASE(sched_rr_get_interval_errors)
{
    CALL("bad", RAW(SYS_sched_rr_get_interval, 0, BAD_POINTER));
    CALL("nobody_and_bad", RAW(SYS_sched_rr_get_interval, 0x7ffffff0, BAD_POINTER));
    CALL("negative_and_bad", RAW(SYS_sched_rr_get_interval, -5, BAD_POINTER));
}

CASE(sched_rr_get_interval_of_child, NEEDS_FORK)
{
    struct timespec interval = {-1, -1};
    volatile int *go = shared_pages(1);
    CHILD(child)
    {
        wait_until(go, 1);
    }
    CALL("child", RAW(SYS_sched_rr_get_interval, child, &interval));
    IS("valid", interval.tv_sec == 0 && interval.tv_nsec >= 0);
    go[0] = 1;
    await(child);
    CALL("gone", RAW(SYS_sched_rr_get_interval, child, &interval));
}

CASE(sched_getparam_of_child, NEEDS_FORK)
{
    struct sched_param parameter = {77};
    volatile int *go = shared_pages(1);
    CHILD(child)
    {
        wait_until(go, 1);
    }
    CALL("child", RAW(SYS_sched_getparam, child, &parameter));
    observe_number("priority", parameter.sched_priority);
    CALL("bad", RAW(SYS_sched_getparam, child, BAD_POINTER));
    go[0] = 1;
    await(child);
    CALL("gone", RAW(SYS_sched_getparam, child, &parameter));
    CALL("negative", RAW(SYS_sched_getparam, -1, &parameter));
}

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t least, most;
    uint64_t more;
};

CASE(sched_getattr_after_set, NEEDS_FORK)
{
    CHILD(child)
    {
        struct attributes own = {0};
        NEED(RAW(SYS_setpriority, PRIO_PROCESS, 0, 7));
        CALL("get", RAW(SYS_sched_getattr, 0, &own, 48, 0));
        observe_number("size", own.size);
        observe_number("nice", own.nice);
        struct attributes batch = {.size = 48, .policy = SCHED_BATCH, .nice = 9};
        CALL("set", RAW(SYS_sched_setattr, 0, &batch, 0));
        CALL("get", RAW(SYS_sched_getattr, 0, &own, sizeof own, 0));
        observe_number("policy", own.policy);
        observe_number("nice", own.nice);
        CALL("priority", RAW(SYS_getpriority, PRIO_PROCESS, 0));
    }
    observe_status("child", await(child));
}
ALSO(sched_getattr_after_set, "sched_setattr");

CASE(sched_getattr_errors)
{
    struct attributes own = {0};
    CALL("nobody", RAW(SYS_sched_getattr, 0x7ffffff0, &own, sizeof own, 0));
    CALL("negative", RAW(SYS_sched_getattr, -1, &own, sizeof own, 0));
    CALL("too_large", RAW(SYS_sched_getattr, 0, &own, 5000, 0));
    CALL("bad", RAW(SYS_sched_getattr, 0, BAD_POINTER, sizeof own, 0));
}

CASE(sched_setattr_errors)
{
    struct attributes wanted = {.size = 48, .policy = SCHED_OTHER};
    CALL("flags", RAW(SYS_sched_setattr, 0, &wanted, 1));
    CALL("null", RAW(SYS_sched_setattr, 0, 0, 0));
    CALL("bad", RAW(SYS_sched_setattr, 0, BAD_POINTER, 0));
    CALL("nobody", RAW(SYS_sched_setattr, 0x7ffffff0, &wanted, 0));
    wanted.priority = 5;
    CALL("priority", RAW(SYS_sched_setattr, 0, &wanted, 0));
    wanted = (struct attributes){.size = 20};
    CALL("small", RAW(SYS_sched_setattr, 0, &wanted, 0));
    wanted = (struct attributes){.size = 48, .policy = 99};
    CALL("policy", RAW(SYS_sched_setattr, 0, &wanted, 0));
    wanted = (struct attributes){.size = 48, .flags = 0x1000};
    CALL("unknown_flag", RAW(SYS_sched_setattr, 0, &wanted, 0));
}

CASE(ioprio_get_after_set, NEEDS_FORK)
{
    CHILD(child)
    {
        CALL("set", RAW(SYS_ioprio_set, 1, 0, 2 << 13 | 5));
        CALL("get", RAW(SYS_ioprio_get, 1, 0));
        CALL("of_self", RAW(SYS_ioprio_get, 1, getpid()));
    }
    observe_status("child", await(child));
}

CASE(ioprio_get_errors)
{
    CALL("which", RAW(SYS_ioprio_get, 0, 0));
    CALL("which_high", RAW(SYS_ioprio_get, 4, 0));
    CALL("nobody", RAW(SYS_ioprio_get, 1, 0x7ffffff0));
}

CASE(sethostname_and_back, NEEDS_ROOT)
{
    char before[65] = "", seen[65] = "";
    NEED(gethostname(before, sizeof before));
    CALL("bad", RAW(SYS_sethostname, BAD_POINTER, 3));
    CALL("same", RAW(SYS_sethostname, before, strlen(before)));
    NEED(gethostname(seen, sizeof seen));
    IS("kept", strcmp(before, seen) == 0);
}

CASE(setdomainname_checks, NEEDS_ROOT)
{
    CALL("bad", RAW(SYS_setdomainname, BAD_POINTER, 3));
    CALL("too_long", RAW(SYS_setdomainname, "x", 65));
    CALL("minus", RAW(SYS_setdomainname, "x", -1));
}

CASE(setdomainname_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(setresuid(65534, 65534, 65534));
        CALL("domain", RAW(SYS_setdomainname, "x", 1));
        CALL("domain_long", RAW(SYS_setdomainname, "x", 100));
        CALL("host", RAW(SYS_sethostname, "x", 1));
        CALL("reboot", RAW(SYS_reboot, 1, 2, 3, 0));
    }
    observe_status("child", await(child));
}
ALSO(setdomainname_not_permitted, "sethostname reboot");

CASE(epoll_create_sizes)
{
    int fd = (int)RAW(SYS_epoll_create, 1);
    IS("made", fd >= 0);
    CALL("getfd", fcntl(fd, F_GETFD));
    CALL("zero", RAW(SYS_epoll_create, 0));
    CALL("negative", RAW(SYS_epoll_create, -1));
}

CASE(getpgrp_of_group, NEEDS_FORK)
{
    CHILD(child)
    {
        IS("inherited", getpgrp() == getpgid(getppid()));
        NEED(setpgid(0, 0));
        IS("own", RAW(SYS_getpgrp) == getpid());
    }
    observe_status("child", await(child));
}

CASE(set_tid_address_null)
{
    IS("own", RAW(SYS_set_tid_address, 0) == RAW(SYS_gettid));
    IS("bad_is_taken", RAW(SYS_set_tid_address, BAD_POINTER) == RAW(SYS_gettid));
    RAW(SYS_set_tid_address, 0);
}

CASE(get_robust_list_errors)
{
    void *head;
    size_t length;
    CALL("bad_head", RAW(SYS_get_robust_list, 0, BAD_POINTER, &length));
    CALL("bad_length", RAW(SYS_get_robust_list, 0, &head, BAD_POINTER));
    CALL("nobody", RAW(SYS_get_robust_list, 0x7ffffff0, &head, &length));
    CALL("set_wrong_length", RAW(SYS_set_robust_list, &head, 23));
}
ALSO(get_robust_list_errors, "set_robust_list");

CASE(membarrier_refused)
{
    IS("query", RAW(SYS_membarrier, 0, 0, 0) > 0);
    CALL("flags", RAW(SYS_membarrier, 1, 1, 0));
    CALL("unknown", RAW(SYS_membarrier, 1 << 20, 0, 0));
    CALL("global", RAW(SYS_membarrier, 1, 0, 0));
}
