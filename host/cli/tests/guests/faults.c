/* A program that fails in the way that its argument names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile char *volatile address;

__attribute__((noinline)) static int deeper(int n) {
    volatile char room[4096];
    memset((void *)room, n, sizeof room);
    return deeper(n + 1) + room[n & 4095];
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    volatile int zero = 0;
    if (!strcmp(what, "wild")) address = (char *)0x123456789000, *address = 1;
    if (!strcmp(what, "null")) *address = 1;
    if (!strcmp(what, "stack")) return deeper(1);
    if (!strcmp(what, "illegal")) __asm__("ud2");
    if (!strcmp(what, "divide")) return 7 / zero;
    if (!strcmp(what, "memory"))
        for (;;) memset(malloc(1 << 20), 1, 1 << 20);
    puts("no fault");
    return 0;
}
