/* System calls that do little. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <unistd.h>

static void run_getpid(long count)
{
    start_clock();
    for (long i = 0; i < count; i++)
        getpid();
    stop_clock();
}

static void run_bad_descriptor(long count)
{
    start_clock();
    for (long i = 0; i < count; i++)
        close(-1);
    stop_clock();
}

/* Bytes that are written at once; a pipe holds at least as many. */
#define FILL 16384

/* Reads of one byte each; filling the pipe is one call for FILL reads. */
static void run_pipe_read(long count)
{
    static char bytes[FILL];
    char byte;
    int ends[2];
    if (pipe(ends))
        fail("pipe");
    start_clock();
    for (long done = 0; done < count;) {
        long part = count - done < FILL ? count - done : FILL;
        if (write(ends[1], bytes, part) != part)
            fail("write");
        for (long i = 0; i < part; i++)
            if (read(ends[0], &byte, 1) != 1)
                fail("read");
        done += part;
    }
    stop_clock();
    close(ends[0]);
    close(ends[1]);
}

const struct bench CALLS[] = {
    {"getpid", run_getpid},
    {"bad-descriptor", run_bad_descriptor},
    {"pipe-read", run_pipe_read},
    {0},
};
