/* read, write, pread, pwrite, readv, writev, lseek and their relatives on regular files. */
#include "suite.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

static int file_of(const char *text)
{
    put_file("f", text);
    return (int)NEED(open("f", O_RDWR));
}

CASE(read_to_the_end)
{
    char text[16] = "";
    int fd = file_of("0123456789");
    CALL("part", read(fd, text, 4));
    CALL("more", read(fd, text + 4, 12));
    CALL("end", read(fd, text, 4));
    observe_text("text", text);
    CALL("position", lseek(fd, 0, SEEK_CUR));
}

CASE(read_bad_pointers)
{
    int fd = file_of("0123456789");
    CALL("low", RAW(SYS_read, fd, BAD_POINTER, 4));
    CALL("kernel", RAW(SYS_read, fd, KERNEL_POINTER, 4));
    CALL("zero_length", RAW(SYS_read, fd, BAD_POINTER, 0));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    char *page = page_before_hole();
    NEED(lseek(fd, 8, SEEK_SET));
    CALL("fits_before_the_hole", RAW(SYS_read, fd, page + PAGE - 2, 100));
    CALL("at_end_of_file", RAW(SYS_read, fd, BAD_POINTER, 4));
}

/* What is copied before the fault counts. */
CASE(read_partial_copy)
{
    int fd = file_of("");
    NEED(ftruncate(fd, 3 * PAGE));
    char *page = page_before_hole();
    CALL("read", RAW(SYS_read, fd, page, 3 * PAGE));
    CALL("position", lseek(fd, 0, SEEK_CUR));
}

CASE(read_huge_length)
{
    static char text[16]; /* low in memory: the range must stay in user space */
    int fd = file_of("12");
    CALL("negative", RAW(SYS_read, fd, text, -1L));
    CALL("largest", RAW(SYS_read, fd, text, SSIZE_MAX));
    CALL("end", RAW(SYS_read, fd, text, 0x7ffff000));
}

CASE(write_past_the_end)
{
    char text[16];
    int fd = file_of("abc");
    NEED(lseek(fd, 6, SEEK_SET));
    CALL("write", write(fd, "xyz", 3));
    CALL("size", lseek(fd, 0, SEEK_END));
    CALL("read", pread(fd, text, 16, 0));
    observe_bytes("text", text, 9);
}

CASE(write_partial_copy)
{
    int fd = file_of("");
    char *page = page_before_hole();
    memset(page, 'x', PAGE);
    long written = RAW(SYS_write, fd, page, 2 * PAGE);
    observe_call("write", written, errno);
    CALL("size", lseek(fd, 0, SEEK_END));
    CALL("position", lseek(fd, 0, SEEK_CUR));
}

CASE(write_empty_changes_nothing)
{
    int fd = file_of("abc");
    NEED(lseek(fd, 100, SEEK_SET));
    CALL("write", write(fd, "", 0));
    CALL("size", lseek(fd, 0, SEEK_END));
}

CASE(write_file_size_limit, NEEDS_FORK | NEEDS_SIGNALS)
{
    CHILD(child)
    {
        unsigned long limit[2] = {10, 10};
        NEED(RAW(SYS_prlimit64, 0, 1 /* RLIMIT_FSIZE */, limit, 0));
        signal(SIGXFSZ, SIG_IGN);
        int fd = file_of("");
        CALL("up_to_the_limit", write(fd, "0123456789abc", 13));
        CALL("beyond", write(fd, "x", 1));
        CALL("truncate", ftruncate(fd, 11));
        signal(SIGXFSZ, SIG_DFL);
        write(fd, "x", 1);
    }
    observe_status("child", await(child));
}

CASE(pread64_keeps_the_position)
{
    char text[16] = "";
    int fd = file_of("0123456789");
    NEED(lseek(fd, 3, SEEK_SET));
    CALL("pread", pread(fd, text, 4, 5));
    observe_text("text", text);
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("beyond", pread(fd, text, 4, 100));
}

CASE(pread64_errors)
{
    char byte;
    int ends[2], fd = file_of("x");
    NEED(pipe(ends));
    CALL("negative_offset", pread(fd, &byte, 1, -1));
    CALL("bad_descriptor", pread(-1, &byte, 1, 0));
    CALL("pipe", pread(ends[0], &byte, 1, 0));
    CALL("largest_offset", pread(fd, &byte, 1, LLONG_MAX));
    CALL("bad_pointer", RAW(SYS_pread64, fd, BAD_POINTER, 1, 0));
}

CASE(pread64_directory)
{
    char byte;
    int fd = (int)NEED(open(".", O_RDONLY));
    CALL("pread", pread(fd, &byte, 1, 0));
    CALL("read", read(fd, &byte, 1));
    CALL("zero", read(fd, &byte, 0));
}

CASE(pwrite64_extends)
{
    int fd = file_of("abc");
    CALL("pwrite", pwrite(fd, "XY", 2, 5));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    observe_file("content", "f");
    CALL("inside", pwrite(fd, "-", 1, 1));
    observe_file("content", "f");
}

CASE(pwrite64_errors)
{
    int ends[2], fd = file_of("x");
    NEED(pipe(ends));
    CALL("negative_offset", pwrite(fd, "x", 1, -5));
    CALL("pipe", pwrite(ends[1], "x", 1, 0));
    CALL("too_large", pwrite(fd, "x", 1, LLONG_MAX));
    CALL("bad_pointer", RAW(SYS_pwrite64, fd, BAD_POINTER, 1, 0));
    CALL("size", lseek(fd, 0, SEEK_END));
}

CASE(pwrite64_zero_length)
{
    int fd = file_of("x");
    CALL("far", pwrite(fd, "", 0, 1000));
    CALL("size", lseek(fd, 0, SEEK_END));
    CALL("read_only", pwrite((int)NEED(open("f", O_RDONLY)), "", 0, 0));
}

CASE(readv_scatters)
{
    char a[4] = "", b[4] = "", c[8] = "";
    struct iovec parts[4] = {{a, 3}, {NULL, 0}, {b, 2}, {c, 7}};
    int fd = file_of("0123456789");
    CALL("readv", readv(fd, parts, 4));
    observe_text("a", a);
    observe_text("b", b);
    observe_text("c", c);
    CALL("end", readv(fd, parts, 4));
}

CASE(readv_errors)
{
    char byte;
    struct iovec one = {&byte, 1}, bad[2] = {{&byte, 1}, {BAD_POINTER, 4}};
    int fd = file_of("0123456789");
    CALL("none", readv(fd, &one, 0));
    CALL("negative", RAW(SYS_readv, fd, &one, -1));
    CALL("too_many", RAW(SYS_readv, fd, &one, 1025));
    CALL("bad_vector", RAW(SYS_readv, fd, BAD_POINTER, 1));
    CALL("bad_second", readv(fd, bad, 2));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("bad_descriptor", readv(-1, &one, 1));
}

CASE(readv_many_parts)
{
    static struct iovec parts[1024];
    static char bytes[1024];
    int fd = file_of("");
    for (unsigned i = 0; i < 1024; i++) {
        bytes[i] = (char)('a' + i % 26);
        parts[i] = (struct iovec){bytes + i, 1};
    }
    CALL("writev", writev(fd, parts, 1024));
    static char back[1024];
    CALL("pread", pread(fd, back, 1024, 0));
    IS("same", memcmp(bytes, back, 1024) == 0);
}

CASE(writev_file_partial)
{
    struct iovec parts[3] = {{"abc", 3}, {BAD_POINTER, 3}, {"xyz", 3}};
    int fd = file_of("");
    long written = writev(fd, parts, 3);
    observe_call("writev", written, errno);
    CALL("size", lseek(fd, 0, SEEK_END));
}

CASE(preadv_pwritev)
{
    char a[4] = "", b[4] = "";
    struct iovec out[2] = {{"abc", 3}, {"def", 3}}, in[2] = {{a, 2}, {b, 3}};
    int fd = file_of("0123456789");
    CALL("pwritev", pwritev(fd, out, 2, 2));
    observe_file("content", "f");
    CALL("preadv", preadv(fd, in, 2, 1));
    observe_text("a", a);
    observe_text("b", b);
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("negative", preadv(fd, in, 2, -1));
}
ALSO(preadv_pwritev, "pwritev");

CASE(preadv2_flags)
{
    char a[8] = "";
    struct iovec in = {a, 4};
    int fd = file_of("0123456789");
    /* Offset -1 means the file position. */
    CALL("position", RAW(SYS_preadv2, fd, &in, 1, -1L, 0, 0));
    observe_text("a", a);
    CALL("moved", lseek(fd, 0, SEEK_CUR));
    CALL("unknown_flag", RAW(SYS_preadv2, fd, &in, 1, 0, 0, 0x1000));
    CALL("high_priority", RAW(SYS_preadv2, fd, &in, 1, 0, 0, 1));
}

CASE(pwritev2_append)
{
    struct iovec out = {"+", 1};
    int fd = file_of("0123");
    CALL("append", RAW(SYS_pwritev2, fd, &out, 1, 1, 0, 0x10));
    observe_file("content", "f");
    CALL("position", RAW(SYS_pwritev2, fd, &out, 1, -1L, 0, 0));
    observe_file("content", "f");
    CALL("sync", RAW(SYS_pwritev2, fd, &out, 1, 2, 0, 4));
    observe_file("content", "f");
}

CASE(lseek_positions)
{
    int fd = file_of("0123456789");
    CALL("set", lseek(fd, 4, SEEK_SET));
    CALL("current", lseek(fd, 3, SEEK_CUR));
    CALL("back", lseek(fd, -5, SEEK_CUR));
    CALL("end", lseek(fd, -1, SEEK_END));
    CALL("beyond", lseek(fd, 100, SEEK_END));
    CALL("size_unchanged", lseek(fd, 0, SEEK_END));
}

CASE(lseek_errors)
{
    int ends[2], fd = file_of("0123456789");
    NEED(pipe(ends));
    NEED(lseek(fd, 5, SEEK_SET));
    CALL("negative", lseek(fd, -1, SEEK_SET));
    CALL("before_start", lseek(fd, -6, SEEK_CUR));
    CALL("unknown", lseek(fd, 0, 99));
    CALL("pipe", lseek(ends[0], 0, SEEK_SET));
    CALL("bad_descriptor", lseek(999, 0, SEEK_SET));
    CALL("overflow", lseek(fd, LLONG_MAX, SEEK_CUR));
    CALL("unchanged", lseek(fd, 0, SEEK_CUR));
}

CASE(lseek_data_and_holes)
{
    int fd = file_of("");
    NEED(ftruncate(fd, 1 << 20));
    NEED(pwrite(fd, "x", 1, 512 << 10));
    CALL("data", lseek(fd, 0, SEEK_DATA));
    CALL("hole", lseek(fd, 0, SEEK_HOLE));
    CALL("hole_after_data", lseek(fd, 512 << 10, SEEK_HOLE));
    CALL("data_behind", lseek(fd, 600 << 10, SEEK_DATA));
    CALL("hole_at_end", lseek(fd, (1 << 20) - 1, SEEK_HOLE));
    CALL("beyond", lseek(fd, 1 << 20, SEEK_HOLE));
    CALL("negative", lseek(fd, -1, SEEK_DATA));
}

CASE(lseek_shared_by_dup)
{
    int fd = file_of("0123456789");
    int copy = (int)NEED(dup(fd)), other = (int)NEED(open("f", O_RDONLY));
    NEED(lseek(fd, 7, SEEK_SET));
    CALL("dup", lseek(copy, 0, SEEK_CUR));
    CALL("open", lseek(other, 0, SEEK_CUR));
}

CASE(copy_file_range_copies)
{
    int in = file_of("0123456789");
    int out = (int)NEED(open("g", O_RDWR | O_CREAT, 0644));
    long from = 2, to = 1;
    CALL("copy", RAW(SYS_copy_file_range, in, &from, out, &to, 4, 0));
    observe_number("from", from);
    observe_number("to", to);
    observe_file("g", "g");
    CALL("position_in", lseek(in, 0, SEEK_CUR));
    CALL("by_position", RAW(SYS_copy_file_range, in, 0, out, 0, 100, 0));
    CALL("position_in", lseek(in, 0, SEEK_CUR));
    observe_file("g", "g");
    CALL("at_end", RAW(SYS_copy_file_range, in, 0, out, 0, 100, 0));
}

CASE(copy_file_range_errors)
{
    int in = file_of("0123456789"), ends[2];
    int out = (int)NEED(open("g", O_RDWR | O_CREAT | O_APPEND, 0644));
    int directory = (int)NEED(open(".", O_RDONLY)), reader = (int)NEED(open("f", O_RDONLY));
    NEED(pipe(ends));
    CALL("append", RAW(SYS_copy_file_range, in, 0, out, 0, 4, 0));
    CALL("flags", RAW(SYS_copy_file_range, in, 0, out, 0, 4, 1));
    CALL("read_only", RAW(SYS_copy_file_range, in, 0, reader, 0, 4, 0));
    CALL("directory", RAW(SYS_copy_file_range, directory, 0, in, 0, 4, 0));
    CALL("pipe", RAW(SYS_copy_file_range, ends[0], 0, in, 0, 4, 0));
    CALL("bad_descriptor", RAW(SYS_copy_file_range, 999, 0, in, 0, 4, 0));
    CALL("bad_offset", RAW(SYS_copy_file_range, in, BAD_POINTER, in, 0, 4, 0));
}

CASE(copy_file_range_same_file)
{
    int fd = file_of("0123456789");
    long from = 0, to = 5;
    CALL("apart", RAW(SYS_copy_file_range, fd, &from, fd, &to, 4, 0));
    observe_file("f", "f");
    from = 0;
    to = 2;
    CALL("overlap", RAW(SYS_copy_file_range, fd, &from, fd, &to, 4, 0));
}

CASE(sendfile_to_file)
{
    int in = file_of("0123456789");
    int out = (int)NEED(open("g", O_RDWR | O_CREAT, 0644));
    off_t offset = 3;
    CALL("with_offset", sendfile(out, in, &offset, 4));
    observe_number("offset", offset);
    CALL("position", lseek(in, 0, SEEK_CUR));
    CALL("without", sendfile(out, in, NULL, 2));
    CALL("position", lseek(in, 0, SEEK_CUR));
    observe_file("g", "g");
}

CASE(sendfile_to_pipe)
{
    int in = file_of("0123456789"), ends[2];
    char text[16] = "";
    NEED(pipe(ends));
    CALL("sendfile", sendfile(ends[1], in, NULL, 100));
    CALL("read", read(ends[0], text, sizeof text));
    observe_text("text", text);
    CALL("at_end", sendfile(ends[1], in, NULL, 100));
}

CASE(sendfile_errors)
{
    int in = file_of("0123456789"), ends[2];
    int writer = (int)NEED(open("g", O_WRONLY | O_CREAT, 0644));
    int appender = (int)NEED(open("g", O_WRONLY | O_APPEND));
    off_t negative = -1;
    NEED(pipe(ends));
    CALL("from_write_only", sendfile(in, writer, NULL, 4));
    CALL("to_read_only", sendfile((int)NEED(open("f", O_RDONLY)), in, NULL, 4));
    CALL("to_append", sendfile(appender, in, NULL, 4));
    CALL("from_pipe_offset", RAW(SYS_sendfile, writer, ends[0], &negative, 4));
    CALL("negative", sendfile(writer, in, &negative, 4));
    CALL("bad", RAW(SYS_sendfile, writer, in, BAD_POINTER, 4));
    CALL("closed", sendfile(999, in, NULL, 4));
    CALL("zero", sendfile(writer, in, NULL, 0));
}

CASE(fsync_kinds)
{
    int fd = file_of("x"), ends[2];
    NEED(pipe(ends));
    CALL("fsync", fsync(fd));
    CALL("fdatasync", fdatasync(fd));
    CALL("directory", fsync((int)NEED(open(".", O_RDONLY))));
    CALL("pipe", fsync(ends[0]));
    CALL("pipe_data", fdatasync(ends[0]));
    CALL("closed", fsync(999));
    CALL("read_only", fsync((int)NEED(open("f", O_RDONLY))));
}
ALSO(fsync_kinds, "fdatasync");

CASE(syncfs_and_range)
{
    int fd = file_of("x"), ends[2];
    NEED(pipe(ends));
    CALL("syncfs", syncfs(fd));
    CALL("syncfs_closed", syncfs(999));
    CALL("range", RAW(SYS_sync_file_range, fd, 0, 0, 7));
    CALL("range_flags", RAW(SYS_sync_file_range, fd, 0, 0, 8));
    CALL("range_negative", RAW(SYS_sync_file_range, fd, -1L, 0, 0));
    CALL("range_pipe", RAW(SYS_sync_file_range, ends[0], 0, 0, 7));
}
ALSO(syncfs_and_range, "sync_file_range");

CASE(fadvise64_advice)
{
    int fd = file_of("x"), ends[2];
    NEED(pipe(ends));
    for (int advice = 0; advice < 7; advice++)
        CALL("advice", RAW(SYS_fadvise64, fd, 0, 0, advice));
    CALL("negative_length", RAW(SYS_fadvise64, fd, 0, -1L, 0));
    CALL("pipe", RAW(SYS_fadvise64, ends[0], 0, 0, 0));
    CALL("closed", RAW(SYS_fadvise64, 999, 0, 0, 0));
}

CASE(readahead_errors)
{
    int fd = file_of("x"), ends[2];
    NEED(pipe(ends));
    CALL("file", RAW(SYS_readahead, fd, 0, 100));
    CALL("pipe", RAW(SYS_readahead, ends[0], 0, 100));
    CALL("write_only", RAW(SYS_readahead, (int)NEED(open("f", O_WRONLY)), 0, 100));
    CALL("closed", RAW(SYS_readahead, 999, 0, 100));
}
