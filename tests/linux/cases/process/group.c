/* Process groups, sessions, credentials, prctl. */
#include "suite.h"

#include <sched.h>
#include <sys/prctl.h>

CASE(setpgid_moves, NEEDS_FORK)
{
    volatile int *go = shared_pages(1);
    CHILD(child)
    {
        wait_until(go, 1);
    }
    CALL("own_group", setpgid(child, child));
    IS("is_leader", getpgid(child) == child);
    CALL("back", setpgid(child, getpgid(0)));
    IS("is_back", getpgid(child) == getpgid(0));
    CALL("negative", setpgid(child, -1));
    CALL("no_such_group", setpgid(child, 0x7ffffff0));
    CALL("no_such_process", setpgid(0x7ffffff0, 0));
    CALL("parent", setpgid(getppid(), 0));
    *go = 1;
    await(child);
}

CASE(setpgid_after_execve, NEEDS_FORK | NEEDS_EXEC)
{
    int ends[2];
    char byte;
    NEED(pipe2(ends, O_CLOEXEC));
    CHILD(child)
    {
        char *arguments[] = {"runner", "--helper", "hang", NULL};
        execve(runner_path(), arguments, arguments + 3);
        _exit(99);
    }
    NEED(close(ends[1]));
    CALL("executed", read(ends[0], &byte, 1));
    CALL("too_late", setpgid(child, child));
    NEED(kill(child, SIGKILL));
    await(child);
}

CASE(setpgid_session_leader, NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(setsid());
        CALL("leader", setpgid(0, 0));
        CHILD(inner)
        {
            CALL("in_session", setpgid(0, 0));
        }
        await(inner);
    }
    await(child);
}

CASE(setsid_new_session, NEEDS_FORK)
{
    CHILD(child)
    {
        IS("setsid", setsid() == getpid());
        IS("session", getsid(0) == getpid());
        IS("group", getpgid(0) == getpid());
        CALL("again", setsid());
    }
    observe_status("child", await(child));
}

CASE(setsid_group_leader, NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(setpgid(0, 0));
        CALL("leader", setsid());
    }
    await(child);
}

/* The terminal of a session is lost with it: there is none to open. */
CASE(setsid_no_terminal, NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(setsid());
        CALL("open", open("/dev/tty", O_RDWR));
    }
    await(child);
}

CASE(getsid_of_child, NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    CHILD(child)
    {
        setsid();
        step[0] = 1;
        wait_until(step + 1, 1);
    }
    wait_until(step, 1);
    IS("own_session", getsid(child) == child);
    IS("differs", getsid(0) != child);
    CALL("other_session_group", setpgid(child, getpgid(0)));
    step[1] = 1;
    await(child);
}

CASE(setuid_drops, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned real, effective, saved;
        CALL("setuid", RAW(SYS_setuid, 1234));
        NEED(RAW(SYS_getresuid, &real, &effective, &saved));
        observe_number("real", real);
        observe_number("effective", effective);
        observe_number("saved", saved);
        CALL("back", RAW(SYS_setuid, 0));
        CALL("group", RAW(SYS_setgid, 77));
    }
    observe_status("child", await(child));
}
ALSO(setuid_drops, "setgid setresuid");

CASE(setresuid_swaps, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned real, effective, saved;
        CALL("set", RAW(SYS_setresuid, 1, 2, 3));
        CALL("effective_to_saved", RAW(SYS_setresuid, -1, 3, -1));
        NEED(RAW(SYS_getresuid, &real, &effective, &saved));
        observe_number("ids", real * 100 + effective * 10 + saved);
        CALL("to_other", RAW(SYS_setresuid, -1, 4, -1));
        CALL("reuid", RAW(SYS_setreuid, 3, 1));
        NEED(RAW(SYS_getresuid, &real, &effective, &saved));
        observe_number("ids", real * 100 + effective * 10 + saved);
    }
    observe_status("child", await(child));
}
ALSO(setresuid_swaps, "setreuid getresuid");

CASE(setresgid_swaps, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned real, effective, saved;
        CALL("set", RAW(SYS_setresgid, 1, 2, 3));
        NEED(RAW(SYS_getresgid, &real, &effective, &saved));
        observe_number("ids", real * 100 + effective * 10 + saved);
        CALL("regid", RAW(SYS_setregid, 4, 5));
        CALL("setgid", RAW(SYS_setgid, 6));
        NEED(RAW(SYS_getresgid, &real, &effective, &saved));
        observe_number("ids", real * 100 + effective * 10 + saved);
    }
    observe_status("child", await(child));
}
ALSO(setresgid_swaps, "setregid setgid getresgid");

CASE(setfsuid_returns_old, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(chmod(".", 0777));
        CALL("first", RAW(SYS_setfsuid, 100));
        CALL("query", RAW(SYS_setfsuid, -1));
        CALL("group", RAW(SYS_setfsgid, 100));
        CALL("group_query", RAW(SYS_setfsgid, -1));
        /* Files are created as that user. */
        struct stat status;
        put_file("f", "");
        NEED(stat("f", &status));
        observe_number("owner", status.st_uid);
    }
    observe_status("child", await(child));
}
ALSO(setfsuid_returns_old, "setfsgid");

CASE(setuid_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(setresgid(65534, 65534, 65534));
        NEED(setresuid(65534, 65534, 65534));
        CALL("setuid", RAW(SYS_setuid, 0));
        CALL("own", RAW(SYS_setuid, 65534));
        CALL("setgid", RAW(SYS_setgid, 0));
        CALL("setreuid", RAW(SYS_setreuid, 0, -1));
        CALL("setgroups", RAW(SYS_setgroups, 0, 0));
        CALL("nice_up", RAW(SYS_setpriority, 0, 0, -5));
        CALL("hostname", RAW(SYS_sethostname, "x", 1));
        CALL("chroot", RAW(SYS_chroot, "/"));
        CALL("mount", RAW(SYS_mount, "none", "/", "tmpfs", 0, 0));
        CALL("reboot", RAW(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
        CALL("settime", RAW(SYS_clock_settime, 0, ((long[2]){1, 1})));
        unsigned long limit[2] = {100, 1UL << 40};
        CALL("raise_limit", RAW(SYS_prlimit64, 0, 7, limit, 0));
    }
    observe_status("child", await(child));
}
ALSO(setuid_not_permitted, "setgid setreuid setgroups chroot mount reboot sethostname clock_settime setpriority prlimit64");

struct capability_header {
    uint32_t version;
    int pid;
};

CASE(capget_versions)
{
    struct capability_header header = {0, 0};
    uint32_t data[6] = {0};
    CALL("unknown_version", RAW(SYS_capget, &header, data));
    observe_hex("offered", header.version);
    header.version = 0x20080522;
    CALL("get", RAW(SYS_capget, &header, data));
    header.pid = -1;
    CALL("negative_pid", RAW(SYS_capget, &header, data));
    header.pid = 0x7ffffff0;
    CALL("nobody", RAW(SYS_capget, &header, data));
    CALL("bad", RAW(SYS_capget, BAD_POINTER, data));
}

CASE(capset_drops, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        struct capability_header header = {0x20080522, 0};
        uint32_t data[6] = {0};
        NEED(RAW(SYS_capget, &header, data));
        IS("has_chown", data[0] & 1);
        data[0] &= ~1u;
        data[1] &= ~1u;
        CALL("drop", RAW(SYS_capset, &header, data));
        put_file("f", "");
        CALL("chown", chown("f", 1, 1));
        data[1] |= 1u;
        CALL("regain", RAW(SYS_capset, &header, data));
    }
    observe_status("child", await(child));
}

CASE(capset_lost_with_uid, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        struct capability_header header = {0x20080522, 0};
        uint32_t data[6] = {0};
        NEED(setresuid(1, 1, 1));
        NEED(RAW(SYS_capget, &header, data));
        observe_hex("effective", data[0] | data[3]);
        observe_hex("permitted", data[1] | data[4]);
    }
    observe_status("child", await(child));
}

CASE(prctl_name)
{
    char name[17] = "";
    CALL("set", RAW(SYS_prctl, PR_SET_NAME, "short", 0, 0, 0));
    CALL("get", RAW(SYS_prctl, PR_GET_NAME, name, 0, 0, 0));
    observe_text("name", name);
    CALL("long", RAW(SYS_prctl, PR_SET_NAME, "a name that is too long", 0, 0, 0));
    NEED(RAW(SYS_prctl, PR_GET_NAME, name, 0, 0, 0));
    observe_text("name", name);
    CALL("bad", RAW(SYS_prctl, PR_SET_NAME, BAD_POINTER, 0, 0, 0));
    CALL("bad_get", RAW(SYS_prctl, PR_GET_NAME, BAD_POINTER, 0, 0, 0));
}

CASE(prctl_dumpable)
{
    CALL("initially", RAW(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
    CALL("off", RAW(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0));
    CALL("get", RAW(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
    CALL("two", RAW(SYS_prctl, PR_SET_DUMPABLE, 2, 0, 0, 0));
    CALL("on", RAW(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
}

CASE(prctl_no_new_privileges, NEEDS_FORK)
{
    CHILD(child)
    {
        CALL("initially", RAW(SYS_prctl, 39, 0, 0, 0, 0));
        CALL("zero", RAW(SYS_prctl, 38, 0, 0, 0, 0));
        CALL("set", RAW(SYS_prctl, 38, 1, 0, 0, 0));
        CALL("get", RAW(SYS_prctl, 39, 0, 0, 0, 0));
        CHILD(inner)
        {
            CALL("inherited", RAW(SYS_prctl, 39, 0, 0, 0, 0));
        }
        await(inner);
    }
    observe_status("child", await(child));
}

CASE(prctl_errors)
{
    CALL("unknown", RAW(SYS_prctl, 0x12345, 0, 0, 0, 0));
    CALL("keep_capabilities", RAW(SYS_prctl, PR_SET_KEEPCAPS, 2, 0, 0, 0));
    CALL("timer_slack", RAW(SYS_prctl, 29, 50000, 0, 0, 0));
    CALL("get_timer_slack", RAW(SYS_prctl, 30, 0, 0, 0, 0));
    CALL("bounding", RAW(SYS_prctl, 23, 0, 0, 0, 0));
    CALL("bounding_unknown", RAW(SYS_prctl, 23, 999, 0, 0, 0));
}
