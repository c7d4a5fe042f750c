/* Pipes and named pipes. */
#include "suite.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static volatile int count;

static void count_signal(int signal)
{
    (void)signal;
    count++;
}

CASE(pipe_transfers)
{
    int ends[2];
    char bytes[16] = "";
    CALL("pipe", RAW(SYS_pipe, ends));
    observe_number("reader", ends[0]);
    observe_number("writer", ends[1]);
    CALL("write", write(ends[1], "one", 3));
    CALL("write", write(ends[1], "two", 3));
    /* No boundaries between writes. */
    CALL("read", read(ends[0], bytes, 4));
    CALL("read", read(ends[0], bytes + 4, 12));
    observe_text("bytes", bytes);
    CALL("write_to_reader", write(ends[0], "x", 1));
    CALL("read_from_writer", read(ends[1], bytes, 1));
}

CASE(pipe_end_of_file)
{
    int ends[2];
    char bytes[8];
    NEED(pipe(ends));
    NEED(write(ends[1], "rest", 4));
    NEED(close(ends[1]));
    CALL("rest", read(ends[0], bytes, 8));
    CALL("end", read(ends[0], bytes, 8));
    CALL("end_again", read(ends[0], bytes, 8));
}

CASE(pipe_bad_pointers)
{
    int ends[2];
    CALL("pipe", RAW(SYS_pipe, BAD_POINTER));
    CALL("pipe2", RAW(SYS_pipe2, BAD_POINTER, 0));
    /* The failed ones left no descriptors behind. */
    NEED(pipe(ends));
    observe_number("first", ends[0]);
    NEED(write(ends[1], "abc", 3));
    CALL("read", RAW(SYS_read, ends[0], BAD_POINTER, 3));
    CALL("write", RAW(SYS_write, ends[1], BAD_POINTER, 3));
    char bytes[4];
    CALL("kept", read(ends[0], bytes, 4));
    CALL("empty_read_of_zero", read(ends[0], bytes, 0));
}

CASE(pipe2_flags)
{
    int ends[2];
    char byte;
    CALL("both", pipe2(ends, O_NONBLOCK | O_CLOEXEC));
    CALL("getfd", fcntl(ends[0], F_GETFD));
    observe_hex("reader", (unsigned long)fcntl(ends[0], F_GETFL));
    observe_hex("writer", (unsigned long)fcntl(ends[1], F_GETFL));
    CALL("empty", read(ends[0], &byte, 1));
    CALL("unknown", pipe2(ends, O_APPEND));
    CALL("plain", pipe2(ends, 0));
}

CASE(pipe2_capacity)
{
    static char bytes[1 << 17];
    int ends[2];
    NEED(pipe2(ends, O_NONBLOCK));
    CALL("capacity", fcntl(ends[0], F_GETPIPE_SZ));
    CALL("fill", write(ends[1], bytes, sizeof bytes));
    CALL("full", write(ends[1], bytes, 1));
    NEED(read(ends[0], bytes, 4096));
    CALL("page_free", write(ends[1], bytes, 8192));
}
ALSO(pipe2_capacity, "fcntl");

/* Up to PIPE_BUF a write is all or nothing. */
CASE(pipe2_atomic_writes)
{
    static char bytes[1 << 16];
    int ends[2];
    NEED(pipe2(ends, O_NONBLOCK));
    NEED(write(ends[1], bytes, 65536 - 100));
    CALL("does_not_fit", write(ends[1], bytes, 4096));
    CALL("fits", write(ends[1], bytes, 100));
}

CASE(fcntl_pipe_size)
{
    static char bytes[1 << 16];
    int ends[2];
    NEED(pipe2(ends, O_NONBLOCK));
    CALL("shrink", fcntl(ends[0], F_SETPIPE_SZ, 4096));
    CALL("rounded_up", fcntl(ends[0], F_SETPIPE_SZ, 5000));
    CALL("get", fcntl(ends[1], F_GETPIPE_SZ));
    CALL("fill", write(ends[1], bytes, sizeof bytes));
    CALL("too_small_now", fcntl(ends[0], F_SETPIPE_SZ, 4096));
    CALL("grow", fcntl(ends[0], F_SETPIPE_SZ, 1 << 17));
    CALL("more", write(ends[1], bytes, sizeof bytes));
    put_file("f", "");
    CALL("no_pipe", fcntl((int)NEED(open("f", O_RDONLY)), F_GETPIPE_SZ));
}

CASE(write_broken_pipe, NEEDS_SIGNALS)
{
    int ends[2];
    NEED(pipe(ends));
    NEED(close(ends[0]));
    handle(SIGPIPE, count_signal, 0);
    CALL("handled", write(ends[1], "x", 1));
    observe_number("signals", count);
    signal(SIGPIPE, SIG_IGN);
    CALL("ignored", write(ends[1], "x", 1));
    CALL("zero_length", write(ends[1], "x", 0));
    struct iovec part = {"x", 1};
    CALL("writev", writev(ends[1], &part, 1));
}

CASE(write_broken_pipe_default, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(child)
    {
        int ends[2];
        NEED(pipe(ends));
        NEED(close(ends[0]));
        write(ends[1], "x", 1);
    }
    observe_status("child", await(child));
}

CASE(pipe_inherited, NEEDS_FORK)
{
    int ends[2];
    char bytes[8] = "";
    NEED(pipe(ends));
    CHILD(child)
    {
        NEED(close(ends[0]));
        NEED(write(ends[1], "child", 5));
    }
    NEED(close(ends[1]));
    CALL("read", read(ends[0], bytes, 8));
    CALL("end", read(ends[0], bytes + 5, 3));
    observe_text("bytes", bytes);
    await(child);
}

CASE(pipe_blocked_reader, NEEDS_FORK)
{
    int ends[2], back[2];
    char byte;
    NEED(pipe(ends));
    NEED(pipe(back));
    CHILD(child)
    {
        for (int i = 0; i < 500; i++) {
            NEED(read(ends[0], &byte, 1));
            byte++;
            NEED(write(back[1], &byte, 1));
        }
    }
    unsigned wrong = 0;
    for (int i = 0; i < 500; i++) {
        byte = (char)i;
        NEED(write(ends[1], &byte, 1));
        NEED(read(back[0], &byte, 1));
        wrong += byte != (char)(i + 1);
    }
    observe_number("wrong", wrong);
    observe_status("child", await(child));
}

CASE(pipe_large_transfer, NEEDS_FORK)
{
    static unsigned char bytes[300000];
    int ends[2];
    NEED(pipe(ends));
    CHILD(child)
    {
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)(i * 7 + i / 251);
        NEED(close(ends[0]));
        CALL("write", write(ends[1], bytes, sizeof bytes));
    }
    NEED(close(ends[1]));
    unsigned long total = 0, wrong = 0;
    long length;
    while ((length = read(ends[0], bytes, 7777)) > 0) {
        for (long i = 0; i < length; i++)
            wrong += bytes[i] != (unsigned char)((total + (unsigned long)i) * 7 +
                                                 (total + (unsigned long)i) / 251);
        total += (unsigned long)length;
    }
    await(child);
    observe_number("total", (long)total);
    observe_number("wrong", (long)wrong);
}

/* Every writer's small writes arrive whole. */
CASE(pipe_many_writers, NEEDS_FORK)
{
    int ends[2];
    char record[100];
    NEED(pipe(ends));
    for (int writer = 0; writer < 4; writer++) {
        CHILD(child)
        {
            memset(record, 'a' + writer, sizeof record);
            for (int i = 0; i < 200; i++)
                NEED(write(ends[1], record, sizeof record));
        }
    }
    NEED(close(ends[1]));
    unsigned records = 0, torn = 0, at = 0;
    long length;
    while ((length = read(ends[0], record + at, sizeof record - at)) > 0) {
        at += (unsigned)length;
        if (at < sizeof record)
            continue;
        for (unsigned i = 1; i < sizeof record; i++)
            torn += record[i] != record[0];
        records++;
        at = 0;
    }
    while (wait(NULL) > 0)
        ;
    observe_number("records", records);
    observe_number("torn", torn);
}

CASE(mknod_fifo_nonblocking_open)
{
    NEED(mkfifo("p", 0600));
    CALL("writer_alone", open("p", O_WRONLY | O_NONBLOCK));
    int reader = (int)CALL("reader_alone", open("p", O_RDONLY | O_NONBLOCK));
    char byte;
    CALL("no_writer_is_end", read(reader, &byte, 1));
    int writer = (int)CALL("writer", open("p", O_WRONLY | O_NONBLOCK));
    CALL("empty", read(reader, &byte, 1));
    NEED(write(writer, "x", 1));
    CALL("read", read(reader, &byte, 1));
    NEED(close(writer));
    CALL("end_again", read(reader, &byte, 1));
}

CASE(mknod_fifo_open_meets, NEEDS_FORK)
{
    char bytes[8] = "";
    NEED(mkfifo("p", 0600));
    CHILD(child)
    {
        int writer = (int)NEED(open("p", O_WRONLY));
        NEED(write(writer, "met", 3));
    }
    int reader = (int)NEED(open("p", O_RDONLY));
    CALL("read", read(reader, bytes, 8));
    observe_text("bytes", bytes);
    await(child);
}

CASE(mknod_fifo_read_write)
{
    char bytes[8] = "";
    NEED(mkfifo("p", 0600));
    int both = (int)CALL("open", open("p", O_RDWR));
    CALL("write", write(both, "self", 4));
    CALL("read", read(both, bytes, 8));
    observe_text("bytes", bytes);
    CALL("lseek", lseek(both, 0, SEEK_SET));
}

CASE(splice_between_pipe_and_file)
{
    int ends[2];
    long offset = 2;
    char bytes[16] = "";
    NEED(pipe(ends));
    put_file("f", "0123456789");
    int fd = (int)NEED(open("f", O_RDWR));
    CALL("in", RAW(SYS_splice, fd, &offset, ends[1], 0, 5, 0));
    observe_number("offset", offset);
    offset = 8;
    CALL("out", RAW(SYS_splice, ends[0], 0, fd, &offset, 5, 0));
    observe_file("f", "f");
    CALL("in_by_position", RAW(SYS_splice, fd, 0, ends[1], 0, 3, 0));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    CALL("read", read(ends[0], bytes, 16));
    observe_text("bytes", bytes);
}

CASE(splice_between_pipes)
{
    int from[2], to[2];
    char bytes[16] = "";
    NEED(pipe(from));
    NEED(pipe(to));
    NEED(write(from[1], "0123456789", 10));
    CALL("move", RAW(SYS_splice, from[0], 0, to[1], 0, 4, 0));
    CALL("read", read(to[0], bytes, 16));
    observe_text("bytes", bytes);
    CALL("empty", RAW(SYS_splice, to[0], 0, from[1], 0, 4, 2 /* SPLICE_F_NONBLOCK */));
}

CASE(splice_errors)
{
    int ends[2];
    long offset = 0;
    NEED(pipe(ends));
    put_file("f", "x");
    int fd = (int)NEED(open("f", O_RDWR));
    CALL("no_pipe", RAW(SYS_splice, fd, 0, fd, 0, 4, 0));
    CALL("pipe_offset", RAW(SYS_splice, ends[0], &offset, fd, 0, 4, 0));
    CALL("flags", RAW(SYS_splice, fd, 0, ends[1], 0, 4, 0x100));
    CALL("closed", RAW(SYS_splice, 999, 0, ends[1], 0, 4, 0));
    CALL("wrong_way", RAW(SYS_splice, fd, 0, ends[0], 0, 4, 0));
    CALL("zero", RAW(SYS_splice, fd, 0, ends[1], 0, 0, 0));
    CALL("same_pipe", RAW(SYS_splice, ends[0], 0, ends[1], 0, 4, 2));
}

CASE(tee_copies)
{
    int from[2], to[2];
    char bytes[16] = "";
    NEED(pipe(from));
    NEED(pipe(to));
    NEED(write(from[1], "0123456789", 10));
    CALL("tee", RAW(SYS_tee, from[0], to[1], 4, 0));
    CALL("copy", read(to[0], bytes, 16));
    observe_text("bytes", bytes);
    CALL("original", read(from[0], bytes, 16));
    CALL("empty", RAW(SYS_tee, from[0], to[1], 4, 2));
    CALL("same", RAW(SYS_tee, from[0], from[1], 4, 2));
    put_file("f", "x");
    CALL("file", RAW(SYS_tee, (int)NEED(open("f", O_RDONLY)), to[1], 4, 0));
}

CASE(vmsplice_gathers)
{
    int ends[2];
    char bytes[16] = "";
    struct iovec parts[2] = {{"abc", 3}, {"defg", 4}};
    NEED(pipe(ends));
    CALL("vmsplice", RAW(SYS_vmsplice, ends[1], parts, 2, 0));
    CALL("read", read(ends[0], bytes, 16));
    observe_text("bytes", bytes);
    put_file("f", "x");
    CALL("file", RAW(SYS_vmsplice, (int)NEED(open("f", O_RDWR)), parts, 2, 0));
    CALL("flags", RAW(SYS_vmsplice, ends[1], parts, 2, 0x100));
}

/* Either end is always about to fill or to empty it: a wake-up that is missed stops both. */
CASE(pipe_bulk_between_processes, NEEDS_FORK)
{
    enum { LENGTH = 5000, ROUNDS = 4000 };
    int ends[2];
    NEED(pipe(ends));
    CHILD(child)
    {
        char *bytes = pages(2);
        close(ends[0]);
        for (int i = 0; i < ROUNDS; i++)
            NEED(write(ends[1], bytes, LENGTH));
    }
    close(ends[1]);
    char *bytes = pages(8);
    long total = 0, count;
    while ((count = read(ends[0], bytes, 8 * PAGE)) > 0)
        total += count;
    observe_number("total", total);
    observe_status("writer", await(child));
}
ALSO(pipe_bulk_between_processes, "read write");
