/* A guest whose report channel carries no frames. */
#include "guest.h"

int main(void) {
    char garbage[64];
    memset(garbage, 0xff, sizeof garbage);
    write(REPORT, garbage, sizeof garbage);
    for (;;) pause();
}
