/* fork and vfork: what a child has and has not. */
#include "suite.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/times.h>

CASE(fork_returns_twice, NEEDS_FORK)
{
    int *shared = shared_pages(1);
    pid_t parent = getpid();
    pid_t child = (pid_t)NEED(RAW(SYS_fork));
    if (child == 0) {
        shared[0] = getppid() == parent;
        shared[1] = getpid() != parent;
        _exit(0);
    }
    observe_status("child", await(child));
    observe_number("parent_known", shared[0]);
    observe_number("own_pid", shared[1]);
    IS("child_pid_positive", child > 0);
}

CASE(fork_copies_memory, NEEDS_FORK)
{
    static int data = 1;
    int stack = 2, *heap = malloc(sizeof *heap);
    char *mapped = pages(4);
    *heap = 3;
    mapped[3 * PAGE] = 4;
    CHILD(child)
    {
        observe_number("seen", data * 1000 + stack * 100 + *heap * 10 + mapped[3 * PAGE]);
        data = stack = *heap = mapped[3 * PAGE] = 9;
    }
    await(child);
    observe_number("kept", data * 1000 + stack * 100 + *heap * 10 + mapped[3 * PAGE]);
}

/* The parent writes first: the child must still see the old contents. */
CASE(fork_copy_on_write_both_ways, NEEDS_FORK)
{
    volatile int *step = shared_pages(1);
    unsigned char *memory = pages(64);
    memset(memory, 1, 64 * PAGE);
    CHILD(child)
    {
        wait_until(step, 1);
        unsigned wrong = 0;
        for (unsigned i = 0; i < 64; i++)
            wrong += memory[i * PAGE + 100] != 1;
        memset(memory, 3, 64 * PAGE);
        step[1] = 1;
        wait_until(step, 2);
        for (unsigned i = 0; i < 64; i++)
            wrong += memory[i * PAGE + 100] != 3;
        _exit((int)wrong);
    }
    memset(memory, 2, 64 * PAGE);
    step[0] = 1;
    wait_until(step + 1, 1);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 64; i++)
        wrong += memory[i * PAGE + 100] != 2;
    memset(memory, 4, 64 * PAGE);
    step[0] = 2;
    observe_status("child", await(child));
    observe_number("wrong", wrong);
}

/* The kernel's own writes break sharing too. */
CASE(fork_copy_on_write_by_kernel, NEEDS_FORK)
{
    int ends[2];
    char *memory = pages(1);
    memset(memory, 'p', PAGE);
    NEED(pipe(ends));
    NEED(write(ends[1], "cccc", 4));
    CHILD(child)
    {
        NEED(read(ends[0], memory, 4));
        observe_bytes("child", memory, 6);
    }
    await(child);
    observe_bytes("parent", memory, 6);
}

CASE(fork_shares_file_position, NEEDS_FORK)
{
    char text[8] = "";
    put_file("f", "0123456789");
    int fd = (int)NEED(open("f", O_RDONLY));
    CHILD(child)
    {
        NEED(read(fd, text, 4));
        NEED(close(fd));
    }
    await(child);
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("read", read(fd, text, 2));
    observe_text("text", text);
}

CASE(fork_own_descriptor_table, NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(dup2(0, 30));
        NEED(fcntl(1, F_SETFD, FD_CLOEXEC));
    }
    await(child);
    CALL("not_here", fcntl(30, F_GETFD));
    CALL("flag_kept", fcntl(1, F_GETFD));
}

CASE(fork_many, NEEDS_FORK)
{
    volatile int *sum = shared_pages(1);
    for (int i = 0; i < 100; i++) {
        CHILD(child)
        {
            __atomic_fetch_add(sum, i, __ATOMIC_SEQ_CST);
        }
    }
    int ended = 0;
    while (wait(NULL) > 0)
        ended++;
    observe_number("ended", ended);
    observe_number("sum", *sum);
}

CASE(fork_chain, NEEDS_FORK)
{
    volatile int *depth = shared_pages(1);
    int level = 0;
    while (level < 20) {
        pid_t child = (pid_t)NEED(fork());
        if (child != 0) {
            int status = await(child);
            if (level == 0)
                break;
            _exit(WEXITSTATUS(status) + 1);
        }
        level++;
        (*depth)++;
    }
    if (level == 20)
        _exit(0);
    observe_number("depth", *depth);
}

CASE(fork_inherits, NEEDS_FORK)
{
    NEED(RAW(SYS_prctl, 15, "named", 0, 0, 0));
    pid_t group = getpgid(0), session = getsid(0);
    CHILD(child)
    {
        char name[17] = "";
        NEED(RAW(SYS_prctl, 16, name, 0, 0, 0));
        observe_text("name", name);
        IS("group", getpgid(0) == group);
        IS("session", getsid(0) == session);
        struct tms used;
        NEED(times(&used));
        observe_number("times_start_at_zero", used.tms_cutime + used.tms_cstime);
    }
    observe_status("child", await(child));
}

CASE(fork_process_limit, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        struct rlimit limit = {1, 1};
        NEED(setresuid(54321, 54321, 54321));
        NEED(setrlimit(RLIMIT_NPROC, &limit));
        CALL("fork", RAW(SYS_fork));
    }
    observe_status("child", await(child));
}

CASE(vfork_shares_and_waits, NEEDS_FORK)
{
    static volatile int variable;
    variable = 1;
    pid_t child = vfork();
    if (child == 0) {
        struct timespec ten = {0, 10 * MILLISECOND};
        nanosleep(&ten, NULL);
        variable = 2;
        _exit(5);
    }
    observe_number("written_before_return", variable);
    observe_status("child", await(child));
}

CASE(vfork_then_execve, NEEDS_FORK | NEEDS_EXEC)
{
    char *arguments[] = {"runner", "--helper", "exit", "8", NULL};
    char *environment[] = {NULL};
    for (int i = 0; i < 5; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execve(runner_path(), arguments, environment);
            _exit(99);
        }
        observe_status("child", await(child));
    }
}

CASE(vfork_child_killed, NEEDS_FORK | NEEDS_SIGNALS)
{
    pid_t child = vfork();
    if (child == 0) {
        kill(getpid(), SIGKILL);
        _exit(1);
    }
    observe_status("child", await(child));
}

/* What a child held is free again: in all it is more than the guest's memory. */
CASE(fork_many_with_memory, NEEDS_FORK)
{
    enum { CHILDREN = 500, LENGTH = 1 << 20 };
    long failed = 0;
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child == 0) {
            char *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                -1, 0);
            if (memory == MAP_FAILED)
                _exit(1);
            memset(memory, 1, LENGTH);
            _exit(0);
        }
        failed += child == -1 || await(child) != 0;
    }
    observe_number("failed", failed);
}
ALSO(fork_many_with_memory, "mmap exit_group wait4");
