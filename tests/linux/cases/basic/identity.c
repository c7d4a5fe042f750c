/* Who the program is. */
#include "suite.h"

#include <sys/utsname.h>

CASE(getpid_agrees)
{
    IS("positive", getpid() > 0);
    IS("same", getpid() == RAW(SYS_getpid));
    IS("gettid_is_getpid", RAW(SYS_gettid) == getpid());
}
ALSO(getpid_agrees, "gettid");

CASE(getppid_not_self)
{
    IS("not_negative", getppid() >= 0);
    IS("not_self", getppid() != getpid());
}

CASE(getuid_agrees)
{
    unsigned real = 9, effective = 8, saved = 7;
    CALL("getresuid", RAW(SYS_getresuid, &real, &effective, &saved));
    IS("real", real == getuid());
    IS("effective", effective == geteuid());
    IS("saved", saved == geteuid());
}
ALSO(getuid_agrees, "geteuid getresuid");

CASE(getgid_agrees)
{
    unsigned real = 9, effective = 8, saved = 7;
    CALL("getresgid", RAW(SYS_getresgid, &real, &effective, &saved));
    IS("real", real == getgid());
    IS("effective", effective == getegid());
    IS("saved", saved == getegid());
}
ALSO(getgid_agrees, "getegid getresgid");

CASE(getresuid_bad_pointers)
{
    unsigned id;
    CALL("first", RAW(SYS_getresuid, BAD_POINTER, &id, &id));
    CALL("second", RAW(SYS_getresuid, &id, BAD_POINTER, &id));
    CALL("third", RAW(SYS_getresuid, &id, &id, KERNEL_POINTER));
}

CASE(uname_fields)
{
    struct utsname name;
    memset(&name, 0x5a, sizeof name);
    CALL("uname", uname(&name));
    observe_text("sysname", name.sysname);
    observe_text("machine", name.machine);
    IS("nodename", name.nodename[0] != 0);
    IS("release_major", atoi(name.release) >= 5);
    IS("version", name.version[0] != 0);
    IS("last_byte_zeroed", name.machine[64] == 0);
}

CASE(uname_bad_pointer)
{
    CALL("null", RAW(SYS_uname, 0));
    CALL("kernel", RAW(SYS_uname, KERNEL_POINTER));
    char *page = page_before_hole();
    CALL("across_the_end", RAW(SYS_uname, page + PAGE - 100));
}

CASE(set_tid_address_returns_tid)
{
    static int cleared;
    IS("tid", RAW(SYS_set_tid_address, &cleared) == RAW(SYS_gettid));
    IS("null_is_allowed", RAW(SYS_set_tid_address, 0) == RAW(SYS_gettid));
}

CASE(set_robust_list_sizes)
{
    static long head[3];
    CALL("right", RAW(SYS_set_robust_list, head, 24));
    CALL("short", RAW(SYS_set_robust_list, head, 16));
    CALL("zero", RAW(SYS_set_robust_list, head, 0));
    void *seen = NULL;
    size_t size = 0;
    CALL("get", RAW(SYS_get_robust_list, 0, &seen, &size));
    IS("head", seen == head);
    observe_number("size", (long)size);
    CALL("get_nobody", RAW(SYS_get_robust_list, 0x7ffffff0, &seen, &size));
    CALL("get_bad", RAW(SYS_get_robust_list, 0, BAD_POINTER, &size));
    NEED(RAW(SYS_set_robust_list, 0, 24));
}
ALSO(set_robust_list_sizes, "get_robust_list");

CASE(getpgid_self)
{
    IS("zero_is_self", getpgid(0) == getpgid(getpid()));
    IS("getpgrp", getpgrp() == getpgid(0));
    CALL("nobody", getpgid(0x7ffffff0));
    CALL("negative", getpgid(-1));
}
ALSO(getpgid_self, "getpgrp");

CASE(getsid_self)
{
    IS("zero_is_self", getsid(0) == getsid(getpid()));
    CALL("nobody", getsid(0x7ffffff0));
}

CASE(getgroups_counts)
{
    gid_t groups[256];
    int count = getgroups(0, NULL);
    IS("count", count >= 0 && count < 256);
    IS("list", getgroups(256, groups) == count);
    CALL("negative", RAW(SYS_getgroups, -1, groups));
}

CASE(setgroups_limits, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        gid_t groups[3] = {30, 10, 20}, seen[8] = {0};
        CALL("set", RAW(SYS_setgroups, 3, groups));
        CALL("count", RAW(SYS_getgroups, 0, 0));
        CALL("too_small", RAW(SYS_getgroups, 2, seen));
        CALL("get", RAW(SYS_getgroups, 8, seen));
        observe_number("sorted", seen[0] == 10 && seen[1] == 20 && seen[2] == 30);
        CALL("too_many", RAW(SYS_setgroups, 65537, groups));
        CALL("bad", RAW(SYS_setgroups, 3, BAD_POINTER));
        CALL("none", RAW(SYS_setgroups, 0, 0));
        CALL("count", RAW(SYS_getgroups, 0, 0));
    }
    observe_status("child", await(child));
}
ALSO(setgroups_limits, "getgroups");
