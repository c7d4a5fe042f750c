/* Threads and futexes. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *nothing(void *argument)
{
    return argument;
}

static void run_thread(long count)
{
    start_clock();
    for (long i = 0; i < count; i++) {
        pthread_t thread;
        if ((errno = pthread_create(&thread, 0, nothing, 0)) || pthread_join(thread, 0))
            fail("pthread_create");
    }
    stop_clock();
}

/* One word per side, on cache lines of their own: 1 says that it is that side's turn. */
static struct {
    int word;
    char other_line[124];
} turns[2];

static long rounds;

/* A futex call; a value in a vector register must live through it. */
static long futex(int *word, int operation, int value, unsigned long mark)
{
    unsigned long kept;
    long result;
    register long timeout __asm__("r10") = 0;
    __asm__ volatile("movq %[mark], %%xmm15\n\t"
                     "punpcklqdq %%xmm15, %%xmm15\n\t"
                     "syscall\n\t"
                     "psrldq $8, %%xmm15\n\t"
                     "movq %%xmm15, %[kept]"
                     : "=a"(result), [kept] "=&b"(kept)
                     : "a"(SYS_futex), "D"(word), "S"(operation), "d"(value), "r"(timeout),
                       [mark] "r"(mark)
                     : "rcx", "r11", "memory", "xmm15");
    if (kept != mark)
        fail("a vector register changed in a system call");
    return result;
}

static void *side(void *argument)
{
    long own = (long)argument;
    for (long i = 0; i < rounds; i++) {
        while (!__atomic_load_n(&turns[own].word, __ATOMIC_ACQUIRE))
            futex(&turns[own].word, FUTEX_WAIT_PRIVATE, 0, 0x1111111111111111 * (own + 1) + i);
        __atomic_store_n(&turns[own].word, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&turns[!own].word, 1, __ATOMIC_RELEASE);
        futex(&turns[!own].word, FUTEX_WAKE_PRIVATE, 1, 0x2222222222222222 * (own + 1) + i);
    }
    return 0;
}

/* There and back between two threads on one CPU. */
static void run_futex(long count)
{
    pthread_t other;
    rounds = count;
    turns[0].word = turns[1].word = 0;
    stay_on_one_cpu();
    if ((errno = pthread_create(&other, 0, side, (void *)1)))
        fail("pthread_create");
    turns[0].word = 1;
    start_clock();
    side((void *)0);
    pthread_join(other, 0);
    stop_clock();
    leave_one_cpu();
}

const struct bench THREADS[] = {
    {"thread", run_thread},
    {"futex", run_futex},
    {0},
};
