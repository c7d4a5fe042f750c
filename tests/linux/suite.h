/* The differential suite of the Linux personality: what a case may use.
 *
 * A case observes what system calls do and puts it on one line. The same binary runs on
 * native Linux, which is the oracle, and on drupe; both lines must be equal. So a case
 * observes return values, error numbers and effects, and never an absolute process id,
 * address, time, inode or size that a kernel may choose: of those only relations.
 *
 * A case is named <system call>_<what>; `runner --coverage` counts by the system call. */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What a case needs beyond files, memory and time; a runner can be told to leave it out. */
enum {
    NEEDS_FORK = 1 << 0,
    NEEDS_THREADS = 1 << 1,
    NEEDS_SIGNALS = 1 << 2,
    NEEDS_EXEC = 1 << 3,
    NEEDS_ROOT = 1 << 4,     /* the effective user must be root with all capabilities */
    NEEDS_PROC = 1 << 5,     /* /proc or /sys */
    NEEDS_TERMINAL = 1 << 6, /* pseudo-terminals */
    NEEDS_SOCKETS = 1 << 7,  /* unix sockets */
};

struct test_case {
    const char *name;
    void (*body)(void);
    unsigned needs;
    const char *file;
};

/* CASE(name) { ... }   or   CASE(name, NEEDS_FORK | NEEDS_SIGNALS) { ... } */
#define CASE(name, ...)                                                                       \
    static void case_##name(void);                                                            \
    static const struct test_case entry_##name = {#name, case_##name, (__VA_ARGS__ + 0),      \
                                                  __FILE__};                                  \
    static const struct test_case *const listed_##name                                        \
        __attribute__((used, no_reorder, section("suite_cases"))) = &entry_##name;            \
    static void case_##name(void)

/* ALSO(case, "getxattr removexattr"): further calls whose results and errors the case observes. */
struct also {
    const char *name;
    const char *calls;
};
#define ALSO(name, calls)                                                                     \
    static const struct also also_##name = {#name, calls};                                    \
    static const struct also *const also_listed_##name                                        \
        __attribute__((used, section("suite_also"))) = &also_##name

struct helper {
    const char *name;
    int (*body)(int argc, char **argv);
};

/* A program that execve cases start: `runner --helper NAME arguments`. */
#define HELPER(name)                                                                          \
    static int helper_##name(int argc, char **argv);                                          \
    static const struct helper helper_entry_##name = {#name, helper_##name};                  \
    static const struct helper *const helper_listed_##name                                    \
        __attribute__((used, section("suite_helpers"))) = &helper_entry_##name;               \
    static int helper_##name(int argc __attribute__((unused)), char **argv __attribute__((unused)))

/* --- observations; safe in signal handlers, threads and child processes --- */

void observe_call(const char *key, long value, int error); /* key=7 or key=errno:EBADF */
void observe_ok(const char *key, long value, int error);   /* key=ok or key=errno:EBADF */
void observe_number(const char *key, long value);
void observe_hex(const char *key, unsigned long value);
void observe_error(const char *key, int error); /* key=0 or key=ESRCH: pthread-style results */
void observe_text(const char *key, const char *text);
void observe_bytes(const char *key, const void *bytes, size_t length);
void observe_status(const char *key, int status); /* key=exit:3, key=SIGKILL, key=stopped:SIGSTOP */
void observe_signal(const char *key, int signal);
_Noreturn void stop_case(int line, int error);

/* Observes the result of a call: its value, or the error number when it is -1. */
#define CALL(key, expression)                                                                 \
    ({                                                                                        \
        errno = 0;                                                                            \
        long value_ = (long)(expression);                                                     \
        int error_ = errno;                                                                   \
        observe_call(key, value_, error_);                                                    \
        errno = error_;                                                                       \
        value_;                                                                               \
    })
/* The same for values that a kernel may choose: only whether it worked. */
#define OK(key, expression)                                                                   \
    ({                                                                                        \
        errno = 0;                                                                            \
        long value_ = (long)(expression);                                                     \
        int error_ = errno;                                                                   \
        observe_ok(key, value_, error_);                                                      \
        errno = error_;                                                                       \
        value_;                                                                               \
    })
/* Preparation that has to work; a failure ends the case and is observed with its line. */
#define NEED(expression)                                                                      \
    ({                                                                                        \
        errno = 0;                                                                            \
        long value_ = (long)(expression);                                                     \
        if (value_ == -1)                                                                     \
            stop_case(__LINE__, errno);                                                       \
        value_;                                                                               \
    })
/* The same for calls that return an error number. */
#define NEED0(expression)                                                                     \
    ({                                                                                        \
        int value_ = (expression);                                                            \
        if (value_ != 0)                                                                      \
            stop_case(__LINE__, value_);                                                      \
    })
#define IS(key, condition) observe_number(key, (condition) ? 1 : 0)

/* A system call past the C library, every argument widened to a register. */
#define RAW(...) RAW_PICK(__VA_ARGS__, RAW6, RAW5, RAW4, RAW3, RAW2, RAW1, RAW0)(__VA_ARGS__)
#define RAW_PICK(number, a, b, c, d, e, f, chosen, ...) chosen
#define RAW0(n) syscall(n)
#define RAW1(n, a) syscall(n, (long)(a))
#define RAW2(n, a, b) syscall(n, (long)(a), (long)(b))
#define RAW3(n, a, b, c) syscall(n, (long)(a), (long)(b), (long)(c))
#define RAW4(n, a, b, c, d) syscall(n, (long)(a), (long)(b), (long)(c), (long)(d))
#define RAW5(n, a, b, c, d, e) syscall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define RAW6(n, a, b, c, d, e, f)                                                             \
    syscall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* CHILD(pid) { ... } runs the block in a child, which then exits with 0. */
#define CHILD(pid)                                                                            \
    pid_t pid = (pid_t)NEED(fork());                                                          \
    if (pid == 0)                                                                             \
        for (;; _exit(0))

/* --- helpers --- */

#define PAGE 4096UL
#define BAD_POINTER ((void *)8)             /* in page 0, never mapped */
#define KERNEL_POINTER ((void *)-4096L)     /* not in user space */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MILLISECOND 1000000L

int await(pid_t pid);                             /* waits for a child; its status */
void *pages(size_t count);                        /* fresh readable and writable pages */
void *shared_pages(size_t count);                 /* the same, shared with children */
void *page_before_hole(void);                     /* a page; the one after it is not mapped */
void put_file(const char *path, const char *text); /* creates or replaces a file */
void observe_file(const char *key, const char *path); /* key="content" */
long long now_ns(void);                           /* monotonic clock */
long long elapsed_ms(long long since_ns);
void sleep_ms(long milliseconds);
void handle(int signal, void (*handler)(int), int flags);
void handle_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags);
/* Sends `signal` to this process every 5 ms until turned off: an interruption cannot be missed. */
void interrupt_often(int signal);
void interrupt_never(void);
/* Waits until the shared counter reaches `value`. */
void wait_until(volatile int *counter, int value);
const char *runner_path(void);                    /* this program, for execve */
