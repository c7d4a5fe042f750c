/* truncate, ftruncate, fallocate. */
#include "suite.h"

static int file_of(const char *text)
{
    put_file("f", text);
    return (int)NEED(open("f", O_RDWR));
}

CASE(truncate_shrinks_and_grows)
{
    put_file("f", "0123456789");
    CALL("shrink", truncate("f", 4));
    observe_file("content", "f");
    CALL("grow", truncate("f", 8));
    observe_file("content", "f");
    CALL("empty", truncate("f", 0));
    observe_file("content", "f");
}

CASE(truncate_errors)
{
    put_file("f", "");
    NEED(mkdir("d", 0755));
    CALL("negative", truncate("f", -1));
    CALL("directory", truncate("d", 0));
    CALL("missing", truncate("none", 0));
    CALL("empty", truncate("", 0));
    CALL("bad", RAW(SYS_truncate, BAD_POINTER, 0));
    CALL("device", truncate("/dev/null", 0));
}

CASE(truncate_through_link)
{
    put_file("f", "0123456789");
    NEED(symlink("f", "l"));
    CALL("truncate", truncate("l", 3));
    observe_file("f", "f");
}

CASE(ftruncate_keeps_position)
{
    int fd = file_of("0123456789");
    NEED(lseek(fd, 8, SEEK_SET));
    CALL("ftruncate", ftruncate(fd, 2));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("write", write(fd, "x", 1));
    observe_file("content", "f");
}

/* The end of the last page must come back as zeros. */
CASE(ftruncate_clears_the_tail)
{
    char text[16];
    int fd = file_of("0123456789");
    NEED(ftruncate(fd, 3));
    NEED(ftruncate(fd, 10));
    CALL("read", pread(fd, text, 16, 0));
    observe_bytes("text", text, 10);
}

CASE(ftruncate_errors)
{
    int ends[2], fd = file_of("");
    NEED(pipe(ends));
    CALL("negative", ftruncate(fd, -1));
    CALL("pipe", ftruncate(ends[1], 0));
    CALL("directory", ftruncate((int)NEED(open(".", O_RDONLY)), 0));
    CALL("closed", ftruncate(999, 0));
    CALL("read_only", ftruncate((int)NEED(open("f", O_RDONLY)), 0));
}

CASE(ftruncate_sparse)
{
    struct stat status;
    char byte = 1;
    int fd = file_of("");
    CALL("large", ftruncate(fd, 1L << 33));
    NEED(fstat(fd, &status));
    observe_number("size", status.st_size);
    IS("few_blocks", status.st_blocks < 100);
    CALL("read", pread(fd, &byte, 1, 1L << 32));
    observe_number("byte", byte);
    CALL("end", pread(fd, &byte, 1, 1L << 33));
}

enum { KEEP_SIZE = 1, PUNCH_HOLE = 2 };

CASE(fallocate_grows)
{
    struct stat status;
    int fd = file_of("abc");
    CALL("grow", fallocate(fd, 0, 0, 10000));
    NEED(fstat(fd, &status));
    observe_number("size", status.st_size);
    IS("allocated", status.st_blocks * 512 >= 10000);
    CALL("keep_size", fallocate(fd, KEEP_SIZE, 0, 50000));
    NEED(fstat(fd, &status));
    observe_number("size", status.st_size);
    char byte = 1;
    NEED(pread(fd, &byte, 1, 9999));
    observe_number("zero", byte);
    observe_number("kept", (pread(fd, &byte, 1, 1), byte));
}

CASE(fallocate_punches_holes)
{
    struct stat status;
    static char text[PAGE * 4];
    int fd = file_of("");
    memset(text, 'x', sizeof text);
    NEED(write(fd, text, sizeof text));
    CALL("punch", fallocate(fd, PUNCH_HOLE | KEEP_SIZE, PAGE, 2 * PAGE));
    NEED(pread(fd, text, sizeof text, 0));
    IS("hole", text[PAGE] == 0 && text[3 * PAGE - 1] == 0);
    IS("around", text[PAGE - 1] == 'x' && text[3 * PAGE] == 'x');
    NEED(fstat(fd, &status));
    observe_number("size", status.st_size);
    CALL("hole_found", lseek(fd, 0, SEEK_HOLE));
    CALL("data_found", lseek(fd, PAGE, SEEK_DATA));
    CALL("without_keep_size", fallocate(fd, PUNCH_HOLE, 0, PAGE));
    CALL("odd_range", fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 100, 10));
    NEED(pread(fd, text, 200, 0));
    IS("odd_hole", text[99] == 'x' && text[100] == 0 && text[109] == 0 && text[110] == 'x');
}

CASE(fallocate_errors)
{
    int ends[2], fd = file_of("");
    NEED(pipe(ends));
    CALL("zero_length", RAW(SYS_fallocate, fd, 0, 0, 0));
    CALL("negative_length", RAW(SYS_fallocate, fd, 0, 0, -1L));
    CALL("negative_offset", RAW(SYS_fallocate, fd, 0, -1L, 1));
    CALL("unknown_mode", RAW(SYS_fallocate, fd, 0x1000, 0, 1));
    CALL("pipe", RAW(SYS_fallocate, ends[1], 0, 0, 1));
    CALL("closed", RAW(SYS_fallocate, 999, 0, 0, 1));
    CALL("read_only", RAW(SYS_fallocate, (int)NEED(open("f", O_RDONLY)), 0, 0, 1));
    CALL("too_large", RAW(SYS_fallocate, fd, 0, LLONG_MAX, 1));
    CALL("directory", RAW(SYS_fallocate, (int)NEED(open(".", O_RDONLY)), 0, 0, 1));
}
