/* Ends with status 40 + n when signal n is passed on to it. */
#include "guest.h"

int main(void) {
    uint8_t frame[64];
    report(10, 0, "", 0);
    write(1, "up\n", 3);
    while (read(REPORT, frame, sizeof frame) >= 12)
        if (frame[0] == 66) leave(40 + frame[8]);
    leave(1);
}
