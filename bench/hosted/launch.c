/* Executes the hosted kernel with nothing around it, or a program, again and again.
 *
 *   launch COUNT kernel KERNEL MODULE MEMORY   KERNEL: what a guest loads; MEMORY: bytes
 *   launch COUNT program PATH
 *
 * Prints a line of nanoseconds each: from fork to the frame with the exit status (who reads it
 * then ends the processes of the guest), or to the end of the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* A sealed memory file with the content of the file at `path`. */
static int sealed_copy(const char *path)
{
    static char buffer[1 << 16];
    int from = open(path, O_RDONLY), to = memfd_create("copy", MFD_ALLOW_SEALING);
    ssize_t count;
    if (from < 0 || to < 0)
        fail(path);
    while ((count = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, count) != count)
            fail(path);
    if (count < 0 || lseek(to, 0, SEEK_SET) ||
        fcntl(to, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
        fail(path);
    close(from);
    return to;
}

/* Moves `from` out of the way of the low numbers that the program gets. */
static int high(int from)
{
    int moved = fcntl(from, F_DUPFD_CLOEXEC, 100);
    if (moved < 0)
        fail("fcntl");
    close(from);
    return moved;
}

/* Reads frames up to the one with an exit status of 0; 0 when there is none. */
static int wait_for_exit(int report)
{
    static unsigned char frame[8 + (64 << 10)];
    ssize_t count;
    while ((count = recv(report, frame, sizeof frame, 0)) > 0)
        for (ssize_t at = 0; at + 12 <= count;) {
            unsigned length, status;
            memcpy(&length, frame + at + 4, 4);
            memcpy(&status, frame + at + 8, 4);
            if (frame[at] == 2 /* Exit in abi/report */)
                return status == 0;
            at += 8 + length;
        }
    return 0;
}

static long run_kernel(int kernel, int module, off_t size)
{
    char *const arguments[] = {"drupe-guest", 0}, *const environment[] = {0};
    int pair[2], memory = memfd_create("memory", MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, size) ||
        fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
        fail("the guest's memory");
    memory = high(memory);
    int ours = high(pair[0]), theirs = high(pair[1]);
    long start = now();
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        setpgid(0, 0);
        const int wanted[] = {kernel, module, memory, theirs};
        for (int i = 0; i < 4; i++)
            dup2(wanted[i], 3 + i);
        syscall(322 /* execveat */, 3, "", arguments, environment, AT_EMPTY_PATH);
        _exit(127);
    }
    close(theirs);
    long elapsed = wait_for_exit(ours) ? now() - start : -1;
    kill(-child, SIGKILL);
    while (wait(0) > 0)
        ;
    close(memory);
    close(ours);
    return elapsed;
}

static long run_program(char *path)
{
    char *const arguments[] = {path, 0};
    int status;
    long start = now();
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        execv(path, arguments);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return status ? -1 : now() - start;
}

int main(int argc, char **argv)
{
    int is_kernel = argc == 6 && !strcmp(argv[2], "kernel");
    if (!is_kernel && (argc != 4 || strcmp(argv[2], "program"))) {
        fprintf(stderr, "usage: launch COUNT kernel KERNEL MODULE MEMORY | program PATH\n");
        return 2;
    }
    int kernel = -1, module = -1;
    if (is_kernel) {
        kernel = high(sealed_copy(argv[3]));
        module = high(sealed_copy(argv[4]));
    }
    for (int i = atoi(argv[1]); i > 0; i--) {
        long elapsed =
            is_kernel ? run_kernel(kernel, module, atol(argv[5])) : run_program(argv[3]);
        if (elapsed < 0)
            return 1;
        fprintf(stderr, "%ld\n", elapsed);
    }
    return 0;
}
