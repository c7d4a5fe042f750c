/* A kernel that panics in a function with a name. */
#include "guest.h"

__attribute__((noinline)) int culprit(int n) {
    return n * 3 + getpid();
}

int main(void) {
    /* Relative to the start of the image. */
    extern char __executable_start[];
    uint64_t address = (uint64_t)((uintptr_t)culprit - (uintptr_t)__executable_start);
    report(PANIC, 0, "no memory", 9);
    report(9, 0, "task 1: running\n", 16);
    report(4, 1, &address, 8);
    culprit(2);
    _exit(1);
}
