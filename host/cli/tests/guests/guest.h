/* A guest for tests of the host side: it speaks the report channel of abi/report. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { MODULE = 4, REPORT = 6 };
enum { LOG = 1, EXIT = 2, PANIC = 3, STDOUT = 7, STDERR = 8 };

static void report(uint8_t kind, uint8_t flags, const void *payload, uint32_t length) {
    uint8_t frame[8 + 4096] = {kind, flags, 0, 0};
    memcpy(frame + 4, &length, 4);
    memcpy(frame + 8, payload, length);
    if (write(REPORT, frame, 8 + length) < 0) _exit(99);
}

static void leave(int32_t status) {
    report(EXIT, 0, &status, 4);
    for (;;) pause();
}
