/* Copies the boot module to standard output, and the images that belong behind it. */
#include "guest.h"

static void copy(int file) {
    static char buffer[1 << 16];
    ssize_t count;
    off_t position = 0;
    while ((count = pread(file, buffer, sizeof buffer, position)) > 0) {
        write(1, buffer, count);
        position += count;
    }
}

int main(void) {
    copy(MODULE);
    copy(IMAGES);
    leave(0);
}
