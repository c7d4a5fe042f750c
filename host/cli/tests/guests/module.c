/* Copies the boot module to standard output. */
#include "guest.h"

int main(void) {
    static char buffer[1 << 16];
    ssize_t count;
    off_t position = 0;
    while ((count = pread(MODULE, buffer, sizeof buffer, position)) > 0) {
        write(1, buffer, count);
        position += count;
    }
    leave(0);
}
