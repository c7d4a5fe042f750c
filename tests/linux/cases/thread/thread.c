/* Threads past the C library: clone, ids, exits, registers across switches. */
#include "suite.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

static void *store_tid(void *argument)
{
    *(long *)argument = RAW(SYS_gettid);
    return (void *)(long)getpid();
}

CASE(gettid_per_thread, NEEDS_THREADS)
{
    long tids[2];
    void *pids[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        NEED0(pthread_create(&threads[i], NULL, store_tid, &tids[i]));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], &pids[i]);
    IS("same_pid", (long)pids[0] == getpid() && (long)pids[1] == getpid());
    IS("different_tids", tids[0] != getpid() && tids[1] != getpid() && tids[0] != tids[1]);
    IS("main", RAW(SYS_gettid) == getpid());
}

CASE(gettid_after_fork, NEEDS_FORK | NEEDS_THREADS)
{
    CHILD(child)
    {
        IS("child", RAW(SYS_gettid) == getpid());
        long tid;
        pthread_t thread;
        NEED0(pthread_create(&thread, NULL, store_tid, &tid));
        pthread_join(thread, NULL);
        IS("thread", tid != getpid());
    }
    observe_status("child", await(child));
}

/* Only the calling thread lives on in the child. */
static void *count_up(void *argument)
{
    for (;;)
        __atomic_fetch_add((volatile int *)argument, 1, __ATOMIC_RELAXED);
    return NULL;
}

CASE(fork_takes_one_thread, NEEDS_FORK | NEEDS_THREADS)
{
    static volatile int count;
    pthread_t thread;
    NEED0(pthread_create(&thread, NULL, count_up, (void *)&count));
    wait_until(&count, 1000);
    CHILD(child)
    {
        int before = count;
        sleep_ms(20);
        IS("stands_still", count == before);
    }
    observe_status("child", await(child));
    int before = count;
    wait_until(&count, before + 1000);
    IS("goes_on", 1);
}

static void *fork_in_thread(void *argument)
{
    pid_t child = fork();
    if (child == 0)
        _exit(RAW(SYS_gettid) == getpid() ? 6 : 7);
    observe_status("child", await(child));
    return argument;
}

CASE(fork_from_thread, NEEDS_FORK | NEEDS_THREADS)
{
    pthread_t thread;
    NEED0(pthread_create(&thread, NULL, fork_in_thread, NULL));
    pthread_join(thread, NULL);
}

/* Any thread may wait for any thread's child. */
static void *fork_only(void *argument)
{
    pid_t child = fork();
    if (child == 0)
        _exit(9);
    *(pid_t *)argument = child;
    return NULL;
}

CASE(wait4_child_of_other_thread, NEEDS_FORK | NEEDS_THREADS)
{
    pthread_t thread;
    pid_t child = 0;
    NEED0(pthread_create(&thread, NULL, fork_only, &child));
    pthread_join(thread, NULL);
    observe_status("child", await(child));
}

enum {
    VM = 0x100,
    FS = 0x200,
    FILES = 0x400,
    SIGHAND = 0x800,
    THREAD = 0x10000,
    SETTLS = 0x80000,
    PARENT_SETTID = 0x100000,
    CHILD_CLEARTID = 0x200000,
    CHILD_SETTID = 0x1000000,
};

CASE(clone_flag_errors)
{
    CALL("sighand_without_vm", RAW(SYS_clone, SIGHAND, 0, 0, 0, 0));
    CALL("thread_without_sighand", RAW(SYS_clone, THREAD | VM, 0, 0, 0, 0));
    CALL("new_namespace_and_fs", RAW(SYS_clone, 0x20000 | FS, 0, 0, 0, 0));
    CALL("clone3_small", RAW(435, &(long[8]){0}, 8));
    CALL("clone3_bad", RAW(435, BAD_POINTER, 64));
    CALL("clone3_zero_stack_size", RAW(435, (&(long[8]){0, 0, 0, 0, 0, 4096, 0, 0}), 64));
    CALL("clone3_signal_in_flags", RAW(435, (&(long[8]){17, 0, 0, 0, 0, 0, 0, 0}), 64));
    CALL("clone3_bad_signal", RAW(435, (&(long[8]){0, 0, 0, 0, 99, 0, 0, 0}), 64));
}
ALSO(clone_flag_errors, "clone3");

/* clone with a null stack and only a signal is fork. */
CASE(clone_as_fork, NEEDS_FORK)
{
    int variable = 1;
    long child = RAW(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        variable = 2;
        _exit(variable);
    }
    observe_status("child", await((pid_t)child));
    observe_number("own", variable);
}

CASE(clone_stores_tids, NEEDS_FORK)
{
    pid_t *shared = shared_pages(1), own = 0;
    long child = RAW(SYS_clone, SIGCHLD | PARENT_SETTID | CHILD_SETTID, 0, &own, shared, 0);
    if (child == 0)
        _exit(*shared == getpid() ? 3 : 4);
    IS("parent", own == child);
    observe_status("child", await((pid_t)child));
}

CASE(clone3_as_fork, NEEDS_FORK)
{
    pid_t own = 0;
    long arguments[8] = {PARENT_SETTID, 0, 0, (long)&own, SIGCHLD, 0, 0, 0};
    long child = RAW(435, arguments, sizeof arguments);
    if (child == 0)
        _exit(5);
    IS("parent", own == child);
    observe_status("child", await((pid_t)child));
}

CASE(clone3_without_signal, NEEDS_FORK)
{
    long arguments[8] = {0};
    int status = -1;
    long child = RAW(435, arguments, sizeof arguments);
    if (child == 0)
        _exit(6);
    CALL("plain_wait", waitpid((pid_t)child, &status, 0));
    IS("clone_wait", waitpid((pid_t)child, &status, (int)__WCLONE) == child);
    observe_status("child", status);
}

static int store_in_memory(void *argument)
{
    *(volatile int *)argument = 42;
    return 8;
}

CASE(clone_shared_memory, NEEDS_FORK)
{
    volatile int value = 0;
    char *stack = pages(16);
    int child = clone(store_in_memory, stack + 16 * PAGE, VM | SIGCHLD, (void *)&value);
    observe_status("child", await(child));
    observe_number("value", value);
}

static int change_files(void *argument)
{
    *(int *)argument = dup(0);
    if (chdir("/") != 0)
        return 1;
    return 0;
}

CASE(clone_shared_files, NEEDS_FORK)
{
    int fd = -1;
    char path[PATH_MAX];
    char *stack = pages(16);
    int child = clone(change_files, stack + 16 * PAGE, VM | FILES | SIGCHLD, &fd);
    await(child);
    CALL("descriptor", fcntl(fd, F_GETFD));
    NEED(RAW(SYS_getcwd, path, sizeof path));
    IS("own_directory", strcmp(path, "/") != 0);
    child = clone(change_files, stack + 16 * PAGE, VM | FS | SIGCHLD, &fd);
    await(child);
    CALL("own_descriptors", fcntl(fd, F_GETFD));
    NEED(RAW(SYS_getcwd, path, sizeof path));
    observe_text("shared_directory", path);
}

CASE(unshare_files, NEEDS_THREADS)
{
    CALL("files", unshare(FILES));
    CALL("fs", unshare(FS));
    CALL("nothing", unshare(0));
    CALL("unknown", unshare(0x1000));
}

/* The kernel clears the word and wakes whoever waits for it: this is what join stands on. */
static int word_of_thread;

static int leave_at_once(void *argument)
{
    (void)argument;
    RAW(SYS_exit, 0);
    return 0;
}

CASE(set_tid_address_cleared_at_exit, NEEDS_THREADS)
{
    char *stack = pages(16);
    word_of_thread = 7;
    int tid = clone(leave_at_once, stack + 16 * PAGE,
                    VM | FS | FILES | SIGHAND | THREAD | CHILD_CLEARTID | PARENT_SETTID | 0x40000,
                    NULL, &word_of_thread, NULL, &word_of_thread);
    IS("started", tid > 0);
    int seen;
    while ((seen = __atomic_load_n(&word_of_thread, __ATOMIC_ACQUIRE)) != 0)
        RAW(SYS_futex, &word_of_thread, 0, seen, 0, 0, 0);
    observe_number("word", word_of_thread);
}

/* --- exits --- */

static void *exit_all(void *argument)
{
    RAW(SYS_exit_group, (long)argument);
    return NULL;
}

CASE(exit_group_from_thread, NEEDS_FORK | NEEDS_THREADS)
{
    CHILD(child)
    {
        pthread_t thread;
        NEED0(pthread_create(&thread, NULL, exit_all, (void *)33L));
        for (;;)
            pause();
    }
    observe_status("child", await(child));
}

static void *exit_later(void *argument)
{
    sleep_ms(20);
    exit((int)(long)argument);
}

CASE(exit_main_thread_first, NEEDS_FORK | NEEDS_THREADS)
{
    CHILD(child)
    {
        pthread_t thread;
        NEED0(pthread_create(&thread, NULL, exit_later, (void *)44L));
        pthread_exit(NULL);
    }
    CALL("not_over_yet", waitpid(child, NULL, WNOHANG));
    observe_status("child", await(child));
}

CASE(exit_group_spinning_threads, NEEDS_FORK | NEEDS_THREADS)
{
    static volatile int count;
    CHILD(child)
    {
        for (int i = 0; i < 4; i++) {
            pthread_t thread;
            NEED0(pthread_create(&thread, NULL, count_up, (void *)&count));
        }
        wait_until(&count, 1000);
        _exit(2);
    }
    observe_status("child", await(child));
}

static void *return_at_once(void *argument)
{
    return argument;
}

CASE(exit_last_thread_gives_status, NEEDS_FORK | NEEDS_THREADS)
{
    CHILD(child)
    {
        pthread_t thread;
        NEED0(pthread_create(&thread, NULL, return_at_once, NULL));
        pthread_join(thread, NULL);
        RAW(SYS_exit, 21);
    }
    observe_status("child", await(child));
}

/* --- scheduling --- */

/* Each fills its vector registers with its own pattern and checks them over and over. */
static volatile int vector_rounds[4];
static volatile int vector_wrong;
static volatile int vector_stop;

static void *spin_vectors(void *argument)
{
    long index = (long)argument;
    unsigned char pattern[64], seen[64];
    memset(pattern, (int)index + 1, sizeof pattern);
    double sum = 0;
    while (!vector_stop) {
        __asm__ volatile("movdqu (%0), %%xmm4\n movdqu 16(%0), %%xmm9\n"
                         "movdqu 32(%0), %%xmm12\n movdqu 48(%0), %%xmm15\n"
                         "mov $2000, %%ecx\n 1: dec %%ecx\n jnz 1b\n"
                         "movdqu %%xmm4, (%1)\n movdqu %%xmm9, 16(%1)\n"
                         "movdqu %%xmm12, 32(%1)\n movdqu %%xmm15, 48(%1)\n"
                         :
                         : "r"(pattern), "r"(seen)
                         : "rcx", "memory", "cc", "xmm4", "xmm9", "xmm12", "xmm15");
        if (memcmp(pattern, seen, sizeof pattern) != 0)
            vector_wrong = 1;
        sum += 0.5;
        vector_rounds[index]++;
    }
    return NULL;
}

CASE(sched_yield_vector_registers, NEEDS_THREADS)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        NEED0(pthread_create(&threads[i], NULL, spin_vectors, (void *)i));
    sleep_ms(150);
    for (int i = 0; i < 4; i++)
        wait_until(&vector_rounds[i], 10);
    vector_stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    observe_number("wrong", vector_wrong);
}

/* Two that never call the kernel share one processor. */
CASE(sched_setaffinity_preemption, NEEDS_THREADS)
{
    static volatile int first, second;
    unsigned long one = 0, before[16] = {0};
    pthread_t threads[2];
    NEED(RAW(SYS_sched_getaffinity, 0, sizeof before, before));
    one = before[0] & -before[0];
    NEED(RAW(SYS_sched_setaffinity, 0, sizeof one, &one));
    NEED0(pthread_create(&threads[0], NULL, count_up, (void *)&first));
    NEED0(pthread_create(&threads[1], NULL, count_up, (void *)&second));
    wait_until(&first, 100000);
    wait_until(&second, 100000);
    int first_before = first, second_before = second;
    wait_until(&first, first_before + 100000);
    wait_until(&second, second_before + 100000);
    IS("both_run", 1);
}

static void *yield_loop(void *argument)
{
    for (int i = 0; i < 100; i++)
        sched_yield();
    return argument;
}

CASE(sched_yield_many_threads, NEEDS_THREADS)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        NEED0(pthread_create(&threads[i], NULL, yield_loop, NULL));
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    IS("done", 1);
}

static void *pin_self(void *argument)
{
    unsigned long one = *(unsigned long *)argument, seen[16] = {0};
    NEED(RAW(SYS_sched_setaffinity, 0, sizeof one, &one));
    NEED(RAW(SYS_sched_getaffinity, 0, sizeof seen, seen));
    return (void *)(long)(seen[0] == one);
}

CASE(sched_setaffinity_is_per_thread, NEEDS_THREADS)
{
    unsigned long before[16] = {0}, after[16] = {0}, one;
    pthread_t thread;
    void *result;
    NEED(RAW(SYS_sched_getaffinity, 0, sizeof before, before));
    one = before[0] & -before[0];
    NEED0(pthread_create(&thread, NULL, pin_self, &one));
    pthread_join(thread, &result);
    observe_number("thread", (long)result);
    NEED(RAW(SYS_sched_getaffinity, 0, sizeof after, after));
    IS("own_unchanged", memcmp(before, after, sizeof before) == 0);
}
ALSO(sched_setaffinity_is_per_thread, "sched_getaffinity");

/* Page faults of several threads in one address space at once. */
static void *touch_pages(void *argument)
{
    char *base = argument;
    for (unsigned i = 0; i < 512; i++)
        base[i * PAGE] = 1;
    return NULL;
}

CASE(mmap_faults_of_many_threads, NEEDS_THREADS)
{
    pthread_t threads[4];
    char *memory = pages(512);
    for (int i = 0; i < 4; i++)
        NEED0(pthread_create(&threads[i], NULL, touch_pages, memory));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    unsigned sum = 0;
    for (unsigned i = 0; i < 512; i++)
        sum += (unsigned)memory[i * PAGE];
    observe_number("sum", sum);
}

static void *map_and_unmap(void *argument)
{
    long wrong = 0;
    for (int i = 0; i < 500; i++) {
        char *memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                            -1, 0);
        wrong += memory[0] != 0;
        memset(memory, (int)(long)argument, 4 * PAGE);
        wrong += memory[3 * PAGE] != (char)(long)argument;
        munmap(memory, 4 * PAGE);
    }
    return (void *)wrong;
}

/* A stale translation would show one thread's page to another. */
CASE(munmap_of_many_threads, NEEDS_THREADS)
{
    pthread_t threads[4];
    long wrong = 0;
    for (long i = 0; i < 4; i++)
        NEED0(pthread_create(&threads[i], NULL, map_and_unmap, (void *)(i + 1)));
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    observe_number("wrong", wrong);
}

CASE(membarrier_commands)
{
    long supported = RAW(SYS_membarrier, 0, 0, 0);
    IS("query", supported > 0 && (supported & 1));
    CALL("global", RAW(SYS_membarrier, 1, 0, 0));
    CALL("flags", RAW(SYS_membarrier, 0, 2, 0));
    CALL("unknown", RAW(SYS_membarrier, 1 << 20, 0, 0));
}

CASE(membarrier_private_needs_registration)
{
    CALL("expedited", RAW(SYS_membarrier, 8, 0, 0));
    CALL("register", RAW(SYS_membarrier, 16, 0, 0));
    CALL("expedited", RAW(SYS_membarrier, 8, 0, 0));
}

/* A kernel may have no rseq; one that has it takes only the right size and alignment. */
CASE(rseq_absent_or_strict)
{
    static char area[64] __attribute__((aligned(32)));
    long result = RAW(334, area + 1, 32, 0, 0);
    IS("odd", result == -1 && (errno == EINVAL || errno == ENOSYS));
    result = RAW(334, area, 8, 0, 0);
    IS("short", result == -1 && (errno == EINVAL || errno == ENOSYS));
    result = RAW(334, area, 32, 77, 0);
    IS("flags", result == -1 && (errno == EINVAL || errno == ENOSYS));
}
