/* Threads that change the memory of their process at the same time. */
#include "suite.h"

#include <pthread.h>

enum { MAPPERS = 4, ROUNDS = 500, LENGTH = 4 };

/* Maps, marks, changes and unmaps memory. What another thread maps must never be in it. */
static void *map_and_check(void *argument)
{
    long mark = (long)argument, wrong = 0;
    for (int round = 0; round < ROUNDS; round++) {
        long *memory[2];
        for (int i = 0; i < 2; i++) {
            memory[i] = mmap(NULL, LENGTH * PAGE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (memory[i] == MAP_FAILED)
                return (void *)-1;
            for (unsigned page = 0; page < LENGTH; page++) {
                wrong += memory[i][page * PAGE / sizeof(long)] != 0;
                memory[i][page * PAGE / sizeof(long)] = mark;
            }
        }
        /* As a thread's stack gets its guard: replaced in place, then forbidden. */
        mmap(memory[0], PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
             0);
        mprotect(memory[0], PAGE, PROT_NONE);
        for (int i = 0; i < 2; i++) {
            for (unsigned page = i == 0; page < LENGTH; page++)
                wrong += memory[i][page * PAGE / sizeof(long)] != mark;
            munmap(memory[i], LENGTH * PAGE);
        }
    }
    return (void *)wrong;
}

CASE(mmap_by_threads, NEEDS_THREADS)
{
    pthread_t threads[MAPPERS];
    long wrong = 0;
    for (long i = 0; i < MAPPERS; i++)
        NEED0(pthread_create(&threads[i], NULL, map_and_check, (void *)(i + 1)));
    for (int i = 0; i < MAPPERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    observe_number("wrong", wrong);
}
ALSO(mmap_by_threads, "munmap mprotect");
