/* A kernel that panics. */
#include "guest.h"

int main(void) {
    report(PANIC, 0, "page fault at 0x10", 18);
    _exit(1);
}
