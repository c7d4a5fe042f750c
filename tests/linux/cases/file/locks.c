/* Record locks of a process, of an open file description, and flock. */
#include "suite.h"

#include <sys/file.h>

enum { GETLK_OFD = 36, SETLK_OFD = 37, SETLKW_OFD = 38 };

static struct flock range(short type, long start, long length)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

static int locked_file(void)
{
    put_file("f", "0123456789");
    return (int)NEED(open("f", O_RDWR));
}

static long set_lock(int fd, int command, short type, long start, long length)
{
    struct flock lock = range(type, start, length);
    return fcntl(fd, command, &lock);
}

CASE(fcntl_lock_conflicts, NEEDS_FORK)
{
    int fd = locked_file();
    CALL("write_lock", set_lock(fd, F_SETLK, F_WRLCK, 2, 4));
    CALL("again", set_lock(fd, F_SETLK, F_WRLCK, 2, 4));
    CHILD(child)
    {
        CALL("overlap", set_lock(fd, F_SETLK, F_WRLCK, 5, 10));
        CALL("read_overlap", set_lock(fd, F_SETLK, F_RDLCK, 0, 3));
        CALL("before", set_lock(fd, F_SETLK, F_WRLCK, 0, 2));
        CALL("after", set_lock(fd, F_SETLK, F_WRLCK, 6, 0));
    }
    await(child);
}

CASE(fcntl_lock_get, NEEDS_FORK)
{
    int fd = locked_file();
    NEED(set_lock(fd, F_SETLK, F_WRLCK, 2, 4));
    pid_t parent = getpid();
    struct flock lock = range(F_WRLCK, 0, 0);
    CALL("own", fcntl(fd, F_GETLK, &lock));
    observe_number("type", lock.l_type);
    CHILD(child)
    {
        lock = range(F_RDLCK, 0, 0);
        CALL("get", fcntl(fd, F_GETLK, &lock));
        observe_number("type", lock.l_type);
        observe_number("start", lock.l_start);
        observe_number("length", lock.l_len);
        observe_number("whence", lock.l_whence);
        IS("holder", lock.l_pid == parent);
        lock = range(F_RDLCK, 50, 5);
        CALL("free", fcntl(fd, F_GETLK, &lock));
        observe_number("type", lock.l_type);
        observe_number("start_kept", lock.l_start);
    }
    await(child);
}

CASE(fcntl_lock_split_and_merge, NEEDS_FORK)
{
    int fd = locked_file();
    NEED(set_lock(fd, F_SETLK, F_WRLCK, 0, 100));
    CALL("unlock_middle", set_lock(fd, F_SETLK, F_UNLCK, 40, 20));
    CALL("downgrade", set_lock(fd, F_SETLK, F_RDLCK, 80, 20));
    CHILD(child)
    {
        long starts[] = {0, 39, 40, 59, 60, 79, 80, 99, 100};
        for (unsigned i = 0; i < COUNT(starts); i++) {
            struct flock lock = range(F_WRLCK, starts[i], 1);
            NEED(fcntl(fd, F_GETLK, &lock));
            observe_number("type", lock.l_type);
            if (lock.l_type != F_UNLCK) {
                observe_number("start", lock.l_start);
                observe_number("length", lock.l_len);
            }
        }
    }
    await(child);
}

/* Closing any descriptor of the file drops the process's locks. */
CASE(fcntl_lock_lost_on_close, NEEDS_FORK)
{
    int fd = locked_file();
    NEED(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
    NEED(close((int)NEED(open("f", O_RDONLY))));
    CHILD(child)
    {
        CALL("free", set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
    }
    await(child);
}

CASE(fcntl_lock_not_inherited, NEEDS_FORK)
{
    int fd = locked_file(), ends[2];
    char byte;
    NEED(pipe(ends));
    CHILD(child)
    {
        NEED(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
        NEED(write(ends[1], "x", 1));
        CHILD(inner)
        {
            CALL("inner", set_lock(fd, F_SETLK, F_RDLCK, 0, 0));
        }
        await(inner);
    }
    NEED(read(ends[0], &byte, 1));
    await(child);
    CALL("released_by_exit", set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

CASE(fcntl_lock_wait, NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    int fd = locked_file();
    CHILD(child)
    {
        NEED(set_lock(fd, F_SETLK, F_WRLCK, 0, 5));
        step[0] = 1;
        sleep_ms(30);
        step[1] = 1;
        NEED(set_lock(fd, F_SETLK, F_UNLCK, 0, 5));
        wait_until(step + 2, 1);
    }
    wait_until(step, 1);
    CALL("wait", set_lock(fd, F_SETLKW, F_WRLCK, 0, 1));
    observe_number("after_release", step[1]);
    step[2] = 1;
    await(child);
}

CASE(fcntl_lock_deadlock, NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    int fd = locked_file();
    NEED(set_lock(fd, F_SETLK, F_WRLCK, 0, 1));
    CHILD(child)
    {
        NEED(set_lock(fd, F_SETLK, F_WRLCK, 1, 1));
        step[0] = 1;
        long result = set_lock(fd, F_SETLKW, F_WRLCK, 0, 1);
        _exit(result == 0 ? 0 : errno == EDEADLK ? 1 : 2);
    }
    wait_until(step, 1);
    long result = set_lock(fd, F_SETLKW, F_WRLCK, 1, 1);
    int mine = result == 0 ? 0 : errno == EDEADLK ? 1 : 2;
    NEED(close(fd));
    int status = await(child);
    /* Exactly one of the two is told, whichever came second. */
    observe_number("deadlocks", mine + WEXITSTATUS(status));
}

CASE(fcntl_lock_errors)
{
    int fd = locked_file();
    CALL("reader_write_lock", set_lock((int)NEED(open("f", O_RDONLY)), F_SETLK, F_WRLCK, 0, 1));
    CALL("writer_read_lock", set_lock((int)NEED(open("f", O_WRONLY)), F_SETLK, F_RDLCK, 0, 1));
    CALL("negative_start", set_lock(fd, F_SETLK, F_WRLCK, -1, 1));
    CALL("negative_length", set_lock(fd, F_SETLK, F_WRLCK, 5, -3));
    CALL("too_far_back", set_lock(fd, F_SETLK, F_WRLCK, 2, -3));
    CALL("closed", set_lock(999, F_SETLK, F_WRLCK, 0, 1));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -2, .l_len = 1};
    CALL("from_end", fcntl(fd, F_SETLK, &lock));
    lock = range(F_UNLCK, 0, 0);
    CALL("get_unlock", fcntl(fd, F_GETLK, &lock));
}

CASE(fcntl_ofd_locks)
{
    int fd = locked_file(), other = (int)NEED(open("f", O_RDWR)), copy = (int)NEED(dup(fd));
    CALL("lock", set_lock(fd, SETLK_OFD, F_WRLCK, 0, 10));
    CALL("other_description", set_lock(other, SETLK_OFD, F_WRLCK, 5, 1));
    CALL("same_by_dup", set_lock(copy, SETLK_OFD, F_WRLCK, 5, 1));
    struct flock lock = range(F_WRLCK, 0, 0);
    CALL("get", fcntl(other, GETLK_OFD, &lock));
    observe_number("pid", lock.l_pid);
    observe_number("type", lock.l_type);
    /* Process locks conflict with them, even in one process. */
    CALL("process_lock", set_lock(other, F_SETLK, F_WRLCK, 0, 1));
    NEED(close(fd));
    CALL("kept_by_dup", set_lock(other, SETLK_OFD, F_RDLCK, 0, 1));
    NEED(close(copy));
    CALL("released", set_lock(other, SETLK_OFD, F_RDLCK, 0, 1));
    lock = range(F_WRLCK, 0, 0);
    lock.l_pid = 5;
    CALL("pid_must_be_zero", fcntl(other, SETLK_OFD, &lock));
}

CASE(flock_kinds)
{
    put_file("f", "");
    int a = (int)NEED(open("f", O_RDONLY)), b = (int)NEED(open("f", O_RDWR));
    CALL("shared", flock(a, LOCK_SH));
    CALL("shared_too", flock(b, LOCK_SH | LOCK_NB));
    CALL("exclusive", flock(b, LOCK_EX | LOCK_NB));
    CALL("unlock", flock(a, LOCK_UN));
    CALL("upgrade", flock(b, LOCK_EX | LOCK_NB));
    CALL("blocked", flock(a, LOCK_SH | LOCK_NB));
    CALL("unlock_unlocked", flock(a, LOCK_UN));
}

CASE(flock_belongs_to_description, NEEDS_FORK)
{
    put_file("f", "");
    int a = (int)NEED(open("f", O_RDONLY)), b = (int)NEED(open("f", O_RDONLY));
    NEED(flock(a, LOCK_EX));
    CHILD(child)
    {
        CALL("child_same", flock(a, LOCK_EX | LOCK_NB));
        CALL("child_other", flock(b, LOCK_EX | LOCK_NB));
    }
    await(child);
    CALL("kept_after_child", flock(b, LOCK_EX | LOCK_NB));
    int copy = (int)NEED(dup(a));
    NEED(close(a));
    CALL("kept_by_dup", flock(b, LOCK_EX | LOCK_NB));
    NEED(close(copy));
    CALL("released", flock(b, LOCK_EX | LOCK_NB));
}

CASE(flock_errors)
{
    int ends[2];
    NEED(pipe(ends));
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("none", flock(fd, 0));
    CALL("both", flock(fd, LOCK_SH | LOCK_EX));
    CALL("closed", flock(999, LOCK_SH));
    CALL("pipe", flock(ends[0], LOCK_SH));
    CALL("directory", flock((int)NEED(open(".", O_RDONLY)), LOCK_EX));
}

CASE(flock_wait, NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    put_file("f", "");
    CHILD(child)
    {
        int fd = (int)NEED(open("f", O_RDONLY));
        NEED(flock(fd, LOCK_EX));
        step[0] = 1;
        sleep_ms(30);
        step[1] = 1;
    }
    wait_until(step, 1);
    CALL("wait", flock((int)NEED(open("f", O_RDONLY)), LOCK_EX));
    observe_number("after_release", step[1]);
    await(child);
}
