/* Copies standard input to standard output until it ends: at once when the module promises none
   (item 14 is missing). Gives credit for a little at a time. */
#include "guest.h"

int main(void) {
    uint8_t frame[64];
    uint32_t credit = 3;
    if (!has_item(14)) leave(0);
    report(10, 0, "", 0);
    report(11, 0, &credit, 4);
    while (read(REPORT, frame, sizeof frame) >= 8) {
        if (frame[0] == 65) leave(0);
        if (frame[0] != 64) continue;
        memcpy(&credit, frame + 4, 4);
        if (credit > 3) leave(1);
        write(1, frame + 8, credit);
        report(11, 0, &credit, 4);
    }
    leave(2);
}
