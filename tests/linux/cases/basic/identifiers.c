/* Identifiers seen from several sides: parent and child, thread and process, call and library. */
#include "suite.h"

#include <pthread.h>
#include <sys/utsname.h>

CASE(getpid_ignores_arguments)
{
    /* Arguments that the call does not take change nothing. */
    IS("ignored_arguments", RAW(SYS_getpid, -1L, -1L, -1L) == getpid());
    IS("stable", getpid() == getpid());
}

CASE(getpid_of_children_differ, NEEDS_FORK)
{
    pid_t *shared = shared_pages(1);
    CHILD(first)
    {
        shared[0] = getpid();
    }
    CHILD(second)
    {
        shared[1] = getpid();
    }
    await(first);
    await(second);
    IS("first", shared[0] == first);
    IS("second", shared[1] == second && first != second);
}

CASE(getppid_of_grandchild, NEEDS_FORK)
{
    pid_t *shared = shared_pages(1);
    CHILD(child)
    {
        CHILD(inner)
        {
            shared[0] = getppid();
        }
        await(inner);
    }
    await(child);
    IS("its_parent", shared[0] == child);
}

static void *thread_parent(void *argument)
{
    return (void *)(long)(getppid() + (argument != NULL));
}

CASE(getppid_of_thread, NEEDS_THREADS)
{
    pthread_t thread;
    void *seen;
    NEED0(pthread_create(&thread, NULL, thread_parent, NULL));
    pthread_join(thread, &seen);
    IS("of_the_process", (long)seen == getppid());
}

CASE(getuid_inherited, NEEDS_FORK)
{
    uid_t *shared = shared_pages(1);
    CHILD(child)
    {
        shared[0] = getuid();
        shared[1] = geteuid();
        shared[2] = getgid();
        shared[3] = getegid();
    }
    await(child);
    IS("uid", shared[0] == getuid() && shared[1] == geteuid());
    IS("gid", shared[2] == getgid() && shared[3] == getegid());
}
ALSO(getuid_inherited, "geteuid getgid getegid");

CASE(getuid_after_setting, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(setresgid(11, 12, 13));
        NEED(setresuid(21, 22, 23));
        CALL("uid", RAW(SYS_getuid));
        CALL("euid", RAW(SYS_geteuid));
        CALL("gid", RAW(SYS_getgid));
        CALL("egid", RAW(SYS_getegid));
    }
    observe_status("child", await(child));
}
ALSO(getuid_after_setting, "geteuid getgid getegid");

CASE(getresgid_bad_pointers)
{
    unsigned id;
    CALL("first", RAW(SYS_getresgid, BAD_POINTER, &id, &id));
    CALL("third", RAW(SYS_getresgid, &id, &id, BAD_POINTER));
}

CASE(getpgid_of_child, NEEDS_FORK)
{
    volatile int *go = shared_pages(1);
    CHILD(child)
    {
        wait_until(go, 1);
    }
    IS("inherited", getpgid(child) == getpgid(0));
    NEED(setpgid(child, 0));
    IS("own", getpgid(child) == child);
    go[0] = 1;
    await(child);
    CALL("gone", getpgid(child));
}

CASE(getpgrp_is_getpgid, NEEDS_FORK)
{
    IS("same", RAW(SYS_getpgrp) == getpgid(0));
    CHILD(child)
    {
        NEED(setpgid(0, 0));
        IS("own", RAW(SYS_getpgrp) == getpid());
    }
    observe_status("child", await(child));
}
ALSO(getpgrp_is_getpgid, "getpgid");

CASE(getsid_errors)
{
    CALL("negative", getsid(-1));
    IS("of_parent_or_hidden", getsid(getppid()) >= -1);
    IS("positive", getsid(0) >= 0);
}

CASE(getgroups_errors)
{
    gid_t groups[256];
    int count = getgroups(0, NULL);
    if (count > 0)
        CALL("bad", RAW(SYS_getgroups, 256, BAD_POINTER));
    else
        observe_call("bad", -1, EFAULT);
    IS("bad_of_zero_size", RAW(SYS_getgroups, 0, BAD_POINTER) == count);
    IS("exact", RAW(SYS_getgroups, count, groups) == count);
}

CASE(setgroups_order, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        gid_t groups[5] = {5, 5, 1, 0xfffffffe, 3}, seen[5] = {0};
        CALL("set", RAW(SYS_setgroups, 5, groups));
        CALL("get", RAW(SYS_getgroups, 5, seen));
        for (int i = 0; i < 5; i++)
            observe_number("group", seen[i]);
    }
    observe_status("child", await(child));
}

CASE(setgroups_gives_access, NEEDS_ROOT | NEEDS_FORK)
{
    gid_t group = 4321;
    put_file("f", "x");
    NEED(chown("f", 0, 4321));
    NEED(chmod("f", 0640));
    CHILD(without)
    {
        NEED(RAW(SYS_setgroups, 0, 0));
        NEED(setresgid(65534, 65534, 65534));
        NEED(setresuid(65534, 65534, 65534));
        CALL("without", open("f", O_RDONLY));
    }
    await(without);
    CHILD(with)
    {
        NEED(RAW(SYS_setgroups, 1, &group));
        NEED(setresgid(65534, 65534, 65534));
        NEED(setresuid(65534, 65534, 65534));
        CALL("with", open("f", O_RDONLY));
        CALL("write", open("f", O_RDWR));
    }
    observe_status("child", await(with));
}

CASE(uname_terminated)
{
    struct utsname name;
    memset(&name, 0x5a, sizeof name);
    NEED(RAW(SYS_uname, &name));
    IS("sysname", memchr(name.sysname, 0, 65) != NULL);
    IS("nodename", memchr(name.nodename, 0, 65) != NULL);
    IS("release", memchr(name.release, 0, 65) != NULL);
    IS("version", memchr(name.version, 0, 65) != NULL);
    IS("domain", memchr((char *)&name + 325, 0, 65) != NULL);
    IS("size", sizeof name == 390);
}

static void *get_robust(void *argument)
{
    void *head = NULL;
    size_t size = 0;
    RAW(SYS_get_robust_list, 0, &head, &size);
    *(void **)argument = head;
    return (void *)size;
}

CASE(get_robust_list_per_thread, NEEDS_THREADS)
{
    void *own = NULL, *other = NULL, *size;
    size_t own_size = 0;
    pthread_t thread;
    CALL("own", RAW(SYS_get_robust_list, 0, &own, &own_size));
    NEED0(pthread_create(&thread, NULL, get_robust, &other));
    pthread_join(thread, &size);
    observe_number("size", (long)size);
    IS("differs", own != other || own == NULL);
    CALL("bad_size", RAW(SYS_get_robust_list, 0, &own, BAD_POINTER));
}
