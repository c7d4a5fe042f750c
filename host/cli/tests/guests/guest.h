/* A guest for tests of the host side: it speaks the report channel of abi/report. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { MODULE = 4, REPORT = 6, IMAGES = 7 };
enum { LOG = 1, EXIT = 2, PANIC = 3, STDOUT = 7, STDERR = 8 };

static void report(uint8_t kind, uint8_t flags, const void *payload, uint32_t length) {
    uint8_t frame[8 + 4096] = {kind, flags, 0, 0};
    memcpy(frame + 4, &length, 4);
    memcpy(frame + 8, payload, length);
    if (write(REPORT, frame, 8 + length) < 0) _exit(99);
}

/* Whether the boot module holds an item of this kind. */
__attribute__((unused)) static int has_item(uint16_t wanted) {
    static uint8_t module[4096];
    uint64_t blob, at = 40;
    uint32_t length;
    if (pread(MODULE, module, sizeof module, 0) < 40) _exit(98);
    memcpy(&blob, module + 16, 8);
    while (at + 8 <= blob && at + 8 <= sizeof module) {
        uint16_t kind;
        memcpy(&kind, module + at, 2);
        memcpy(&length, module + at + 4, 4);
        if (kind == wanted) return 1;
        at += 8 + (length + 7) / 8 * 8;
    }
    return 0;
}

static void leave(int32_t status) {
    report(EXIT, 0, &status, 4);
    for (;;) pause();
}
