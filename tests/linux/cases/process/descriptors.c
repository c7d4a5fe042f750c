/* Descriptors of processes, and the memory of others. */
#include "suite.h"

#include <sys/uio.h>

enum { PIDFD_OPEN = 434, PIDFD_SEND_SIGNAL = 424, PIDFD_GETFD = 438, PROCESS_MADVISE = 440 };

CASE(pidfd_send_signal_with_information, NEEDS_FORK | NEEDS_SIGNALS)
{
    volatile int *step = shared_pages(1);
    CHILD(child)
    {
        sigset_t set;
        siginfo_t info;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        NEED(sigprocmask(SIG_BLOCK, &set, NULL));
        step[0] = 1;
        NEED(sigwaitinfo(&set, &info));
        wait_until(step, 2);
        observe_number("code", info.si_code);
        observe_number("value", info.si_value.sival_int);
        IS("sender", info.si_pid == getppid());
    }
    wait_until(step, 1);
    siginfo_t info = {0};
    int fd = (int)NEED(RAW(PIDFD_OPEN, child, 0));
    info.si_signo = SIGUSR1;
    info.si_code = SI_USER;
    CALL("pretends", RAW(PIDFD_SEND_SIGNAL, fd, SIGUSR1, &info, 0));
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = 42;
    CALL("other_number", RAW(PIDFD_SEND_SIGNAL, fd, SIGUSR2, &info, 0));
    CALL("bad", RAW(PIDFD_SEND_SIGNAL, fd, SIGUSR1, BAD_POINTER, 0));
    CALL("send", RAW(PIDFD_SEND_SIGNAL, fd, SIGUSR1, &info, 0));
    step[0] = 2;
    observe_status("child", await(child));
}

CASE(pidfd_getfd_errors, NEEDS_FORK)
{
    volatile int *go = shared_pages(1);
    CHILD(child)
    {
        wait_until(go, 1);
    }
    int fd = (int)NEED(RAW(PIDFD_OPEN, child, 0));
    CALL("negative", RAW(PIDFD_GETFD, fd, -1, 0));
    CALL("no_pidfd", RAW(PIDFD_GETFD, 0, 0, 0));
    CALL("closed", RAW(PIDFD_GETFD, 999, 0, 0));
    go[0] = 1;
    await(child);
    CALL("gone", RAW(PIDFD_GETFD, fd, 0, 0));
}

CASE(pidfd_getfd_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    int fd = (int)NEED(RAW(PIDFD_OPEN, getpid(), 0));
    CHILD(child)
    {
        NEED(setresuid(65534, 65534, 65534));
        CALL("other_user", RAW(PIDFD_GETFD, fd, 0, 0));
        CALL("signal", RAW(PIDFD_SEND_SIGNAL, fd, 0, 0, 0));
        OK("open", RAW(PIDFD_OPEN, getppid(), 0));
    }
    observe_status("child", await(child));
}
ALSO(pidfd_getfd_not_permitted, "pidfd_send_signal pidfd_open");

CASE(clone_with_pidfd, NEEDS_FORK)
{
    int fd = -1;
    long child = RAW(SYS_clone, 0x1000 /* CLONE_PIDFD */ | SIGCHLD, 0, &fd, 0, 0);
    if (child == 0)
        _exit(9);
    CALL("getfd", fcntl(fd, F_GETFD));
    siginfo_t info = {0};
    CALL("waitid", waitid(3 /* P_PIDFD */, (id_t)fd, &info, WEXITED));
    observe_number("status", info.si_status);
    CALL("two_results", RAW(SYS_clone, 0x1000 | 0x100000 | SIGCHLD, 0, &fd, 0, 0));
    CALL("bad", RAW(SYS_clone, 0x1000 | SIGCHLD, 0, BAD_POINTER, 0, 0));
}
ALSO(clone_with_pidfd, "waitid");

CASE(process_vm_readv_pages, NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    unsigned char *there = pages(40), *here = pages(40);
    CHILD(child)
    {
        for (unsigned i = 0; i < 40 * PAGE; i++)
            there[i] = (unsigned char)(i * 7 + i / 256);
        step[0] = 1;
        wait_until(step, 2);
        unsigned wrong = 0;
        for (unsigned i = 0; i < 40 * PAGE; i++)
            wrong += there[i] != (unsigned char)(i * 3);
        observe_number("wrong_there", wrong);
    }
    wait_until(step, 1);
    struct iovec local = {here, 40 * PAGE}, remote = {there, 40 * PAGE};
    CALL("read", RAW(SYS_process_vm_readv, child, &local, 1, &remote, 1, 0));
    unsigned wrong = 0;
    for (unsigned i = 0; i < 40 * PAGE; i++)
        wrong += here[i] != (unsigned char)(i * 7 + i / 256);
    observe_number("wrong", wrong);
    for (unsigned i = 0; i < 40 * PAGE; i++)
        here[i] = (unsigned char)(i * 3);
    CALL("write", RAW(SYS_process_vm_writev, child, &local, 1, &remote, 1, 0));
    observe_number("own_untouched", there[5]);
    step[0] = 2;
    observe_status("child", await(child));
}
ALSO(process_vm_readv_pages, "process_vm_writev");

CASE(process_vm_writev_errors, NEEDS_FORK)
{
    volatile int *go = shared_pages(1);
    char *read_only = pages(1);
    NEED(mprotect(read_only, PAGE, PROT_READ));
    CHILD(child)
    {
        wait_until(go, 1);
    }
    struct iovec local = {"text", 4}, remote = {read_only, 4}, bad = {BAD_POINTER, 4};
    CALL("read_only", RAW(SYS_process_vm_writev, child, &local, 1, &remote, 1, 0));
    CALL("bad_there", RAW(SYS_process_vm_writev, child, &local, 1, &bad, 1, 0));
    CALL("bad_here", RAW(SYS_process_vm_writev, child, &bad, 1, &remote, 1, 0));
    CALL("flags", RAW(SYS_process_vm_writev, child, &local, 1, &remote, 1, 1));
    CALL("too_many", RAW(SYS_process_vm_writev, child, &local, 1, &remote, 1025, 0));
    CALL("nobody", RAW(SYS_process_vm_writev, 0x7ffffff0, &local, 1, &remote, 1, 0));
    go[0] = 1;
    await(child);
}

CASE(process_madvise_errors, NEEDS_FORK)
{
    struct iovec range = {pages(1), PAGE}, odd = {pages(1) + 1, PAGE};
    volatile int *go = shared_pages(1);
    CHILD(child)
    {
        wait_until(go, 1);
    }
    int fd = (int)NEED(RAW(PIDFD_OPEN, child, 0));
    CALL("child", RAW(PROCESS_MADVISE, fd, &range, 1, 20 /* MADV_COLD */, 0));
    CALL("odd", RAW(PROCESS_MADVISE, fd, &odd, 1, 20, 0));
    CALL("discard", RAW(PROCESS_MADVISE, fd, &range, 1, 4 /* MADV_DONTNEED */, 0));
    CALL("bad", RAW(PROCESS_MADVISE, fd, BAD_POINTER, 1, 20, 0));
    go[0] = 1;
    await(child);
    CALL("gone", RAW(PROCESS_MADVISE, fd, &range, 1, 20, 0));
}

CASE(process_madvise_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    struct iovec range = {pages(1), PAGE};
    int fd = (int)NEED(RAW(PIDFD_OPEN, getpid(), 0));
    CHILD(child)
    {
        NEED(setresuid(65534, 65534, 65534));
        CALL("other_user", RAW(PROCESS_MADVISE, fd, &range, 1, 20, 0));
    }
    observe_status("child", await(child));
}

CASE(execveat_script, NEEDS_EXEC | NEEDS_FORK)
{
    char *arguments[] = {"x", NULL}, *environment[] = {NULL};
    put_file("plain", "text");
    int file = (int)NEED(open("plain", O_RDONLY));
    CALL("no_program", RAW(SYS_execveat, file, "", arguments, environment, AT_EMPTY_PATH));
    NEED(chmod("plain", 0700));
    CALL("no_format", RAW(SYS_execveat, file, "", arguments, environment, AT_EMPTY_PATH));
    CALL("below_file", RAW(SYS_execveat, file, "x", arguments, environment, 0));
    CALL("bad_path", RAW(SYS_execveat, AT_FDCWD, BAD_POINTER, arguments, environment, 0));
}

CASE(unshare_errors)
{
    CALL("sighand_alone", RAW(SYS_unshare, 0x800));
    CALL("nothing", RAW(SYS_unshare, 0));
    CALL("unknown", RAW(SYS_unshare, 0x1));
}
