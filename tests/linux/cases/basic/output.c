/* write and writev to standard output, which every program has. What is written shows up
 * between the lines of the case and is compared too. */
#include "suite.h"

#include <sys/uio.h>

CASE(write_standard_output)
{
    CALL("write", write(1, "# written\n", 10));
}

CASE(write_bad_descriptor)
{
    CALL("minus_one", write(-1, "x", 1));
    CALL("closed", write(999, "x", 1));
    CALL("huge", write(0x7fffffff, "x", 1));
    CALL("closed_zero_length", write(999, "x", 0));
}

CASE(write_bad_pointer)
{
    CALL("low", RAW(SYS_write, 1, BAD_POINTER, 5));
    CALL("kernel", RAW(SYS_write, 1, KERNEL_POINTER, 5));
    CALL("non_canonical", RAW(SYS_write, 1, 0x8000000000000000UL, 5));
    CALL("zero_length", RAW(SYS_write, 1, BAD_POINTER, 0));
}

CASE(writev_gathers)
{
    struct iovec parts[3] = {{"# one ", 6}, {NULL, 0}, {"two\n", 4}};
    CALL("writev", writev(1, parts, 3));
}

CASE(writev_errors)
{
    struct iovec part = {"x", 1}, negative = {"x", (size_t)-1};
    CALL("no_parts", writev(1, &part, 0));
    CALL("negative_count", writev(1, &part, -1));
    CALL("too_many", writev(1, &part, 1025));
    CALL("negative_length", writev(1, &negative, 1));
    CALL("bad_vector", RAW(SYS_writev, 1, BAD_POINTER, 1));
    CALL("closed", writev(999, &part, 1));
    struct iovec bad = {BAD_POINTER, 4};
    CALL("bad_part", writev(1, &bad, 1));
}

CASE(read_bad_descriptor)
{
    char byte;
    CALL("minus_one", read(-1, &byte, 1));
    CALL("closed", read(999, &byte, 1));
    CALL("closed_zero_length", read(999, &byte, 0));
}

CASE(close_bad_descriptor)
{
    CALL("minus_one", close(-1));
    CALL("closed", close(999));
    CALL("huge", RAW(SYS_close, 0xffffffffu));
}
