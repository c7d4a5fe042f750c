/* open, openat, openat2, creat, close. */
#include "suite.h"

static long sys_open(const char *path, int flags, int mode)
{
    return RAW(SYS_open, path, flags, mode);
}

CASE(open_create_write_read)
{
    long fd = CALL("create", sys_open("f", O_RDWR | O_CREAT, 0644));
    CALL("write", write((int)fd, "hello", 5));
    CALL("close", close((int)fd));
    observe_file("content", "f");
}

CASE(open_missing)
{
    CALL("missing", sys_open("nothing", O_RDONLY, 0));
    CALL("missing_directory", sys_open("no/thing", O_RDWR | O_CREAT, 0644));
    CALL("empty_path", sys_open("", O_RDONLY, 0));
    CALL("bad_pointer", RAW(SYS_open, BAD_POINTER, O_RDONLY, 0));
}

CASE(open_exclusive)
{
    CALL("first", sys_open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
    CALL("again", sys_open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
    NEED(symlink("dangling_target", "l"));
    CALL("dangling_link", sys_open("l", O_RDWR | O_CREAT | O_EXCL, 0644));
    NEED(mkdir("d", 0755));
    CALL("directory", sys_open("d", O_RDONLY | O_CREAT | O_EXCL, 0644));
}

CASE(open_through_dangling_link)
{
    NEED(symlink("target", "l"));
    CALL("without_create", sys_open("l", O_RDWR, 0));
    long fd = CALL("with_create", sys_open("l", O_RDWR | O_CREAT, 0644));
    NEED(write((int)fd, "x", 1));
    observe_file("target", "target");
}

CASE(open_truncate)
{
    put_file("f", "content");
    int fd = (int)CALL("truncate", sys_open("f", O_WRONLY | O_TRUNC, 0));
    NEED(write(fd, "ab", 2));
    observe_file("f", "f");
    CALL("read_only_truncates_too", sys_open("f", O_RDONLY | O_TRUNC, 0));
    observe_file("f", "f");
}

CASE(open_access_modes)
{
    char byte;
    put_file("f", "content");
    int reader = (int)CALL("read_only", sys_open("f", O_RDONLY, 0));
    int writer = (int)CALL("write_only", sys_open("f", O_WRONLY, 0));
    CALL("write_to_reader", write(reader, "x", 1));
    CALL("read_from_writer", read(writer, &byte, 1));
    CALL("pread_from_writer", pread(writer, &byte, 1, 0));
    CALL("truncate_reader", ftruncate(reader, 1));
    /* Access mode 3: neither reading nor writing, only ioctl. */
    int neither = (int)CALL("neither", sys_open("f", 3, 0));
    CALL("read_neither", read(neither, &byte, 1));
    CALL("write_neither", write(neither, &byte, 1));
}

CASE(open_lowest_descriptor)
{
    put_file("f", "");
    int a = (int)CALL("a", sys_open("f", O_RDONLY, 0));
    int b = (int)CALL("b", sys_open("f", O_RDONLY, 0));
    int c = (int)CALL("c", sys_open("f", O_RDONLY, 0));
    NEED(close(b));
    NEED(close(a));
    CALL("lowest_first", sys_open("f", O_RDONLY, 0));
    CALL("then_next", sys_open("f", O_RDONLY, 0));
    CALL("then_after", sys_open("f", O_RDONLY, 0));
    (void)c;
}

CASE(open_directory)
{
    char byte;
    NEED(mkdir("d", 0755));
    put_file("f", "");
    int fd = (int)CALL("read_only", sys_open("d", O_RDONLY, 0));
    CALL("read", read(fd, &byte, 1));
    CALL("write_only", sys_open("d", O_WRONLY, 0));
    CALL("read_write", sys_open("d", O_RDWR, 0));
    CALL("create", sys_open("d", O_RDONLY | O_CREAT, 0644));
    CALL("o_directory", sys_open("d", O_RDONLY | O_DIRECTORY, 0));
    CALL("o_directory_file", sys_open("f", O_RDONLY | O_DIRECTORY, 0));
    CALL("trailing_slash_file", sys_open("f/", O_RDONLY, 0));
    CALL("trailing_slash_create", sys_open("new/", O_RDWR | O_CREAT, 0644));
    CALL("trailing_slash", sys_open("d/", O_RDONLY, 0));
}

CASE(open_nofollow)
{
    put_file("f", "");
    NEED(symlink("f", "l"));
    NEED(mkdir("d", 0755));
    NEED(symlink("d", "dl"));
    put_file("d/inner", "");
    CALL("link", sys_open("l", O_RDONLY | O_NOFOLLOW, 0));
    CALL("plain", sys_open("f", O_RDONLY | O_NOFOLLOW, 0));
    CALL("only_the_last_part", sys_open("dl/inner", O_RDONLY | O_NOFOLLOW, 0));
    CALL("slash_follows", sys_open("dl/", O_RDONLY | O_NOFOLLOW, 0));
    CALL("directory_link", sys_open("dl", O_RDONLY | O_NOFOLLOW | O_DIRECTORY, 0));
}

CASE(open_append)
{
    put_file("f", "12345");
    int fd = (int)NEED(sys_open("f", O_RDWR | O_APPEND, 0));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    NEED(lseek(fd, 1, SEEK_SET));
    CALL("write", write(fd, "ab", 2));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    /* On Linux even pwrite appends to such a descriptor. */
    CALL("pwrite", pwrite(fd, "XY", 2, 0));
    CALL("position", lseek(fd, 0, SEEK_CUR));
    observe_file("content", "f");
}

CASE(open_path_only)
{
    enum { PATH_ONLY = 010000000 };
    char byte;
    struct stat status;
    put_file("f", "x");
    int fd = (int)CALL("open", sys_open("f", PATH_ONLY, 0));
    CALL("read", read(fd, &byte, 1));
    CALL("write", write(fd, "x", 1));
    CALL("fstat", fstat(fd, &status));
    CALL("fchmod", RAW(SYS_fchmod, fd, 0600));
    CALL("lseek", lseek(fd, 0, SEEK_CUR));
    CALL("dup", dup(fd));
    CALL("getfl", fcntl(fd, F_GETFL));
    CALL("ioctl", RAW(SYS_ioctl, fd, 0x5401, 0));
    NEED(symlink("f", "l"));
    int link = (int)CALL("link_itself", sys_open("l", PATH_ONLY | O_NOFOLLOW, 0));
    NEED(fstat(link, &status));
    IS("is_link", S_ISLNK(status.st_mode));
    char target[8] = "";
    CALL("readlinkat_empty", readlinkat(link, "", target, sizeof target));
}

CASE(open_flags_reported)
{
    put_file("f", "");
    int fd = (int)NEED(sys_open("f", O_RDWR | O_APPEND | O_NONBLOCK | O_CREAT | O_TRUNC, 0644));
    observe_hex("getfl", (unsigned long)fcntl(fd, F_GETFL));
    fd = (int)NEED(sys_open("f", O_RDONLY | O_CLOEXEC, 0));
    observe_hex("getfl", (unsigned long)fcntl(fd, F_GETFL));
    CALL("getfd", fcntl(fd, F_GETFD));
    fd = (int)NEED(sys_open("f", O_WRONLY | O_SYNC, 0));
    observe_hex("getfl", (unsigned long)fcntl(fd, F_GETFL));
}

CASE(open_mode_and_umask)
{
    struct stat status;
    static const int MASKS[] = {0, 022, 077, 0777};
    for (unsigned i = 0; i < COUNT(MASKS); i++) {
        char name[] = "f0";
        name[1] = (char)('0' + i);
        umask((mode_t)MASKS[i]);
        NEED(sys_open(name, O_RDWR | O_CREAT, 06777));
        NEED(stat(name, &status));
        observe_hex("mode", status.st_mode);
    }
    umask(022);
}

/* A file created without write permission can still be written through that descriptor. */
CASE(open_create_read_only_mode)
{
    int fd = (int)CALL("open", sys_open("f", O_RDWR | O_CREAT, 0400));
    CALL("write", write(fd, "x", 1));
}

CASE(open_temporary_file)
{
    enum { TEMPORARY = 020000000 | O_DIRECTORY };
    struct stat status;
    int fd = (int)CALL("open", sys_open(".", O_RDWR | TEMPORARY, 0600));
    if (fd < 0)
        return;
    NEED(write(fd, "hidden", 6));
    NEED(fstat(fd, &status));
    observe_number("links", (long)status.st_nlink);
    CALL("read_only", sys_open(".", O_RDONLY | TEMPORARY, 0600));
    CALL("missing_directory", sys_open("no", O_RDWR | TEMPORARY, 0600));
}

CASE(open_not_a_directory)
{
    put_file("f", "");
    CALL("file_as_directory", sys_open("f/x", O_RDONLY, 0));
    CALL("file_as_directory_dot", sys_open("f/.", O_RDONLY, 0));
    CALL("file_dot_dot", sys_open("f/..", O_RDONLY, 0));
    CALL("create_below", sys_open("f/x", O_RDWR | O_CREAT, 0600));
}

CASE(open_descriptor_limit, NEEDS_FORK)
{
    CHILD(child)
    {
        struct {
            unsigned long current, maximum;
        } limit = {10, 20};
        NEED(RAW(SYS_prlimit64, 0, 7, &limit, 0));
        put_file("f", "");
        int last = -1, fd;
        while ((fd = (int)sys_open("f", O_RDONLY, 0)) >= 0)
            last = fd;
        observe_error("error", errno);
        observe_number("last", last);
        CALL("dup", dup(0));
        CALL("dup2", dup2(0, 10));
        CALL("dupfd", fcntl(0, F_DUPFD, 10));
        int ends[2];
        CALL("pipe", pipe(ends));
        NEED(close(9));
        CALL("one_free_is_not_two", pipe(ends));
        CALL("one_is_one", sys_open("f", O_RDONLY, 0));
    }
    observe_status("child", await(child));
}
ALSO(open_descriptor_limit, "dup dup2 fcntl pipe");

CASE(open_permission_denied, NEEDS_ROOT | NEEDS_FORK)
{
    put_file("secret", "x");
    NEED(chmod("secret", 0600));
    put_file("readable", "x");
    NEED(mkdir("closed", 0700));
    put_file("closed/f", "x");
    CHILD(child)
    {
        NEED(setresgid(65534, 65534, 65534));
        NEED(setresuid(65534, 65534, 65534));
        CALL("secret", sys_open("secret", O_RDONLY, 0));
        CALL("readable", sys_open("readable", O_RDONLY, 0));
        CALL("readable_write", sys_open("readable", O_RDWR, 0));
        CALL("through_closed", sys_open("closed/f", O_RDONLY, 0));
        CALL("closed_missing", sys_open("closed/none", O_RDONLY, 0));
        CALL("closed", sys_open("closed", O_RDONLY, 0));
        CALL("create", sys_open("new", O_RDWR | O_CREAT, 0600));
        CALL("create_existing", sys_open("readable", O_RDONLY | O_CREAT, 0600));
        CALL("truncate", sys_open("readable", O_RDONLY | O_TRUNC, 0));
        CALL("noatime", sys_open("readable", O_RDONLY | O_NOATIME, 0));
    }
    observe_status("child", await(child));
}

CASE(openat_relative)
{
    NEED(mkdir("d", 0755));
    put_file("d/f", "inside");
    put_file("f", "outside");
    int directory = (int)NEED(open("d", O_RDONLY | O_DIRECTORY));
    int fd = (int)CALL("open", openat(directory, "f", O_RDONLY));
    char text[16] = "";
    CALL("read", read(fd, text, sizeof text));
    observe_text("text", text);
    fd = (int)CALL("parent", openat(directory, "../f", O_RDONLY));
    memset(text, 0, sizeof text);
    NEED(read(fd, text, sizeof text));
    observe_text("text", text);
}

CASE(openat_errors)
{
    put_file("f", "");
    int file = (int)NEED(open("f", O_RDONLY));
    CALL("bad_descriptor", openat(999, "f", O_RDONLY));
    CALL("bad_descriptor_absolute", openat(999, "/", O_RDONLY));
    CALL("not_a_directory", openat(file, "f", O_RDONLY));
    CALL("empty", openat(file, "", O_RDONLY));
}

CASE(openat_removed_directory)
{
    NEED(mkdir("d", 0755));
    int directory = (int)NEED(open("d", O_RDONLY));
    NEED(rmdir("d"));
    CALL("open", openat(directory, "f", O_RDONLY));
    CALL("create", openat(directory, "f", O_RDWR | O_CREAT, 0600));
    CALL("dot", openat(directory, ".", O_RDONLY));
}

struct how {
    uint64_t flags, mode, resolve;
};

static long openat2(int at, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct how how = {flags, mode, resolve};
    return RAW(437, at, path, &how, sizeof how);
}

CASE(openat2_strict_arguments)
{
    struct how how[2] = {{O_RDONLY, 0, 0}, {0, 0, 0}};
    put_file("f", "");
    CALL("plain", openat2(AT_FDCWD, "f", O_RDONLY, 0, 0));
    CALL("mode_without_create", openat2(AT_FDCWD, "f", O_RDONLY, 0600, 0));
    CALL("unknown_flag", openat2(AT_FDCWD, "f", 1UL << 40, 0, 0));
    CALL("unknown_resolve", openat2(AT_FDCWD, "f", O_RDONLY, 0, 1 << 20));
    CALL("large_mode", openat2(AT_FDCWD, "g", O_RDWR | O_CREAT, 010000, 0));
    CALL("short", RAW(437, AT_FDCWD, "f", how, 16));
    CALL("long_zero", RAW(437, AT_FDCWD, "f", how, sizeof how));
    how[1].flags = 1;
    CALL("long_used", RAW(437, AT_FDCWD, "f", how, sizeof how));
    CALL("bad", RAW(437, AT_FDCWD, "f", BAD_POINTER, sizeof how[0]));
}

CASE(openat2_resolve_beneath)
{
    enum { BENEATH = 8 };
    NEED(mkdir("d", 0755));
    put_file("d/f", "");
    put_file("f", "");
    NEED(symlink("../f", "d/out"));
    NEED(symlink("f", "d/in"));
    NEED(symlink("/", "d/absolute"));
    int d = (int)NEED(open("d", O_RDONLY));
    CALL("inside", openat2(d, "f", O_RDONLY, 0, BENEATH));
    CALL("link_inside", openat2(d, "in", O_RDONLY, 0, BENEATH));
    CALL("dot_dot", openat2(d, "../f", O_RDONLY, 0, BENEATH));
    CALL("link_outside", openat2(d, "out", O_RDONLY, 0, BENEATH));
    CALL("absolute_link", openat2(d, "absolute", O_RDONLY, 0, BENEATH));
    CALL("absolute", openat2(d, "/", O_RDONLY, 0, BENEATH));
}

CASE(openat2_resolve_in_root_and_no_links)
{
    enum { NO_SYMLINKS = 4, IN_ROOT = 16 };
    NEED(mkdir("d", 0755));
    put_file("d/f", "");
    NEED(symlink("/f", "d/absolute"));
    NEED(symlink("../../../f", "d/up"));
    int d = (int)NEED(open("d", O_RDONLY));
    CALL("absolute", openat2(d, "/f", O_RDONLY, 0, IN_ROOT));
    CALL("absolute_link", openat2(d, "absolute", O_RDONLY, 0, IN_ROOT));
    CALL("up_link", openat2(d, "up", O_RDONLY, 0, IN_ROOT));
    CALL("no_symlinks", openat2(d, "absolute", O_RDONLY, 0, NO_SYMLINKS));
    CALL("no_symlinks_plain", openat2(d, "f", O_RDONLY, 0, NO_SYMLINKS));
    CALL("both", openat2(d, "f", O_RDONLY, 0, IN_ROOT | 8));
}

CASE(creat_truncates)
{
    char byte;
    put_file("f", "content");
    int fd = (int)CALL("creat", RAW(SYS_creat, "f", 0644));
    observe_file("content", "f");
    CALL("read", read(fd, &byte, 1));
    CALL("missing_directory", RAW(SYS_creat, "no/f", 0644));
    NEED(mkdir("d", 0755));
    CALL("directory", RAW(SYS_creat, "d", 0644));
}

CASE(close_twice)
{
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("first", close(fd));
    CALL("second", close(fd));
    CALL("read", read(fd, &fd, 1));
}

/* A file lives on without a name as long as it is open. */
CASE(close_unlinked_file)
{
    struct stat status;
    char text[8] = "";
    int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
    NEED(write(fd, "alive", 5));
    NEED(unlink("f"));
    NEED(fstat(fd, &status));
    observe_number("links", (long)status.st_nlink);
    CALL("read", pread(fd, text, 8, 0));
    observe_text("text", text);
    CALL("close", close(fd));
    CALL("gone", access("f", F_OK));
}

CASE(close_range_closes)
{
    for (int i = 0; i < 8; i++)
        NEED(dup2(0, 10 + i));
    CALL("close", RAW(436, 11, 14, 0));
    for (int i = 0; i < 8; i++)
        CALL("fd", fcntl(10 + i, F_GETFD));
    CALL("cloexec", RAW(436, 15, 16, 4));
    for (int i = 5; i < 8; i++)
        CALL("fd", fcntl(10 + i, F_GETFD));
}

CASE(close_range_errors)
{
    CALL("backwards", RAW(436, 20, 10, 0));
    CALL("unknown_flag", RAW(436, 100, 200, 1));
    CALL("nothing_open", RAW(436, 100, 200, 0));
    CALL("all_above", RAW(436, 100, ~0U, 0));
}

CASE(close_range_unshare)
{
    NEED(dup2(0, 20));
    CALL("unshare", RAW(436, 20, 20, 2));
    CALL("closed", fcntl(20, F_GETFD));
    CALL("kept", fcntl(1, F_GETFD));
}
