/* The program whose figures are compared: the same static binary on Linux and on drupe. */
#ifndef BENCH_H
#define BENCH_H

/* Does the work `count` times; sets up and cleans up outside of the time that counts. */
typedef void measured(long count);

struct bench {
    const char *name;
    measured *run;
};

extern const struct bench CALLS[], MEMORY[], THREADS[], PROCESSES[];

/* The clock runs between these two; a measured function calls each once. */
void start_clock(void);
void stop_clock(void);

/* Says what failed, with errno, and ends the program. */
void fail(const char *what) __attribute__((noreturn));

/* Keeps this thread, and threads and processes made later, on the first CPU. */
void stay_on_one_cpu(void);
void leave_one_cpu(void);

/* The path of this program. */
extern const char *own_path;

#endif
