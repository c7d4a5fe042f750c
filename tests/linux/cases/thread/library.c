/* Threads as programs use them: the C library's mutexes, conditions, barriers, local storage. */
#include "suite.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile long counter;

static void *return_argument(void *argument)
{
    return argument;
}

CASE(clone_thread_join, NEEDS_THREADS)
{
    pthread_t thread;
    void *result = NULL;
    observe_error("create", pthread_create(&thread, NULL, return_argument, (void *)1234L));
    observe_error("join", pthread_join(thread, &result));
    observe_number("result", (long)result);
}

CASE(clone_thread_many, NEEDS_THREADS)
{
    enum { MANY = 200 };
    pthread_t threads[MANY];
    long sum = 0;
    for (long i = 0; i < MANY; i++)
        NEED0(pthread_create(&threads[i], NULL, return_argument, (void *)i));
    for (int i = 0; i < MANY; i++) {
        void *result;
        NEED0(pthread_join(threads[i], &result));
        sum += (long)result;
    }
    observe_number("sum", sum);
}

static void *add_locked(void *argument)
{
    for (long i = 0; i < (long)argument; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

CASE(futex_library_mutex, NEEDS_THREADS)
{
    pthread_t threads[4];
    counter = 0;
    for (int i = 0; i < 4; i++)
        NEED0(pthread_create(&threads[i], NULL, add_locked, (void *)20000L));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    observe_number("counter", counter);
}

static void *wait_condition(void *argument)
{
    volatile int *gate = argument;
    pthread_mutex_lock(&mutex);
    counter++;
    while (!*gate)
        pthread_cond_wait(&condition, &mutex);
    counter += 100;
    pthread_mutex_unlock(&mutex);
    return NULL;
}

CASE(futex_library_condition_broadcast, NEEDS_THREADS)
{
    pthread_t threads[5];
    volatile int gate = 0;
    counter = 0;
    for (int i = 0; i < 5; i++)
        NEED0(pthread_create(&threads[i], NULL, wait_condition, (void *)&gate));
    for (;;) {
        pthread_mutex_lock(&mutex);
        long there = counter;
        if (there == 5)
            break;
        pthread_mutex_unlock(&mutex);
        sched_yield();
    }
    gate = 1;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    observe_number("counter", counter);
}

CASE(futex_library_condition_timeout, NEEDS_THREADS)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20 * MILLISECOND;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&mutex);
    observe_error("wait", pthread_cond_timedwait(&condition, &mutex, &until));
    observe_error("mutex_held_again", pthread_mutex_trylock(&mutex));
    pthread_mutex_unlock(&mutex);
}

static pthread_barrier_t barrier;

static void *meet(void *argument)
{
    (void)argument;
    for (int i = 0; i < 100; i++) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        pthread_barrier_wait(&barrier);
        if (__atomic_load_n(&counter, __ATOMIC_RELAXED) != (i + 1) * 3)
            observe_number("broken_round", i);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

CASE(futex_library_barrier, NEEDS_THREADS)
{
    pthread_t threads[3];
    counter = 0;
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 3; i++)
        NEED0(pthread_create(&threads[i], NULL, meet, NULL));
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    observe_number("counter", counter);
}

static pthread_rwlock_t readers = PTHREAD_RWLOCK_INITIALIZER;

static void *write_locked(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2000; i++) {
        pthread_rwlock_wrlock(&readers);
        long before = counter;
        counter = before + 1;
        pthread_rwlock_unlock(&readers);
        pthread_rwlock_rdlock(&readers);
        pthread_rwlock_unlock(&readers);
    }
    return NULL;
}

CASE(futex_library_rwlock, NEEDS_THREADS)
{
    pthread_t threads[3];
    counter = 0;
    for (int i = 0; i < 3; i++)
        NEED0(pthread_create(&threads[i], NULL, write_locked, NULL));
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    observe_number("counter", counter);
}

static sem_t ping, pong;

static void *answer(void *argument)
{
    for (long i = 0; i < (long)argument; i++) {
        sem_wait(&ping);
        counter++;
        sem_post(&pong);
    }
    return NULL;
}

CASE(futex_library_semaphores, NEEDS_THREADS)
{
    pthread_t thread;
    counter = 0;
    sem_init(&ping, 0, 0);
    sem_init(&pong, 0, 0);
    NEED0(pthread_create(&thread, NULL, answer, (void *)1000L));
    for (int i = 0; i < 1000; i++) {
        sem_post(&ping);
        sem_wait(&pong);
        if (counter != i + 1)
            observe_number("out_of_step", i);
    }
    pthread_join(thread, NULL);
    observe_number("counter", counter);
}

CASE(futex_library_semaphore_processes, NEEDS_FORK)
{
    struct {
        sem_t there, back;
        int count;
    } *shared = shared_pages(1);
    sem_init(&shared->there, 1, 0);
    sem_init(&shared->back, 1, 0);
    CHILD(child)
    {
        for (int i = 0; i < 200; i++) {
            sem_wait(&shared->there);
            shared->count++;
            sem_post(&shared->back);
        }
    }
    for (int i = 0; i < 200; i++) {
        sem_post(&shared->there);
        sem_wait(&shared->back);
    }
    observe_status("child", await(child));
    observe_number("count", shared->count);
}

static __thread int local = 5;
static __thread char local_array[3000];

static void *use_local(void *argument)
{
    long before = local;
    unsigned used = 0;
    for (unsigned i = 0; i < sizeof local_array; i++)
        used |= (unsigned char)local_array[i];
    local = (int)(long)argument;
    memset(local_array, 1, sizeof local_array);
    for (int i = 0; i < 50; i++)
        sched_yield();
    return (void *)(before * 100 + local * 10 + (used != 0));
}

CASE(arch_prctl_thread_local_storage, NEEDS_THREADS)
{
    pthread_t threads[3];
    local = 9;
    for (long i = 0; i < 3; i++)
        NEED0(pthread_create(&threads[i], NULL, use_local, (void *)(i + 1)));
    for (int i = 0; i < 3; i++) {
        void *result;
        pthread_join(threads[i], &result);
        observe_number("thread", (long)result);
    }
    observe_number("own", local);
}

static void say_cleanup(void *argument)
{
    observe_text("cleanup", "ran");
}

static void *exit_inside(void *argument)
{
    pthread_cleanup_push(say_cleanup, NULL);
    pthread_exit(argument);
    pthread_cleanup_pop(0);
}

CASE(exit_thread_cleanup, NEEDS_THREADS)
{
    pthread_t thread;
    void *result;
    NEED0(pthread_create(&thread, NULL, exit_inside, (void *)77L));
    pthread_join(thread, &result);
    observe_number("result", (long)result);
}

static void *wait_forever(void *argument)
{
    volatile int *there = argument;
    *there = 1;
    for (;;)
        pause();
    return NULL;
}

static void *spin_with_points(void *argument)
{
    volatile int *there = argument;
    *there = 1;
    for (;;)
        pthread_testcancel();
    return NULL;
}

CASE(tgkill_library_cancel, NEEDS_THREADS | NEEDS_SIGNALS)
{
    void *(*bodies[])(void *) = {wait_forever, spin_with_points};
    for (unsigned i = 0; i < 2; i++) {
        pthread_t thread;
        void *result = NULL;
        volatile int there = 0;
        NEED0(pthread_create(&thread, NULL, bodies[i], (void *)&there));
        wait_until(&there, 1);
        observe_error("cancel", pthread_cancel(thread));
        observe_error("join", pthread_join(thread, &result));
        IS("cancelled", result == PTHREAD_CANCELED);
    }
}

/* A cancelled system call in progress: read from a pipe that stays empty. */
static void *read_empty(void *argument)
{
    int *ends = argument;
    char byte;
    NEED(write(ends[3], "x", 1));
    read(ends[0], &byte, 1);
    return NULL;
}

CASE(tgkill_library_cancel_read, NEEDS_THREADS | NEEDS_SIGNALS)
{
    for (int i = 0; i < 20; i++) {
        int ends[4];
        char byte;
        pthread_t thread;
        void *result = NULL;
        NEED(pipe(ends));
        NEED(pipe(ends + 2));
        NEED0(pthread_create(&thread, NULL, read_empty, ends));
        NEED(read(ends[2], &byte, 1));
        if (i % 2)
            sleep_ms(1);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        if (result != PTHREAD_CANCELED)
            observe_number("not_cancelled", i);
        for (int end = 0; end < 4; end++)
            close(ends[end]);
    }
    IS("done", 1);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void count_once(void)
{
    sleep_ms(5);
    counter++;
}

static void *call_once(void *argument)
{
    pthread_once(&once, count_once);
    return (void *)counter;
}

CASE(futex_library_once, NEEDS_THREADS)
{
    pthread_t threads[4];
    counter = 0;
    long sum = 0;
    for (int i = 0; i < 4; i++)
        NEED0(pthread_create(&threads[i], NULL, call_once, NULL));
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    observe_number("counter", counter);
    observe_number("all_saw_it", sum);
}

static void *exit_detached(void *argument)
{
    sem_post(argument);
    return NULL;
}

CASE(clone_thread_detached, NEEDS_THREADS)
{
    sem_t done;
    pthread_attr_t attributes;
    sem_init(&done, 0, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        NEED0(pthread_create(&thread, &attributes, exit_detached, &done));
        sem_wait(&done);
    }
    IS("done", 1);
}
