/* Processes and pipes between them. */
#define _GNU_SOURCE
#include "bench.h"

#include <sys/wait.h>
#include <unistd.h>

static void reap(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("a child");
}

static void run_fork(long count)
{
    start_clock();
    for (long i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0)
            _exit(0);
        reap(child);
    }
    stop_clock();
}

static void run_exec(long count)
{
    char *arguments[] = {(char *)own_path, "end", 0};
    start_clock();
    for (long i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            execv(own_path, arguments);
            _exit(127);
        }
        reap(child);
    }
    stop_clock();
}

/* One byte there and one back, between two processes on one CPU. */
static void run_pipe(long count)
{
    int there[2], back[2];
    char byte = 0;
    if (pipe(there) || pipe(back))
        fail("pipe");
    stay_on_one_cpu();
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        for (long i = 0; i < count; i++)
            if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
                _exit(1);
        _exit(0);
    }
    start_clock();
    for (long i = 0; i < count; i++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            fail("a pipe");
    stop_clock();
    reap(child);
    leave_one_cpu();
    for (int i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
}

const struct bench PROCESSES[] = {
    {"fork", run_fork},
    {"fork-exec", run_exec},
    {"pipe", run_pipe},
    {0},
};
