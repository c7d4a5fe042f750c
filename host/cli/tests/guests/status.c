/* Writes to both streams in both ways, logs, and ends with status 7. */
#include "guest.h"

int main(void) {
    write(1, "direct\n", 7);
    report(STDOUT, 0, "framed\n", 7);
    report(STDERR, 0, "complaint\n", 10);
    report(LOG, 1, "a warning", 9);
    report(LOG, 3, "a detail", 8);
    leave(7);
}
