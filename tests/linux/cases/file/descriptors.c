/* dup, fcntl, ioctl on ordinary descriptors. */
#include "suite.h"

#include <sys/ioctl.h>

CASE(dup_shares)
{
    char text[8] = "";
    put_file("f", "0123456789");
    int fd = (int)NEED(open("f", O_RDONLY | O_CLOEXEC));
    int copy = (int)CALL("dup", RAW(SYS_dup, fd));
    CALL("cloexec_not_copied", fcntl(copy, F_GETFD));
    NEED(read(fd, text, 3));
    NEED(read(copy, text, 3));
    observe_text("text", text);
    NEED(close(fd));
    CALL("still_open", read(copy, text, 1));
    CALL("closed", RAW(SYS_dup, 999));
}

CASE(dup_shares_flags)
{
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDWR));
    int copy = (int)NEED(dup(fd));
    NEED(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    observe_hex("copy", (unsigned long)fcntl(copy, F_GETFL));
    NEED(fcntl(fd, F_SETFD, FD_CLOEXEC));
    CALL("own", fcntl(copy, F_GETFD));
}

CASE(dup_many)
{
    for (int i = 0; i < 100; i++)
        if (dup(0) != 3 + i)
            observe_number("wrong", i);
    CALL("next", dup(0));
}

CASE(dup2_replaces)
{
    char text[8] = "";
    put_file("a", "aaa");
    put_file("b", "bbb");
    int a = (int)NEED(open("a", O_RDONLY)), b = (int)NEED(open("b", O_RDONLY));
    CALL("dup2", RAW(SYS_dup2, a, b));
    NEED(read(b, text, 3));
    observe_text("text", text);
    CALL("itself", RAW(SYS_dup2, a, a));
    CALL("far", RAW(SYS_dup2, a, 200));
    CALL("far_open", fcntl(200, F_GETFD));
}

CASE(dup2_errors)
{
    CALL("closed", RAW(SYS_dup2, 999, 5));
    CALL("closed_itself", RAW(SYS_dup2, 999, 999));
    CALL("negative", RAW(SYS_dup2, 0, -1));
    CALL("too_large", RAW(SYS_dup2, 0, 0x7fffffff));
}

CASE(dup2_clears_cloexec)
{
    int fd = (int)NEED(open(".", O_RDONLY | O_CLOEXEC));
    NEED(dup2(fd, 50));
    CALL("getfd", fcntl(50, F_GETFD));
}

CASE(dup3_flags)
{
    CALL("cloexec", RAW(SYS_dup3, 0, 50, O_CLOEXEC));
    CALL("getfd", fcntl(50, F_GETFD));
    CALL("itself", RAW(SYS_dup3, 0, 0, 0));
    CALL("unknown_flag", RAW(SYS_dup3, 0, 50, O_NONBLOCK));
    CALL("closed", RAW(SYS_dup3, 999, 50, 0));
    CALL("itself_closed", RAW(SYS_dup3, 999, 999, 0));
}

CASE(dup3_plain)
{
    CALL("plain", RAW(SYS_dup3, 1, 51, 0));
    CALL("getfd", fcntl(51, F_GETFD));
    CALL("negative", RAW(SYS_dup3, 1, -1, 0));
}

CASE(dup3_replaces_and_closes)
{
    char byte;
    int ends[2];
    NEED(pipe(ends));
    CALL("over_writer", dup3(0, ends[1], 0));
    CALL("end_of_file", read(ends[0], &byte, 1));
}

CASE(fcntl_dup_flags)
{
    CALL("at_least", fcntl(0, F_DUPFD, 40));
    CALL("next", fcntl(0, F_DUPFD, 40));
    CALL("cloexec", fcntl(0, F_DUPFD_CLOEXEC, 40));
    CALL("plain_flag", fcntl(40, F_GETFD));
    CALL("cloexec_flag", fcntl(42, F_GETFD));
    CALL("negative", fcntl(0, F_DUPFD, -1));
    CALL("too_large", fcntl(0, F_DUPFD, 0x7fffffff));
    CALL("closed", fcntl(999, F_DUPFD, 0));
}

CASE(fcntl_descriptor_flags)
{
    int fd = (int)NEED(open(".", O_RDONLY));
    CALL("before", fcntl(fd, F_GETFD));
    CALL("set", fcntl(fd, F_SETFD, FD_CLOEXEC));
    CALL("get", fcntl(fd, F_GETFD));
    CALL("unknown_bits", fcntl(fd, F_SETFD, 0xfe));
    CALL("get", fcntl(fd, F_GETFD));
}

CASE(fcntl_status_flags)
{
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDWR));
    CALL("set", fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    observe_hex("get", (unsigned long)fcntl(fd, F_GETFL));
    /* Access mode and creation flags cannot be changed, and asking is no error. */
    CALL("set_other", fcntl(fd, F_SETFL, O_RDONLY | O_CREAT | O_TRUNC));
    observe_hex("get", (unsigned long)fcntl(fd, F_GETFL));
}

CASE(fcntl_errors)
{
    CALL("unknown", fcntl(0, 999));
    CALL("closed", fcntl(999, F_GETFL));
    CALL("closed_unknown", fcntl(999, 999));
    struct flock lock = {.l_type = 77, .l_whence = SEEK_SET};
    put_file("f", "");
    CALL("unknown_lock", fcntl((int)NEED(open("f", O_RDWR)), F_SETLK, &lock));
    CALL("bad_lock", RAW(SYS_fcntl, (int)NEED(open("f", O_RDWR)), F_SETLK, BAD_POINTER));
}

CASE(fcntl_owner)
{
    int ends[2];
    NEED(pipe(ends));
    CALL("initially", fcntl(ends[0], F_GETOWN));
    CALL("set", fcntl(ends[0], F_SETOWN, getpid()));
    IS("self", fcntl(ends[0], F_GETOWN) == getpid());
    CALL("signal", fcntl(ends[0], F_SETSIG, SIGUSR1));
    CALL("get_signal", fcntl(ends[0], F_GETSIG));
    CALL("bad_signal", fcntl(ends[0], F_SETSIG, 99));
}

CASE(ioctl_bytes_available)
{
    int ends[2], count = -1;
    NEED(pipe(ends));
    NEED(write(ends[1], "12345", 5));
    CALL("pipe", ioctl(ends[0], FIONREAD, &count));
    observe_number("count", count);
    put_file("f", "0123456789");
    int fd = (int)NEED(open("f", O_RDONLY));
    NEED(lseek(fd, 4, SEEK_SET));
    CALL("file", ioctl(fd, FIONREAD, &count));
    observe_number("count", count);
    CALL("bad", RAW(SYS_ioctl, fd, FIONREAD, BAD_POINTER));
}

CASE(ioctl_flags)
{
    int ends[2], on = 1, off = 0;
    NEED(pipe(ends));
    CALL("nonblock", ioctl(ends[0], FIONBIO, &on));
    observe_hex("getfl", (unsigned long)fcntl(ends[0], F_GETFL));
    CALL("block", ioctl(ends[0], FIONBIO, &off));
    observe_hex("getfl", (unsigned long)fcntl(ends[0], F_GETFL));
    CALL("cloexec", ioctl(ends[0], FIOCLEX));
    CALL("getfd", fcntl(ends[0], F_GETFD));
    CALL("not_cloexec", ioctl(ends[0], FIONCLEX));
    CALL("getfd", fcntl(ends[0], F_GETFD));
}

CASE(ioctl_errors)
{
    int ends[2];
    char buffer[64];
    NEED(pipe(ends));
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("terminal_on_pipe", ioctl(ends[0], TCGETS, buffer));
    CALL("terminal_on_file", ioctl(fd, TCGETS, buffer));
    CALL("unknown", ioctl(fd, 0x12345678, buffer));
    CALL("closed", ioctl(999, TCGETS, buffer));
    CALL("window_on_null", ioctl((int)NEED(open("/dev/null", O_RDWR)), TIOCGWINSZ, buffer));
    IS("isatty", isatty(fd));
}

/* The memory devices. */
CASE(read_devices)
{
    char bytes[8] = "xxxxxxx";
    int zero = (int)NEED(open("/dev/zero", O_RDWR)), null = (int)NEED(open("/dev/null", O_RDWR));
    int full = (int)NEED(open("/dev/full", O_RDWR));
    CALL("zero", read(zero, bytes, 4));
    observe_bytes("bytes", bytes, 7);
    CALL("null", read(null, bytes, 4));
    CALL("full", read(full, bytes, 6));
    observe_bytes("bytes", bytes, 7);
    CALL("write_zero", write(zero, "abc", 3));
    CALL("write_null", write(null, "abc", 3));
    CALL("write_full", write(full, "abc", 3));
    CALL("lseek_null", lseek(null, 100, SEEK_SET));
    int random = (int)NEED(open("/dev/urandom", O_RDONLY));
    CALL("urandom", read(random, bytes, 8));
}

CASE(write_null_ignores_pointer)
{
    int null = (int)NEED(open("/dev/null", O_RDWR));
    CALL("bad_pointer", RAW(SYS_write, null, BAD_POINTER, 100));
    CALL("huge", RAW(SYS_write, null, BAD_POINTER, 0x7fffffff));
    CALL("kernel", RAW(SYS_write, null, KERNEL_POINTER, 100));
}
