/* Vectored calls with positions, and calls about what is kept. */
#include "suite.h"

#include <sys/uio.h>

static int file_with(const char *text)
{
    put_file("f", text);
    return (int)NEED(open("f", O_RDWR));
}

CASE(preadv_scatters)
{
    char a[4] = "", b[8] = "";
    struct iovec parts[3] = {{a, 3}, {NULL, 0}, {b, 7}};
    int fd = file_with("0123456789");
    CALL("read", RAW(SYS_preadv, fd, parts, 3, 2, 0));
    observe_text("a", a);
    observe_text("b", b);
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("at_end", RAW(SYS_preadv, fd, parts, 3, 10, 0));
    CALL("nothing", RAW(SYS_preadv, fd, parts, 0, 0, 0));
}

CASE(preadv_errors)
{
    int ends[2];
    char a[4];
    struct iovec part = {a, 4}, bad = {BAD_POINTER, 4}, huge = {a, (size_t)-1};
    int fd = file_with("text");
    NEED(pipe(ends));
    CALL("negative", RAW(SYS_preadv, fd, &part, 1, -1, -1));
    CALL("pipe", RAW(SYS_preadv, ends[0], &part, 1, 0, 0));
    CALL("bad_memory", RAW(SYS_preadv, fd, &bad, 1, 0, 0));
    CALL("bad_array", RAW(SYS_preadv, fd, BAD_POINTER, 1, 0, 0));
    CALL("too_long", RAW(SYS_preadv, fd, &huge, 1, 0, 0));
    CALL("too_many", RAW(SYS_preadv, fd, &part, 1025, 0, 0));
    CALL("closed", RAW(SYS_preadv, 999, &part, 1, 0, 0));
    NEED(close(fd));
    fd = (int)NEED(open("f", O_WRONLY));
    CALL("write_only", RAW(SYS_preadv, fd, &part, 1, 0, 0));
}

CASE(pwritev_gathers)
{
    struct iovec parts[2] = {{"ab", 2}, {"cde", 3}};
    int fd = file_with("0123456789");
    CALL("write", RAW(SYS_pwritev, fd, parts, 2, 3, 0));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    observe_file("f", "f");
    CALL("beyond", RAW(SYS_pwritev, fd, parts, 1, 12, 0));
    observe_file("f", "f");
    CALL("nothing", RAW(SYS_pwritev, fd, parts, 0, 0, 0));
}

CASE(pwritev_errors)
{
    int ends[2];
    struct iovec part = {"ab", 2}, bad = {BAD_POINTER, 4};
    int fd = file_with("text");
    NEED(pipe(ends));
    CALL("negative", RAW(SYS_pwritev, fd, &part, 1, -1, -1));
    CALL("pipe", RAW(SYS_pwritev, ends[1], &part, 1, 0, 0));
    CALL("bad_memory", RAW(SYS_pwritev, fd, &bad, 1, 0, 0));
    CALL("too_many", RAW(SYS_pwritev, fd, &part, 1025, 0, 0));
    CALL("closed", RAW(SYS_pwritev, 999, &part, 1, 0, 0));
    NEED(close(fd));
    fd = (int)NEED(open("f", O_RDONLY));
    CALL("read_only", RAW(SYS_pwritev, fd, &part, 1, 0, 0));
    observe_file("f", "f");
}

CASE(preadv2_at_the_position)
{
    char a[5] = "";
    struct iovec part = {a, 4};
    int fd = file_with("0123456789");
    CALL("read", RAW(SYS_preadv2, fd, &part, 1, -1L, -1L, 0));
    observe_text("a", a);
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("read_at", RAW(SYS_preadv2, fd, &part, 1, 1, 0, 0));
    observe_text("a", a);
    CALL("position", lseek(fd, 0, SEEK_CUR));
}

CASE(preadv2_no_wait)
{
    int ends[2];
    char a[5] = "";
    struct iovec part = {a, 4};
    int fd = file_with("0123456789");
    CALL("unknown", RAW(SYS_preadv2, fd, &part, 1, 0, 0, 0x40000000));
    NEED(pipe(ends));
    CALL("empty_pipe", RAW(SYS_preadv2, ends[0], &part, 1, -1L, -1L, 8 /* RWF_NOWAIT */));
}

CASE(pwritev2_appends)
{
    struct iovec part = {"ab", 2};
    int fd = file_with("0123456789");
    CALL("append", RAW(SYS_pwritev2, fd, &part, 1, 0, 0, 16 /* RWF_APPEND */));
    observe_file("f", "f");
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("append_here", RAW(SYS_pwritev2, fd, &part, 1, -1L, -1L, 16));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("sync", RAW(SYS_pwritev2, fd, &part, 1, 0, 0, 2 | 4 /* RWF_DSYNC RWF_SYNC */));
    observe_file("f", "f");
}

CASE(pwritev2_errors)
{
    struct iovec part = {"ab", 2};
    int fd = file_with("text");
    CALL("unknown", RAW(SYS_pwritev2, fd, &part, 1, 0, 0, 0x40000000));
    CALL("negative", RAW(SYS_pwritev2, fd, &part, 1, -2L, -1L, 0));
    CALL("closed", RAW(SYS_pwritev2, 999, &part, 1, 0, 0, 0));
    observe_file("f", "f");
}

CASE(sync_succeeds)
{
    put_file("f", "text");
    CALL("sync", RAW(SYS_sync));
    observe_file("f", "f");
}

CASE(syncfs_descriptors)
{
    int ends[2];
    int fd = file_with("text");
    NEED(pipe(ends));
    CALL("file", RAW(SYS_syncfs, fd));
    CALL("directory", RAW(SYS_syncfs, NEED(open(".", O_RDONLY))));
    CALL("pipe", RAW(SYS_syncfs, ends[0]));
    CALL("path_only", RAW(SYS_syncfs, NEED(open(".", O_PATH))));
}

CASE(syncfs_closed)
{
    int fd = file_with("text");
    NEED(close(fd));
    CALL("closed", RAW(SYS_syncfs, fd));
    CALL("negative", RAW(SYS_syncfs, -1));
}

CASE(sync_file_range_ranges)
{
    int fd = file_with("0123456789");
    CALL("all", RAW(SYS_sync_file_range, fd, 0, 0, 7));
    CALL("beyond", RAW(SYS_sync_file_range, fd, 100, 100, 2));
    CALL("nothing_to_do", RAW(SYS_sync_file_range, fd, 0, 10, 0));
    CALL("directory", RAW(SYS_sync_file_range, NEED(open(".", O_RDONLY)), 0, 0, 2));
}

CASE(sync_file_range_errors)
{
    int ends[2];
    int fd = file_with("0123456789");
    NEED(pipe(ends));
    CALL("flags", RAW(SYS_sync_file_range, fd, 0, 0, 8));
    CALL("negative", RAW(SYS_sync_file_range, fd, -1L, 0, 2));
    CALL("wraps", RAW(SYS_sync_file_range, fd, 1, LONG_MAX, 2));
    CALL("pipe", RAW(SYS_sync_file_range, ends[0], 0, 0, 2));
    CALL("closed", RAW(SYS_sync_file_range, 999, 0, 0, 2));
}

CASE(readahead_kinds)
{
    int ends[2];
    int fd = file_with("0123456789");
    NEED(pipe(ends));
    CALL("file", RAW(SYS_readahead, fd, 0, 4096));
    CALL("pipe", RAW(SYS_readahead, ends[0], 0, 4096));
    CALL("directory", RAW(SYS_readahead, NEED(open(".", O_RDONLY)), 0, 4096));
    CALL("closed", RAW(SYS_readahead, 999, 0, 4096));
}

CASE(fadvise64_kinds)
{
    int fd = file_with("0123456789");
    for (int advice = 0; advice < 7; advice++)
        CALL("advice", RAW(SYS_fadvise64, fd, 0, 0, advice));
    CALL("negative_length", RAW(SYS_fadvise64, fd, 0, -1L, 0));
    CALL("closed", RAW(SYS_fadvise64, 999, 0, 0, 0));
    CALL("directory", RAW(SYS_fadvise64, NEED(open(".", O_RDONLY)), 0, 0, 0));
}

CASE(umask_bits)
{
    CALL("set", umask(0777));
    CALL("kept", umask(07777));
    CALL("cut", umask(022));
    struct stat status;
    umask(0257);
    int fd = (int)NEED(open("f", O_CREAT | O_WRONLY, 0666));
    NEED(fstat(fd, &status));
    observe_hex("mode", status.st_mode);
    NEED(mkdir("d", 01777));
    NEED(stat("d", &status));
    observe_hex("directory", status.st_mode);
}
