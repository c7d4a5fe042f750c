/* A family of processes that never ends; its output stays open as long as one of them lives. */
#include "guest.h"

int main(void) {
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            if (i == 1) setsid();
            for (;;) pause();
        }
    write(1, "up\n", 3);
    for (;;) pause();
}
