/* More of credentials, capabilities, sharing. */
#include "suite.h"

#include <pthread.h>
#include <sched.h>

struct header {
    uint32_t version;
    int pid;
};

CASE(capget_of_child, NEEDS_FORK)
{
    volatile int *go = shared_pages(1);
    uint32_t own[6] = {0}, theirs[6] = {0};
    struct header header = {0x20080522, 0};
    CHILD(child)
    {
        wait_until(go, 1);
    }
    NEED(RAW(SYS_capget, &header, own));
    header.pid = child;
    CALL("child", RAW(SYS_capget, &header, theirs));
    IS("same", memcmp(own, theirs, sizeof own) == 0);
    go[0] = 1;
    await(child);
}

CASE(capget_old_version)
{
    uint32_t data[6] = {0};
    struct header header = {0x19980330, 0};
    CALL("one", RAW(SYS_capget, &header, data));
    header.version = 0x20071026;
    CALL("two", RAW(SYS_capget, &header, data));
    CALL("bad_data", RAW(SYS_capget, &header, BAD_POINTER));
}

CASE(capset_errors, NEEDS_FORK)
{
    CHILD(child)
    {
        uint32_t data[6] = {0};
        struct header header = {0x20080522, 0};
        NEED(RAW(SYS_capget, &header, data));
        /* Without the first one, whatever there is else. */
        data[0] &= ~1U;
        data[1] &= ~1U;
        CALL("drop", RAW(SYS_capset, &header, data));
        data[0] |= 1;
        CALL("effective_beyond_permitted", RAW(SYS_capset, &header, data));
        data[1] |= 1;
        CALL("permitted_beyond_permitted", RAW(SYS_capset, &header, data));
        header.version = 1;
        CALL("version", RAW(SYS_capset, &header, data));
        CALL("bad", RAW(SYS_capset, BAD_POINTER, data));
        header = (struct header){0x20080522, getppid()};
        CALL("other_process", RAW(SYS_capset, &header, data));
    }
    observe_status("child", await(child));
}

static void *drop_in_thread(void *argument)
{
    uint32_t data[6] = {0};
    struct header header = {0x20080522, 0};
    NEED(RAW(SYS_setresuid, -1, 77, -1));
    NEED(RAW(SYS_capget, &header, data));
    return (void *)(long)(geteuid() * 10 + (data[0] == 0) + (argument != NULL));
}

/* Users and capabilities belong to each thread; the C library's own calls change all of them. */
CASE(setresuid_of_one_thread, NEEDS_ROOT | NEEDS_FORK | NEEDS_THREADS)
{
    CHILD(child)
    {
        pthread_t thread;
        void *seen;
        NEED0(pthread_create(&thread, NULL, drop_in_thread, NULL));
        pthread_join(thread, &seen);
        observe_number("there", (long)seen);
        observe_number("here", geteuid());
    }
    observe_status("child", await(child));
}

CASE(setuid_keeps_nothing_for_others, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned real, effective, saved;
        NEED(RAW(SYS_setresuid, 1, 2, 3));
        CALL("to_saved", RAW(SYS_setuid, 3));
        NEED(RAW(SYS_getresuid, &real, &effective, &saved));
        observe_number("ids", real * 100 + effective * 10 + saved);
        CALL("to_other", RAW(SYS_setuid, 9));
        CALL("minus_one", RAW(SYS_setuid, -1));
    }
    observe_status("child", await(child));
}

CASE(setreuid_rules, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned real, effective, saved;
        NEED(RAW(SYS_setresuid, 1, 2, 2));
        CALL("swap", RAW(SYS_setreuid, 2, 1));
        NEED(RAW(SYS_getresuid, &real, &effective, &saved));
        observe_number("ids", real * 100 + effective * 10 + saved);
        CALL("nothing", RAW(SYS_setreuid, -1, -1));
        CALL("to_other", RAW(SYS_setreuid, 7, -1));
    }
    observe_status("child", await(child));
}

CASE(setregid_rules, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned real, effective, saved;
        NEED(RAW(SYS_setresgid, 1, 2, 2));
        NEED(RAW(SYS_setresuid, 5, 5, 5));
        CALL("swap", RAW(SYS_setregid, 2, 1));
        NEED(RAW(SYS_getresgid, &real, &effective, &saved));
        observe_number("ids", real * 100 + effective * 10 + saved);
        CALL("to_other", RAW(SYS_setregid, 7, -1));
        CALL("setgid_saved", RAW(SYS_setgid, saved));
        CALL("setgid_other", RAW(SYS_setgid, 9));
        CALL("setresgid_other", RAW(SYS_setresgid, 9, -1, -1));
    }
    observe_status("child", await(child));
}
ALSO(setregid_rules, "setgid setresgid getresgid");

CASE(setresuid_unchanged)
{
    CALL("nothing", RAW(SYS_setresuid, -1, -1, -1));
    CALL("own", RAW(SYS_setresuid, getuid(), geteuid(), -1));
    CALL("group_nothing", RAW(SYS_setresgid, -1, -1, -1));
    CALL("setregid_nothing", RAW(SYS_setregid, -1, -1));
    CALL("setreuid_nothing", RAW(SYS_setreuid, -1, -1));
}
ALSO(setresuid_unchanged, "setresgid setregid setreuid");

CASE(setfsuid_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(RAW(SYS_setresgid, 66, 66, 66));
        NEED(RAW(SYS_setresuid, 55, 55, 55));
        CALL("other", RAW(SYS_setfsuid, 0));
        CALL("unchanged", RAW(SYS_setfsuid, -1));
        CALL("group_other", RAW(SYS_setfsgid, 0));
        CALL("group_unchanged", RAW(SYS_setfsgid, -1));
    }
    observe_status("child", await(child));
}
ALSO(setfsuid_not_permitted, "setfsgid");

CASE(setfsuid_follows_effective, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(RAW(SYS_setresgid, -1, 66, -1));
        NEED(RAW(SYS_setresuid, -1, 55, -1));
        CALL("user", RAW(SYS_setfsuid, -1));
        CALL("group", RAW(SYS_setfsgid, -1));
    }
    observe_status("child", await(child));
}
ALSO(setfsuid_follows_effective, "setfsgid");

static void *open_in_thread(void *argument)
{
    NEED(unshare(0x400 /* CLONE_FILES */));
    return (void *)(long)(dup2(0, 40) + (argument != NULL));
}

CASE(unshare_files_of_thread, NEEDS_THREADS)
{
    pthread_t thread;
    void *fd;
    NEED0(pthread_create(&thread, NULL, open_in_thread, NULL));
    pthread_join(thread, &fd);
    observe_number("thread", (long)fd);
    CALL("not_here", fcntl(40, F_GETFD));
}

static void *move_in_thread(void *argument)
{
    NEED(unshare(0x200 /* CLONE_FS */));
    return (void *)(long)(chdir("/") + (argument != NULL));
}

CASE(unshare_directory_of_thread, NEEDS_THREADS)
{
    pthread_t thread;
    put_file("mark", "here");
    NEED0(pthread_create(&thread, NULL, move_in_thread, NULL));
    pthread_join(thread, NULL);
    observe_file("own", "mark");
}

CASE(getsid_inherited, NEEDS_FORK)
{
    pid_t session = getsid(0);
    CHILD(child)
    {
        IS("inherited", getsid(0) == session);
        NEED(setsid());
        CHILD(inner)
        {
            IS("of_parent", getsid(0) == getppid());
        }
        await(inner);
    }
    observe_status("child", await(child));
}

CASE(waitid_by_group, NEEDS_FORK)
{
    siginfo_t info;
    CHILD(child)
    {
        _exit(6);
    }
    setpgid(child, child);
    IS("waited", waitid(P_PGID, (id_t)child, &info, WEXITED) == 0 ||
                     waitid(P_PGID, 0, &info, WEXITED) == 0);
    observe_number("status", info.si_status);
    CALL("empty_group", waitid(P_PGID, (id_t)child, &info, WEXITED));
}

CASE(chroot_errors, NEEDS_ROOT | NEEDS_FORK)
{
    put_file("f", "");
    CHILD(child)
    {
        CALL("file", chroot("f"));
        CALL("missing", chroot("none"));
        CALL("bad", RAW(SYS_chroot, BAD_POINTER));
        CALL("here", chroot("."));
        observe_file("as_root", "/f");
    }
    observe_status("child", await(child));
}

CASE(personality_bits)
{
    CALL("short_inode", RAW(SYS_personality, 0x1000000));
    CALL("query", RAW(SYS_personality, 0xffffffff));
    CALL("back", RAW(SYS_personality, 0));
}
