/* Runs the named benchmarks, or all, and prints "NAME NANOSECONDS" for each: the median of
 * several batches, each long enough for a coarse clock.
 *
 *   bench [NAME...]
 *   bench spawn COUNT PROGRAM [ARGUMENT...]    prints the nanoseconds of each start-to-end
 *   bench end                                  ends at once
 *
 * As /init of a machine it powers the machine off at the end. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 5
/* Nanoseconds of a batch; the coarsest clock met in a guest ticks every 4 ms. */
#define BATCH 100000000L

const char *own_path;

static long started, elapsed;
static cpu_set_t all_cpus;

static void power_off(void);

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

void start_clock(void)
{
    started = now();
}

void stop_clock(void)
{
    elapsed = now() - started;
}

void fail(const char *what)
{
    printf("failed: %s: %s\n", what, strerror(errno));
    fflush(stdout);
    power_off();
    exit(1);
}

void stay_on_one_cpu(void)
{
    cpu_set_t one;
    if (sched_getaffinity(0, sizeof all_cpus, &all_cpus))
        fail("sched_getaffinity");
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all_cpus)) {
            CPU_SET(cpu, &one);
            break;
        }
    if (sched_setaffinity(0, sizeof one, &one))
        fail("sched_setaffinity");
}

void leave_one_cpu(void)
{
    if (sched_setaffinity(0, sizeof all_cpus, &all_cpus))
        fail("sched_setaffinity");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void power_off(void)
{
    if (!strcmp(own_path, "/init"))
        reboot(RB_POWER_OFF);
}

static void measure(const struct bench *bench)
{
    long count = 16;
    double batches[BATCHES];
    for (;;) {
        bench->run(count);
        if (elapsed >= BATCH / 2 || count > 1L << 40)
            break;
        /* Not more than eight times as many at once: the first runs are slower. */
        long wanted = elapsed > 0 ? (long)((double)count * BATCH / elapsed) : count * 8;
        count = wanted > count * 8 ? count * 8 : wanted > count ? wanted : count + 1;
    }
    for (int i = 0; i < BATCHES; i++) {
        bench->run(count);
        batches[i] = (double)elapsed / count;
    }
    qsort(batches, BATCHES, sizeof *batches, by_value);
    printf("%s %.1f\n", bench->name, batches[BATCHES / 2]);
    fflush(stdout);
}

static void spawn(int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        start_clock();
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            execv(arguments[0], arguments);
            _exit(127);
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            fail("the program");
        stop_clock();
        printf("spawn %ld\n", elapsed);
    }
}

int main(int argc, char **argv)
{
    static const struct bench *const groups[] = {CALLS, MEMORY, THREADS, PROCESSES};
    own_path = argv[0];
    if (argc > 1 && !strcmp(argv[1], "end"))
        return 0;
    if (argc > 3 && !strcmp(argv[1], "spawn")) {
        spawn(atoi(argv[2]), argv + 3);
        return 0;
    }
    for (unsigned group = 0; group < sizeof groups / sizeof *groups; group++)
        for (const struct bench *bench = groups[group]; bench->name; bench++) {
            int wanted = argc == 1;
            for (int i = 1; i < argc; i++)
                wanted |= !strcmp(argv[i], bench->name);
            if (wanted)
                measure(bench);
        }
    printf("end\n");
    fflush(stdout);
    power_off();
    return 0;
}
