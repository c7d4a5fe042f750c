/* futex, past the C library. */
#include "suite.h"

#include <pthread.h>
#include <sched.h>

enum {
    WAIT = 0,
    WAKE = 1,
    REQUEUE = 3,
    CMP_REQUEUE = 4,
    WAKE_OP = 5,
    LOCK_PI = 6,
    UNLOCK_PI = 7,
    TRYLOCK_PI = 8,
    WAIT_BITSET = 9,
    WAKE_BITSET = 10,
    PRIVATE = 128,
    REALTIME = 256,
};

static long futex(void *word, int operation, long value, const void *timeout, void *second,
                  long third)
{
    return RAW(SYS_futex, word, operation, value, timeout, second, third);
}

struct waiter {
    pthread_t thread;
    int *word;
    int value, operation, bits;
    long result;
    int error;
    volatile int done;
};

static void *wait_on(void *argument)
{
    struct waiter *waiter = argument;
    waiter->result = futex(waiter->word, waiter->operation, waiter->value, NULL, NULL,
                           waiter->bits);
    waiter->error = errno;
    __atomic_store_n(&waiter->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void start(struct waiter *waiter, int *word, int operation, int bits)
{
    *waiter = (struct waiter){.word = word, .operation = operation, .bits = bits};
    NEED0(pthread_create(&waiter->thread, NULL, wait_on, waiter));
}

/* Wakes until `count` were woken in all: waiters may not be there yet. */
static void wake_in_all(int *word, int count)
{
    int woken = 0;
    while (woken < count) {
        woken += (int)futex(word, WAKE | PRIVATE, count - woken, NULL, NULL, 0);
        sched_yield();
    }
}

CASE(futex_wait_value_differs)
{
    int word = 5;
    CALL("private", futex(&word, WAIT | PRIVATE, 4, NULL, NULL, 0));
    CALL("shared", futex(&word, WAIT, 4, NULL, NULL, 0));
    CALL("bitset", futex(&word, WAIT_BITSET | PRIVATE, 4, NULL, NULL, -1));
    CALL("bitset_empty", futex(&word, WAIT_BITSET | PRIVATE, 4, NULL, NULL, 0));
}

CASE(futex_wait_timeout)
{
    int word = 5;
    struct timespec twenty = {0, 20 * MILLISECOND}, nothing = {0, 0};
    long long begin = now_ns();
    CALL("wait", futex(&word, WAIT | PRIVATE, 5, &twenty, NULL, 0));
    IS("at_least_20ms", now_ns() - begin >= 20 * MILLISECOND);
    CALL("zero", futex(&word, WAIT | PRIVATE, 5, &nothing, NULL, 0));
    CALL("shared", futex(&word, WAIT, 5, &nothing, NULL, 0));
}

CASE(futex_wait_bad_timeouts)
{
    int word = 5;
    struct timespec large = {0, 1000000000}, negative = {-1, 0};
    CALL("large", futex(&word, WAIT | PRIVATE, 5, &large, NULL, 0));
    CALL("negative", futex(&word, WAIT | PRIVATE, 5, &negative, NULL, 0));
    CALL("bad_pointer", futex(&word, WAIT | PRIVATE, 5, BAD_POINTER, NULL, 0));
}

CASE(futex_wait_absolute)
{
    int word = 5;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    CALL("past", futex(&word, WAIT_BITSET | PRIVATE, 5, &until, NULL, -1));
    long long target = now_ns() + 20 * MILLISECOND;
    until = (struct timespec){target / 1000000000, target % 1000000000};
    CALL("future", futex(&word, WAIT_BITSET | PRIVATE, 5, &until, NULL, -1));
    IS("reached", now_ns() >= target);
    clock_gettime(CLOCK_REALTIME, &until);
    CALL("realtime", futex(&word, WAIT_BITSET | PRIVATE | REALTIME, 5, &until, NULL, -1));
}

CASE(futex_bad_addresses)
{
    int words[2] = {0, 0};
    CALL("odd_wait", futex((char *)words + 1, WAIT | PRIVATE, 0, NULL, NULL, 0));
    CALL("odd_wake", futex((char *)words + 1, WAKE | PRIVATE, 1, NULL, NULL, 0));
    CALL("null_wait", futex(NULL, WAIT | PRIVATE, 0, NULL, NULL, 0));
    CALL("null_wait_shared", futex(NULL, WAIT, 0, NULL, NULL, 0));
    CALL("null_wake_shared", futex(NULL, WAKE, 1, NULL, NULL, 0));
    CALL("kernel", futex(KERNEL_POINTER, WAIT | PRIVATE, 0, NULL, NULL, 0));
    CALL("unknown_operation", futex(words, 77, 0, NULL, NULL, 0));
    CALL("nobody", futex(words, WAKE | PRIVATE, 1, NULL, NULL, 0));
}

CASE(futex_wake_one, NEEDS_THREADS)
{
    struct waiter waiter;
    int word = 0;
    start(&waiter, &word, WAIT | PRIVATE, 0);
    wake_in_all(&word, 1);
    pthread_join(waiter.thread, NULL);
    observe_number("result", waiter.result);
}

CASE(futex_wake_counts, NEEDS_THREADS)
{
    struct waiter waiters[4];
    int word = 0;
    for (unsigned i = 0; i < 4; i++)
        start(&waiters[i], &word, WAIT | PRIVATE, 0);
    wake_in_all(&word, 3);
    int done = 0;
    while (done < 3) {
        done = 0;
        for (unsigned i = 0; i < 4; i++)
            done += waiters[i].done;
        sched_yield();
    }
    sleep_ms(10);
    done = 0;
    for (unsigned i = 0; i < 4; i++)
        done += waiters[i].done;
    observe_number("done", done);
    wake_in_all(&word, 1);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(waiters[i].thread, NULL);
}

CASE(futex_requeue, NEEDS_THREADS)
{
    struct waiter waiters[4];
    int first = 0, second = 0, moved = 0;
    for (unsigned i = 0; i < 4; i++)
        start(&waiters[i], &first, WAIT | PRIVATE, 0);
    while (moved < 4) {
        moved += (int)futex(&first, REQUEUE | PRIVATE, 0, (void *)10L, &second, 0);
        sched_yield();
    }
    observe_number("moved", moved);
    CALL("first_is_empty", futex(&first, WAKE | PRIVATE, 10, NULL, NULL, 0));
    /* The woken and the moved ones count alike. */
    CALL("one_woken_two_back", futex(&second, REQUEUE | PRIVATE, 1, (void *)2L, &first, 0));
    CALL("second_has_one", futex(&second, WAKE | PRIVATE, 10, NULL, NULL, 0));
    CALL("first_has_two", futex(&first, WAKE | PRIVATE, 10, NULL, NULL, 0));
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(waiters[i].thread, NULL);
        observe_number("result", waiters[i].result);
    }
}

CASE(futex_cmp_requeue_checks)
{
    int first = 5, second = 0;
    CALL("differs", futex(&first, CMP_REQUEUE | PRIVATE, 1, (void *)1L, &second, 4));
    CALL("equal", futex(&first, CMP_REQUEUE | PRIVATE, 1, (void *)1L, &second, 5));
    CALL("negative_wake", futex(&first, CMP_REQUEUE | PRIVATE, -1, (void *)1L, &second, 5));
    CALL("negative_move", futex(&first, CMP_REQUEUE | PRIVATE, 1, (void *)-1L, &second, 5));
    CALL("bad_second", futex(&first, CMP_REQUEUE | PRIVATE, 1, (void *)1L, (char *)&second + 1, 5));
}

CASE(futex_cmp_requeue_moves, NEEDS_THREADS)
{
    struct waiter waiters[3];
    int first = 0, second = 0, moved = 0;
    for (unsigned i = 0; i < 3; i++)
        start(&waiters[i], &first, WAIT | PRIVATE, 0);
    /* CMP_REQUEUE counts the moved ones too. */
    while (moved < 3) {
        moved += (int)futex(&first, CMP_REQUEUE | PRIVATE, 0, (void *)10L, &second, 0);
        sched_yield();
    }
    observe_number("moved", moved);
    CALL("first_is_empty", futex(&first, WAKE | PRIVATE, 10, NULL, NULL, 0));
    CALL("second_has_all", futex(&second, WAKE | PRIVATE, 10, NULL, NULL, 0));
    for (unsigned i = 0; i < 3; i++)
        pthread_join(waiters[i].thread, NULL);
}

CASE(futex_bitset_selects, NEEDS_THREADS)
{
    struct waiter one, two;
    int word = 0;
    start(&one, &word, WAIT_BITSET | PRIVATE, 1);
    start(&two, &word, WAIT_BITSET | PRIVATE, 2);
    while (futex(&word, WAKE_BITSET | PRIVATE, 10, NULL, NULL, 2) == 0)
        sched_yield();
    pthread_join(two.thread, NULL);
    CALL("nobody_with_these", futex(&word, WAKE_BITSET | PRIVATE, 10, NULL, NULL, 6));
    CALL("no_bits", futex(&word, WAKE_BITSET | PRIVATE, 10, NULL, NULL, 0));
    observe_number("one_waits", one.done == 0);
    wake_in_all(&word, 1);
    pthread_join(one.thread, NULL);
    observe_number("one", one.result);
}

/* operation << 28 | comparison << 24 | operand << 12 | comparison operand */
CASE(futex_wake_op)
{
    int first = 0, second = 10;
    CALL("add", futex(&first, WAKE_OP | PRIVATE, 1, (void *)1L, &second, 1 << 28 | 5 << 12));
    observe_number("second", second);
    CALL("or", futex(&first, WAKE_OP | PRIVATE, 1, (void *)1L, &second, 2 << 28 | 0x30 << 12));
    observe_number("second", second);
    CALL("and_not", futex(&first, WAKE_OP | PRIVATE, 1, (void *)1L, &second, 3 << 28 | 1 << 12));
    observe_number("second", second);
    CALL("xor", futex(&first, WAKE_OP | PRIVATE, 1, (void *)1L, &second, 4 << 28 | 0xff << 12));
    observe_number("second", second);
    CALL("set", futex(&first, WAKE_OP | PRIVATE, 1, (void *)1L, &second, 7 << 12));
    observe_number("second", second);
    CALL("unknown", futex(&first, WAKE_OP | PRIVATE, 1, (void *)1L, &second, 5 << 28));
    CALL("unknown_comparison",
         futex(&first, WAKE_OP | PRIVATE, 1, (void *)1L, &second, 9 << 24));
}

CASE(futex_wake_op_wakes_both, NEEDS_THREADS)
{
    struct waiter one, two;
    int first = 0, second = 0, woken = 0;
    start(&one, &first, WAIT | PRIVATE, 0);
    start(&two, &second, WAIT | PRIVATE, 0);
    /* Adds nothing and compares the old value with 0. */
    while (woken < 2) {
        woken += (int)futex(&first, WAKE_OP | PRIVATE, 1, (void *)1L, &second, 1 << 28);
        sched_yield();
    }
    pthread_join(one.thread, NULL);
    pthread_join(two.thread, NULL);
    observe_number("woken", woken);
}

CASE(futex_shared_between_processes, NEEDS_FORK)
{
    int *word = shared_pages(1);
    CHILD(child)
    {
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0)
            futex(word, WAIT, 0, NULL, NULL, 0);
        _exit(7);
    }
    sleep_ms(10);
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    futex(word, WAKE, 1, NULL, NULL, 0);
    observe_status("child", await(child));
}

CASE(futex_shared_in_file, NEEDS_FORK)
{
    put_file("f", "");
    NEED(truncate("f", 4096));
    int fd = (int)NEED(open("f", O_RDWR));
    CHILD(child)
    {
        int *word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0)
            futex(word, WAIT, 0, NULL, NULL, 0);
        _exit(7);
    }
    int *word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    sleep_ms(10);
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    futex(word, WAKE, 1, NULL, NULL, 0);
    observe_status("child", await(child));
}

/* A private word of a child is not the parent's, though the address is equal. */
CASE(futex_private_is_per_process, NEEDS_FORK)
{
    static int word;
    int ends[2];
    char byte;
    NEED(pipe(ends));
    CHILD(child)
    {
        struct timespec soon = {0, 50 * MILLISECOND};
        NEED(write(ends[1], "x", 1));
        long result = futex(&word, WAIT | PRIVATE, 0, &soon, NULL, 0);
        observe_call("child", result, errno);
    }
    NEED(read(ends[0], &byte, 1));
    int woken = 0;
    for (int i = 0; i < 20; i++) {
        woken += (int)futex(&word, WAKE | PRIVATE, 1, NULL, NULL, 0);
        woken += (int)futex(&word, WAKE, 1, NULL, NULL, 0);
        sleep_ms(1);
    }
    await(child);
    observe_number("woken", woken);
}

CASE(futex_pi_uncontended)
{
    int word = 0;
    CALL("lock", futex(&word, LOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    IS("owner", (word & 0x3fffffff) == (int)RAW(SYS_gettid));
    CALL("again", futex(&word, LOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    CALL("try", futex(&word, TRYLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    CALL("unlock", futex(&word, UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    observe_number("word", word);
    CALL("unlock_again", futex(&word, UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    word = 0x3ffffff0;
    CALL("owner_is_gone", futex(&word, LOCK_PI | PRIVATE, 0, NULL, NULL, 0));
}

static int pi_word;

static void *pi_locker(void *argument)
{
    volatile int *order = argument;
    long result = futex(&pi_word, LOCK_PI | PRIVATE, 0, NULL, NULL, 0);
    observe_call("second_lock", result, errno);
    observe_number("after_unlock", *order);
    CALL("second_unlock", futex(&pi_word, UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    return NULL;
}

CASE(futex_pi_contended, NEEDS_THREADS)
{
    volatile int order = 0;
    pthread_t thread;
    NEED(futex(&pi_word, LOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    NEED0(pthread_create(&thread, NULL, pi_locker, (void *)&order));
    /* The waiters bit tells that the other is waiting. */
    while (!(__atomic_load_n(&pi_word, __ATOMIC_ACQUIRE) & 0x80000000))
        sched_yield();
    order = 1;
    long unlocked = futex(&pi_word, UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0);
    pthread_join(thread, NULL);
    observe_number("unlock", unlocked);
    observe_number("word", pi_word);
}

static void *pi_holder(void *argument)
{
    volatile int *step = argument;
    NEED(futex(&pi_word, LOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    step[0] = 1;
    wait_until(step + 1, 1);
    NEED(futex(&pi_word, UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    return NULL;
}

CASE(futex_pi_timeout, NEEDS_THREADS)
{
    volatile int step[2] = {0, 0};
    struct timespec past = {1, 0};
    pthread_t thread;
    pi_word = 0;
    NEED0(pthread_create(&thread, NULL, pi_holder, (void *)step));
    wait_until(step, 1);
    CALL("lock", futex(&pi_word, LOCK_PI | PRIVATE, 0, &past, NULL, 0));
    CALL("try", futex(&pi_word, TRYLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    CALL("unlock_others", futex(&pi_word, UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0));
    step[1] = 1;
    pthread_join(thread, NULL);
}

/* An owner that dies with a robust list leaves the mark of death. */
CASE(futex_robust_owner_died, NEEDS_THREADS)
{
    pthread_mutexattr_t attributes;
    static pthread_mutex_t mutex;
    pthread_t thread;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &attributes);
    NEED0(pthread_create(&thread, NULL, (void *(*)(void *))(uintptr_t)pthread_mutex_lock, &mutex));
    pthread_join(thread, NULL);
    observe_error("lock", pthread_mutex_lock(&mutex));
    observe_error("consistent", pthread_mutex_consistent(&mutex));
    observe_error("unlock", pthread_mutex_unlock(&mutex));
    observe_error("lock_again", pthread_mutex_trylock(&mutex));
}
ALSO(futex_robust_owner_died, "set_robust_list");

CASE(futex_robust_process_died, NEEDS_FORK)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutex = shared_pages(1);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &attributes);
    CHILD(child)
    {
        pthread_mutex_lock(mutex);
        kill(getpid(), SIGKILL);
    }
    observe_status("child", await(child));
    observe_error("lock", pthread_mutex_lock(mutex));
    /* Unlocked without being made consistent, it can never be used again. */
    observe_error("unlock", pthread_mutex_unlock(mutex));
    observe_error("lock_again", pthread_mutex_lock(mutex));
}
ALSO(futex_robust_process_died, "set_robust_list");

/* A waiter in another process is woken by the death of the owner. */
CASE(futex_robust_wakes_waiter, NEEDS_FORK)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutex = shared_pages(1);
    volatile int *step = shared_pages(1);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &attributes);
    CHILD(owner)
    {
        pthread_mutex_lock(mutex);
        step[0] = 1;
        wait_until(step + 1, 1);
        sleep_ms(20);
        kill(getpid(), SIGKILL);
    }
    wait_until(step, 1);
    step[1] = 1;
    observe_error("lock", pthread_mutex_lock(mutex));
    observe_status("owner", await(owner));
}

CASE(futex_waitv_errors)
{
    int word = 5;
    struct {
        uint64_t value, address;
        uint32_t flags, reserved;
    } waiters[2] = {{4, (uint64_t)&word, 2 | 128, 0}, {5, (uint64_t)&word, 2 | 128, 0}};
    long result = RAW(449, waiters, 2, 0, 0, 0);
    /* Before Linux 5.16 there was no such call. */
    IS("differs_or_absent", result == -1 && (errno == EAGAIN || errno == ENOSYS));
    result = RAW(449, waiters, 0, 0, 0, 0);
    IS("none_or_absent", result == -1 && (errno == EINVAL || errno == ENOSYS));
}
