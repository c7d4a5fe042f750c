/* First touches of memory. */
#define _GNU_SOURCE
#include "bench.h"

#include <sys/mman.h>

#define PAGE 4096
#define PAGES 4096

/* A page of anonymous memory: its fault, and its share of mapping and unmapping. Small pages:
 * those are what programs with small heaps get. */
static void run_page_fault(long count)
{
    start_clock();
    for (long done = 0; done < count;) {
        long part = count - done < PAGES ? count - done : PAGES;
        char *memory = mmap(0, part * PAGE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            fail("mmap");
        madvise(memory, part * PAGE, MADV_NOHUGEPAGE);
        for (long page = 0; page < part; page++)
            memory[page * PAGE] = 1;
        munmap(memory, part * PAGE);
        done += part;
    }
    stop_clock();
}

const struct bench MEMORY[] = {
    {"page-fault", run_page_fault},
    {0},
};
