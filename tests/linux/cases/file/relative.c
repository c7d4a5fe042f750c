/* The calls that take a directory descriptor, and those that take a file's. */
#include "suite.h"

#include <stdio.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <utime.h>

static int directory(const char *name)
{
    NEED(mkdir(name, 0755));
    return (int)NEED(open(name, O_RDONLY | O_DIRECTORY));
}

CASE(mkdirat_errors)
{
    int d = directory("d"), file;
    put_file("f", "");
    file = (int)NEED(open("f", O_RDONLY));
    CALL("not_a_directory", mkdirat(file, "x", 0755));
    CALL("missing_parent", mkdirat(d, "a/b", 0755));
    CALL("empty", mkdirat(d, "", 0755));
    CALL("bad", RAW(SYS_mkdirat, d, BAD_POINTER, 0755));
    CALL("absolute_ignores_descriptor", mkdirat(999, "/", 0755));
}

CASE(mkdirat_mode)
{
    struct stat status;
    int d = directory("d");
    CALL("sticky", mkdirat(d, "s", 01777));
    NEED(fstatat(d, "s", &status, 0));
    observe_hex("mode", status.st_mode);
    CALL("current", mkdirat(AT_FDCWD, "here", 0700));
    CALL("there", access("here", X_OK));
}

CASE(unlinkat_relative)
{
    int d = directory("d");
    put_file("d/f", "");
    NEED(mkdirat(d, "e", 0755));
    CALL("file", unlinkat(d, "f", 0));
    CALL("directory", unlinkat(d, "e", AT_REMOVEDIR));
    CALL("missing", unlinkat(d, "f", 0));
    CALL("missing_directory", unlinkat(d, "e", AT_REMOVEDIR));
    CALL("dot", unlinkat(d, ".", AT_REMOVEDIR));
}

CASE(unlinkat_not_empty)
{
    int d = directory("d");
    NEED(mkdirat(d, "e", 0755));
    put_file("d/e/f", "");
    CALL("full", unlinkat(d, "e", AT_REMOVEDIR));
    CALL("up", unlinkat(d, "e/..", AT_REMOVEDIR));
    CALL("bad", RAW(SYS_unlinkat, d, BAD_POINTER, 0));
}

CASE(newfstatat_follows)
{
    struct stat status;
    int d = directory("d");
    put_file("d/f", "12");
    NEED(symlinkat("f", d, "l"));
    NEED(symlinkat("none", d, "dangling"));
    CALL("through", RAW(SYS_newfstatat, d, "l", &status, 0));
    observe_number("size", status.st_size);
    CALL("dangling", RAW(SYS_newfstatat, d, "dangling", &status, 0));
    CALL("dangling_itself", RAW(SYS_newfstatat, d, "dangling", &status, AT_SYMLINK_NOFOLLOW));
    CALL("no_automount", RAW(SYS_newfstatat, d, "f", &status, 0x800));
}

CASE(newfstatat_bad_pointers)
{
    struct stat status;
    CALL("path", RAW(SYS_newfstatat, AT_FDCWD, BAD_POINTER, &status, 0));
    CALL("buffer", RAW(SYS_newfstatat, AT_FDCWD, ".", BAD_POINTER, 0));
    CALL("empty_null_buffer", RAW(SYS_newfstatat, 0, "", 0, AT_EMPTY_PATH));
}

CASE(renameat_errors)
{
    int d = directory("d");
    put_file("d/f", "");
    NEED(mkdirat(d, "e", 0755));
    CALL("onto_directory", renameat(d, "f", d, "e"));
    CALL("below_itself", renameat(d, "e", d, "e/x"));
    CALL("closed_target", renameat(d, "f", 999, "x"));
    CALL("empty", renameat(d, "f", d, ""));
}

CASE(renameat_up_and_down)
{
    int d = directory("d");
    put_file("d/f", "f");
    CALL("up", renameat(d, "f", d, "../up"));
    observe_file("up", "up");
    CALL("down", renameat(AT_FDCWD, "up", d, "down"));
    observe_file("down", "d/down");
}

CASE(renameat2_link_and_whiteout)
{
    enum { NOREPLACE = 1 };
    NEED(symlink("none", "l"));
    put_file("f", "f");
    CALL("onto_dangling_link", RAW(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "l", NOREPLACE));
    CALL("link", RAW(SYS_renameat2, AT_FDCWD, "l", AT_FDCWD, "m", NOREPLACE));
    CALL("closed", RAW(SYS_renameat2, 999, "l", AT_FDCWD, "m", NOREPLACE));
}

CASE(symlinkat_errors)
{
    int d = directory("d"), file;
    put_file("f", "");
    file = (int)NEED(open("f", O_RDONLY));
    CALL("not_a_directory", symlinkat("x", file, "l"));
    CALL("missing_parent", symlinkat("x", d, "a/l"));
    CALL("empty_target", symlinkat("", d, "l"));
    CALL("bad", RAW(SYS_symlinkat, BAD_POINTER, d, "l"));
}

CASE(readlinkat_relative)
{
    char target[16] = "";
    int d = directory("d");
    NEED(symlinkat("target", d, "l"));
    CALL("read", readlinkat(d, "l", target, sizeof target));
    observe_text("target", target);
    CALL("truncated", readlinkat(d, "l", target, 3));
    CALL("missing", readlinkat(d, "none", target, 3));
    CALL("directory", readlinkat(d, ".", target, 3));
}

CASE(fchmodat_errors)
{
    int d = directory("d");
    put_file("d/f", "");
    CALL("missing", RAW(SYS_fchmodat, d, "none", 0600));
    CALL("empty", RAW(SYS_fchmodat, d, "", 0600));
    CALL("bad", RAW(SYS_fchmodat, d, BAD_POINTER, 0600));
    CALL("through_file", RAW(SYS_fchmodat, d, "f/x", 0600));
}

CASE(fchmodat_directory_and_link)
{
    struct stat status;
    int d = directory("d");
    put_file("d/f", "");
    NEED(symlinkat("f", d, "l"));
    CALL("link", RAW(SYS_fchmodat, d, "l", 0622));
    NEED(fstatat(d, "f", &status, 0));
    observe_hex("mode", status.st_mode);
    CALL("itself", RAW(SYS_fchmodat, d, ".", 0711));
    NEED(fstat(d, &status));
    observe_hex("mode", status.st_mode);
}

CASE(fchmod_special_bits)
{
    struct stat status;
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDWR));
    CALL("bits", fchmod(fd, 01644));
    NEED(fstat(fd, &status));
    observe_hex("mode", status.st_mode);
    CALL("none", fchmod(fd, 0));
    CALL("still_writable", write(fd, "x", 1));
    int ends[2];
    NEED(pipe(ends));
    CALL("pipe", fchmod(ends[0], 0600));
    NEED(fstat(ends[0], &status));
    observe_hex("mode", status.st_mode);
}

CASE(fchmod_unlinked)
{
    struct stat status;
    int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0600));
    NEED(unlink("f"));
    CALL("fchmod", fchmod(fd, 0444));
    NEED(fstat(fd, &status));
    observe_hex("mode", status.st_mode);
}

CASE(fchown_same_owner)
{
    int ends[2];
    put_file("f", "");
    NEED(pipe(ends));
    CALL("file", fchown((int)NEED(open("f", O_RDONLY)), geteuid(), getegid()));
    CALL("nothing", fchown((int)NEED(open("f", O_RDONLY)), -1, -1));
    CALL("directory", fchown((int)NEED(open(".", O_RDONLY)), -1, -1));
    CALL("path_only", RAW(SYS_fchown, (int)NEED(open("f", 010000000)), -1, -1));
}

CASE(fchownat_relative)
{
    int d = directory("d");
    put_file("d/f", "");
    NEED(symlinkat("none", d, "l"));
    CALL("file", RAW(SYS_fchownat, d, "f", -1, -1, 0));
    CALL("dangling", RAW(SYS_fchownat, d, "l", -1, -1, 0));
    CALL("itself", RAW(SYS_fchownat, d, "l", -1, -1, AT_SYMLINK_NOFOLLOW));
    CALL("closed", RAW(SYS_fchownat, 999, "f", -1, -1, 0));
}

CASE(fchownat_by_root, NEEDS_ROOT)
{
    struct stat status;
    int d = directory("d");
    put_file("d/f", "");
    NEED(symlinkat("f", d, "l"));
    CALL("link", RAW(SYS_fchownat, d, "l", 5, 6, AT_SYMLINK_NOFOLLOW));
    NEED(fstatat(d, "l", &status, AT_SYMLINK_NOFOLLOW));
    observe_number("link_owner", status.st_uid * 10 + status.st_gid);
    NEED(fstatat(d, "f", &status, 0));
    observe_number("file_owner", status.st_uid * 10 + status.st_gid);
    CALL("lchown", RAW(SYS_lchown, "d/l", 7, 8));
    NEED(fstatat(d, "l", &status, AT_SYMLINK_NOFOLLOW));
    observe_number("link_owner", status.st_uid * 10 + status.st_gid);
}
ALSO(fchownat_by_root, "lchown");

CASE(faccessat_modes)
{
    int d = directory("d");
    put_file("d/f", "");
    NEED(fchmodat(d, "f", 0755, 0));
    CALL("all", RAW(SYS_faccessat, d, "f", R_OK | W_OK | X_OK));
    CALL("unknown", RAW(SYS_faccessat, d, "f", 64));
    CALL("empty", RAW(SYS_faccessat, d, "", F_OK));
    CALL("bad", RAW(SYS_faccessat, d, BAD_POINTER, F_OK));
}

CASE(faccessat_below_file)
{
    int d = directory("d");
    put_file("d/f", "");
    CALL("below", RAW(SYS_faccessat, d, "f/x", F_OK));
    CALL("absolute", RAW(SYS_faccessat, 999, "/", F_OK));
    CALL("two", RAW(439, d, "f", F_OK, 0));
    CALL("two_closed", RAW(439, 999, "f", F_OK, 0));
}
ALSO(faccessat_below_file, "faccessat2");

CASE(faccessat2_real_and_effective)
{
    put_file("f", "");
    CALL("effective", RAW(439, AT_FDCWD, "f", R_OK, AT_EACCESS));
    CALL("missing", RAW(439, AT_FDCWD, "none", F_OK, AT_EACCESS));
    CALL("bad", RAW(439, AT_FDCWD, BAD_POINTER, F_OK, 0));
}

CASE(mknodat_below)
{
    int d = directory("d");
    CALL("fifo", RAW(SYS_mknodat, d, "p", S_IFIFO | 0600, 0));
    CALL("again", RAW(SYS_mknodat, d, "p", S_IFIFO | 0600, 0));
    CALL("missing_parent", RAW(SYS_mknodat, d, "a/p", S_IFIFO | 0600, 0));
    CALL("empty", RAW(SYS_mknodat, d, "", S_IFIFO | 0600, 0));
}

CASE(creat_flags)
{
    int fd = (int)NEED(RAW(SYS_creat, "f", 0640));
    observe_hex("getfl", (unsigned long)fcntl(fd, F_GETFL));
    struct stat status;
    NEED(fstat(fd, &status));
    observe_hex("mode", status.st_mode);
    CALL("write", write(fd, "x", 1));
}

CASE(creat_errors)
{
    put_file("f", "");
    CALL("empty", RAW(SYS_creat, "", 0600));
    CALL("below_file", RAW(SYS_creat, "f/x", 0600));
    CALL("slash", RAW(SYS_creat, "new/", 0600));
    CALL("bad", RAW(SYS_creat, BAD_POINTER, 0600));
}

CASE(fchdir_relative_opens)
{
    int d = directory("d");
    put_file("d/f", "inside");
    CALL("fchdir", fchdir(d));
    observe_file("f", "f");
    CALL("up", chdir(".."));
    CALL("closed", fchdir(-1));
}

CASE(getcwd_removed)
{
    char path[64];
    directory("d");
    NEED(chdir("d"));
    NEED(rmdir("../d"));
    CALL("removed", RAW(SYS_getcwd, path, sizeof path));
    CALL("relative", access(".", F_OK));
    CALL("parent", access("..", F_OK));
    CALL("new", creat("f", 0600));
}

CASE(lstat_errors)
{
    struct stat status;
    put_file("f", "");
    CALL("below_file", RAW(SYS_lstat, "f/x", &status));
    CALL("empty", RAW(SYS_lstat, "", &status));
    CALL("bad_path", RAW(SYS_lstat, BAD_POINTER, &status));
    CALL("bad_buffer", RAW(SYS_lstat, "f", BAD_POINTER));
}

CASE(lstat_kinds)
{
    struct stat status;
    directory("d");
    NEED(mkfifo("p", 0600));
    CALL("directory", RAW(SYS_lstat, "d", &status));
    observe_hex("kind", status.st_mode & S_IFMT);
    CALL("fifo", RAW(SYS_lstat, "p", &status));
    observe_hex("kind", status.st_mode & S_IFMT);
    CALL("device", RAW(SYS_lstat, "/dev/null", &status));
    observe_hex("kind", status.st_mode & S_IFMT);
}

CASE(fstat_follows_changes)
{
    struct stat status;
    int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0600));
    NEED(write(fd, "abc", 3));
    NEED(RAW(SYS_fstat, fd, &status));
    observe_number("size", status.st_size);
    NEED(link("f", "g"));
    NEED(RAW(SYS_fstat, fd, &status));
    observe_number("links", (long)status.st_nlink);
    NEED(unlink("f"));
    NEED(unlink("g"));
    NEED(RAW(SYS_fstat, fd, &status));
    observe_number("links", (long)status.st_nlink);
}

CASE(fsync_after_write)
{
    int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0600));
    NEED(write(fd, "abc", 3));
    CALL("fsync", RAW(SYS_fsync, fd));
    NEED(write(fd, "def", 3));
    CALL("fdatasync", RAW(SYS_fdatasync, fd));
    observe_file("f", "f");
}
ALSO(fsync_after_write, "fdatasync");

CASE(fsync_errors)
{
    CALL("closed", RAW(SYS_fsync, 999));
    CALL("data_closed", RAW(SYS_fdatasync, 999));
    CALL("path_only", RAW(SYS_fsync, (int)NEED(open(".", 010000000))));
    CALL("null", RAW(SYS_fsync, (int)NEED(open("/dev/null", O_RDWR))));
}
ALSO(fsync_errors, "fdatasync");

CASE(getdents_small_buffers)
{
    char buffer[64], name[16];
    unsigned count = 0;
    long length;
    int d = directory("d");
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "d/%d", i);
        put_file(name, "");
    }
    while ((length = RAW(SYS_getdents, d, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < length; count++) {
            unsigned short size;
            memcpy(&size, buffer + at + 16, 2);
            at += size;
        }
    CALL("end", length);
    observe_number("count", count);
}

CASE(getdents_errors)
{
    char buffer[64];
    put_file("f", "");
    CALL("file", RAW(SYS_getdents, (int)NEED(open("f", O_RDONLY)), buffer, 64));
    CALL("bad", RAW(SYS_getdents, (int)NEED(open(".", O_RDONLY)), BAD_POINTER, 64));
    CALL("path_only", RAW(SYS_getdents, (int)NEED(open(".", 010000000)), buffer, 64));
}

CASE(utime_errors)
{
    struct utimbuf times = {1, 1};
    put_file("f", "");
    CALL("bad", RAW(SYS_utime, "f", BAD_POINTER));
    CALL("bad_path", RAW(SYS_utime, BAD_POINTER, &times));
    CALL("below_file", RAW(SYS_utime, "f/x", &times));
}

CASE(utime_negative)
{
    struct utimbuf times = {-100, 0x7fffffffL};
    struct stat status;
    put_file("f", "");
    CALL("utime", RAW(SYS_utime, "f", &times));
    NEED(stat("f", &status));
    observe_number("accessed", status.st_atim.tv_sec);
    observe_number("modified", status.st_mtim.tv_sec);
}

CASE(utimes_errors)
{
    struct timeval bad[2] = {{0, -1}, {0, 0}};
    put_file("f", "");
    CALL("negative", RAW(SYS_utimes, "f", bad));
    CALL("bad", RAW(SYS_utimes, "f", BAD_POINTER));
    CALL("missing", RAW(SYS_utimes, "none", 0));
    CALL("now", RAW(SYS_utimes, "f", 0));
    CALL("at_invalid", RAW(SYS_futimesat, AT_FDCWD, "f", bad));
}
ALSO(utimes_errors, "futimesat");

CASE(utimes_through_link)
{
    struct timeval times[2] = {{11, 0}, {22, 0}};
    struct stat status;
    int d = directory("d");
    put_file("d/f", "");
    NEED(symlinkat("f", d, "l"));
    CALL("utimes", RAW(SYS_utimes, "d/l", times));
    NEED(stat("d/f", &status));
    observe_number("target", status.st_mtim.tv_sec);
    times[1].tv_sec = 33;
    CALL("relative", RAW(SYS_futimesat, d, "f", times));
    NEED(stat("d/f", &status));
    observe_number("target", status.st_mtim.tv_sec);
}
ALSO(utimes_through_link, "futimesat");

CASE(statfs_same_everywhere)
{
    struct statfs a, b;
    directory("d");
    NEED(statfs(".", &a));
    NEED(statfs("d", &b));
    IS("type", a.f_type == b.f_type);
    IS("size", a.f_blocks == b.f_blocks && a.f_bsize == b.f_bsize);
    int d = (int)NEED(open("d", O_RDONLY));
    NEED(fstatfs(d, &b));
    IS("descriptor", a.f_type == b.f_type);
    CALL("path_only", fstatfs((int)NEED(open("d", 010000000)), &b));
}
ALSO(statfs_same_everywhere, "fstatfs");

CASE(fstatfs_errors)
{
    CALL("closed", RAW(SYS_fstatfs, 999, 0));
    CALL("bad", RAW(SYS_fstatfs, (int)NEED(open(".", O_RDONLY)), BAD_POINTER));
}

CASE(readahead_past_end)
{
    put_file("f", "x");
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("past_end", RAW(SYS_readahead, fd, 1 << 20, 4096));
    CALL("zero", RAW(SYS_readahead, fd, 0, 0));
    CALL("directory", RAW(SYS_readahead, (int)NEED(open(".", O_RDONLY)), 0, 10));
}

CASE(fadvise64_effects)
{
    char byte = 0;
    put_file("f", "x");
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("dontneed", RAW(SYS_fadvise64, fd, 0, 4096, 4));
    CALL("read", pread(fd, &byte, 1, 0));
    observe_number("byte", byte);
    CALL("beyond", RAW(SYS_fadvise64, fd, 1 << 20, 10, 3));
    CALL("negative", RAW(SYS_fadvise64, fd, 0, 10, -1));
}
