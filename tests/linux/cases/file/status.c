/* stat and its relatives, access, permissions, owners, times. */
#include "suite.h"

#include <stdio.h>

#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <utime.h>

static void observe_mode(const char *key, const char *path)
{
    struct stat status;
    NEED(lstat(path, &status));
    observe_hex(key, status.st_mode);
}

CASE(stat_regular_file)
{
    struct stat status;
    put_file("f", "12345");
    memset(&status, 0xff, sizeof status);
    CALL("stat", RAW(SYS_stat, "f", &status));
    observe_hex("mode", status.st_mode);
    observe_number("links", (long)status.st_nlink);
    observe_number("size", status.st_size);
    IS("owner", status.st_uid == geteuid() && status.st_gid == getegid());
    IS("inode", status.st_ino != 0);
    IS("block_size", status.st_blksize >= 512);
    IS("blocks", status.st_blocks >= 0 && status.st_blocks < 100);
    IS("times", status.st_mtim.tv_sec > 1577836800 && status.st_mtim.tv_nsec < 1000000000);
}

CASE(stat_errors)
{
    struct stat status;
    put_file("f", "");
    CALL("missing", RAW(SYS_stat, "none", &status));
    CALL("empty", RAW(SYS_stat, "", &status));
    CALL("below_file", RAW(SYS_stat, "f/x", &status));
    CALL("slash_file", RAW(SYS_stat, "f/", &status));
    CALL("bad_path", RAW(SYS_stat, BAD_POINTER, &status));
    CALL("bad_buffer", RAW(SYS_stat, "f", BAD_POINTER));
}

CASE(stat_directory_links)
{
    struct stat status;
    NEED(mkdir("d", 0750));
    NEED(stat("d", &status));
    observe_hex("mode", status.st_mode);
    observe_number("links", (long)status.st_nlink);
    NEED(mkdir("d/a", 0755));
    NEED(mkdir("d/b", 0755));
    put_file("d/f", "");
    NEED(stat("d", &status));
    observe_number("links", (long)status.st_nlink);
    NEED(rmdir("d/a"));
    NEED(stat("d", &status));
    observe_number("links", (long)status.st_nlink);
}

CASE(stat_devices)
{
    struct stat status;
    CALL("null", stat("/dev/null", &status));
    IS("character", S_ISCHR(status.st_mode));
    observe_number("major", (long)major(status.st_rdev));
    observe_number("minor", (long)minor(status.st_rdev));
    NEED(stat("/dev/zero", &status));
    observe_number("zero", (long)minor(status.st_rdev));
    NEED(stat("/dev/urandom", &status));
    observe_number("urandom", (long)minor(status.st_rdev));
}

CASE(lstat_link)
{
    struct stat status;
    NEED(symlink("somewhere", "l"));
    CALL("lstat", RAW(SYS_lstat, "l", &status));
    observe_hex("mode", status.st_mode);
    observe_number("size", status.st_size);
    CALL("stat", RAW(SYS_stat, "l", &status));
    NEED(mkdir("d", 0755));
    NEED(symlink("d", "dl"));
    CALL("slash", RAW(SYS_lstat, "dl/", &status));
    IS("followed", S_ISDIR(status.st_mode));
    CALL("missing", RAW(SYS_lstat, "none", &status));
}

CASE(fstat_kinds)
{
    struct stat status;
    int ends[2];
    NEED(pipe(ends));
    CALL("pipe", RAW(SYS_fstat, ends[0], &status));
    observe_hex("mode", status.st_mode);
    observe_number("links", (long)status.st_nlink);
    CALL("directory", RAW(SYS_fstat, (int)NEED(open(".", O_RDONLY)), &status));
    IS("directory", S_ISDIR(status.st_mode));
    CALL("closed", RAW(SYS_fstat, 999, &status));
    CALL("bad", RAW(SYS_fstat, ends[0], BAD_POINTER));
}

CASE(fstat_agrees_with_stat)
{
    struct stat a, b;
    put_file("f", "x");
    int fd = (int)NEED(open("f", O_RDONLY));
    NEED(stat("f", &a));
    NEED(fstat(fd, &b));
    IS("same", a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size);
    put_file("g", "x");
    NEED(stat("g", &b));
    IS("others_differ", a.st_ino != b.st_ino && a.st_dev == b.st_dev);
    NEED(rename("f", "h"));
    NEED(stat("h", &b));
    IS("kept_by_rename", a.st_ino == b.st_ino);
}
ALSO(fstat_agrees_with_stat, "stat");

CASE(newfstatat_flags)
{
    struct stat status;
    put_file("f", "123");
    NEED(symlink("f", "l"));
    int fd = (int)NEED(open("f", O_RDONLY)), directory = (int)NEED(open(".", O_RDONLY));
    CALL("follow", RAW(SYS_newfstatat, directory, "l", &status, 0));
    observe_number("size", status.st_size);
    CALL("nofollow", RAW(SYS_newfstatat, directory, "l", &status, AT_SYMLINK_NOFOLLOW));
    observe_number("size", status.st_size);
    CALL("empty_path", RAW(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH));
    observe_number("size", status.st_size);
    CALL("empty_without_flag", RAW(SYS_newfstatat, fd, "", &status, 0));
    CALL("empty_here", RAW(SYS_newfstatat, AT_FDCWD, "", &status, AT_EMPTY_PATH));
    IS("directory", S_ISDIR(status.st_mode));
    CALL("unknown_flag", RAW(SYS_newfstatat, fd, "", &status, 0x40000));
    CALL("not_a_directory", RAW(SYS_newfstatat, fd, "f", &status, 0));
    CALL("closed", RAW(SYS_newfstatat, 999, "f", &status, 0));
    CALL("closed_absolute", RAW(SYS_newfstatat, 999, "/", &status, 0));
}

/* struct statx of statx(2), as far as it is observed */
struct extended {
    uint32_t mask, block_size;
    uint64_t attributes;
    uint32_t links, uid, gid;
    uint16_t mode, spare;
    uint64_t inode, size, blocks, attributes_mask;
    struct {
        int64_t seconds;
        uint32_t nanoseconds;
        int32_t reserved;
    } accessed, born, changed, modified;
    uint32_t device_major, device_minor, on_major, on_minor;
    uint64_t rest[14];
};

CASE(statx_basic)
{
    struct extended status;
    struct stat plain;
    put_file("f", "12345");
    memset(&status, 0xff, sizeof status);
    CALL("statx", RAW(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, &status));
    observe_hex("basic_mask", status.mask & 0x7ff);
    observe_hex("mode", status.mode);
    observe_number("links", status.links);
    observe_number("size", (long)status.size);
    NEED(stat("f", &plain));
    IS("inode", plain.st_ino == status.inode);
    IS("device", plain.st_dev == makedev(status.on_major, status.on_minor));
    IS("modified", plain.st_mtim.tv_sec == status.modified.seconds &&
                       plain.st_mtim.tv_nsec == status.modified.nanoseconds);
    observe_number("reserved", status.modified.reserved);
}

CASE(statx_errors)
{
    struct extended status;
    put_file("f", "");
    CALL("missing", RAW(SYS_statx, AT_FDCWD, "none", 0, 0x7ff, &status));
    CALL("reserved_mask", RAW(SYS_statx, AT_FDCWD, "f", 0, 0x80000000, &status));
    CALL("both_sync", RAW(SYS_statx, AT_FDCWD, "f", 0x6000, 0x7ff, &status));
    CALL("unknown_flag", RAW(SYS_statx, AT_FDCWD, "f", 0x40000, 0x7ff, &status));
    CALL("bad", RAW(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, BAD_POINTER));
    CALL("empty", RAW(SYS_statx, AT_FDCWD, "", 0, 0x7ff, &status));
}

CASE(statx_empty_path_and_links)
{
    struct extended status;
    put_file("f", "12345");
    NEED(symlink("f", "l"));
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("descriptor", RAW(SYS_statx, fd, "", AT_EMPTY_PATH, 0x200, &status));
    observe_number("size", (long)status.size);
    CALL("nofollow", RAW(SYS_statx, AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, 0x7ff, &status));
    observe_hex("mode", status.mode);
    CALL("device", RAW(SYS_statx, AT_FDCWD, "/dev/null", 0, 0x7ff, &status));
    observe_number("major", status.device_major);
    observe_number("minor", status.device_minor);
}

CASE(access_existing)
{
    put_file("f", "");
    NEED(mkdir("d", 0755));
    CALL("exists", RAW(SYS_access, "f", F_OK));
    CALL("read_write", RAW(SYS_access, "f", R_OK | W_OK));
    CALL("execute_plain_file", RAW(SYS_access, "f", X_OK));
    CALL("execute_directory", RAW(SYS_access, "d", X_OK));
    NEED(chmod("f", 0755));
    CALL("execute", RAW(SYS_access, "f", X_OK));
}

CASE(access_errors)
{
    put_file("f", "");
    NEED(symlink("none", "l"));
    CALL("missing", RAW(SYS_access, "none", F_OK));
    CALL("dangling", RAW(SYS_access, "l", F_OK));
    CALL("unknown_mode", RAW(SYS_access, "f", 8));
    CALL("below_file", RAW(SYS_access, "f/x", F_OK));
    CALL("bad", RAW(SYS_access, BAD_POINTER, F_OK));
}

/* access asks for the real user, AT_EACCESS for the effective one. */
CASE(access_real_user, NEEDS_ROOT | NEEDS_FORK)
{
    put_file("secret", "");
    NEED(chmod("secret", 0600));
    CHILD(child)
    {
        NEED(setresuid(65534, 0, 0));
        CALL("real", RAW(SYS_access, "secret", R_OK));
        CALL("effective", RAW(439, AT_FDCWD, "secret", R_OK, AT_EACCESS));
        OK("open", open("secret", O_RDONLY));
    }
    observe_status("child", await(child));
}

CASE(faccessat_descriptors)
{
    put_file("f", "");
    int directory = (int)NEED(open(".", O_RDONLY)), file = (int)NEED(open("f", O_RDONLY));
    CALL("relative", RAW(SYS_faccessat, directory, "f", R_OK));
    CALL("not_a_directory", RAW(SYS_faccessat, file, "f", R_OK));
    CALL("closed", RAW(SYS_faccessat, 999, "f", R_OK));
    CALL("missing", RAW(SYS_faccessat, directory, "g", F_OK));
}

CASE(faccessat2_flags)
{
    put_file("f", "");
    NEED(symlink("none", "l"));
    int file = (int)NEED(open("f", O_RDONLY));
    CALL("nofollow", RAW(439, AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
    CALL("empty_path", RAW(439, file, "", R_OK, AT_EMPTY_PATH));
    CALL("unknown_flag", RAW(439, AT_FDCWD, "f", F_OK, 0x40000));
    CALL("unknown_mode", RAW(439, AT_FDCWD, "f", 16, 0));
}

CASE(chmod_bits)
{
    put_file("f", "");
    CALL("chmod", RAW(SYS_chmod, "f", 0640));
    observe_mode("mode", "f");
    CALL("special", RAW(SYS_chmod, "f", 01755));
    observe_mode("mode", "f");
    CALL("extra_bits_ignored", RAW(SYS_chmod, "f", 0170644));
    observe_mode("mode", "f");
    CALL("missing", RAW(SYS_chmod, "none", 0644));
}

CASE(chmod_link_changes_target)
{
    put_file("f", "");
    NEED(symlink("f", "l"));
    CALL("chmod", RAW(SYS_chmod, "l", 0600));
    observe_mode("target", "f");
    observe_mode("link", "l");
    CALL("bad", RAW(SYS_chmod, BAD_POINTER, 0600));
}

CASE(chmod_changes_time)
{
    struct stat before, after;
    put_file("f", "");
    NEED(stat("f", &before));
    sleep_ms(20);
    NEED(chmod("f", 0600));
    NEED(stat("f", &after));
    IS("changed", after.st_ctim.tv_sec > before.st_ctim.tv_sec ||
                      after.st_ctim.tv_nsec > before.st_ctim.tv_nsec);
    IS("modified", after.st_mtim.tv_nsec != before.st_mtim.tv_nsec);
}

CASE(fchmod_descriptor)
{
    put_file("f", "");
    CALL("fchmod", fchmod((int)NEED(open("f", O_RDONLY)), 0604));
    observe_mode("mode", "f");
    CALL("closed", fchmod(999, 0600));
    CALL("directory", fchmod((int)NEED(open(".", O_RDONLY)), 0755));
}

CASE(fchmodat_relative)
{
    put_file("f", "");
    int directory = (int)NEED(open(".", O_RDONLY));
    CALL("chmod", RAW(SYS_fchmodat, directory, "f", 0611));
    observe_mode("mode", "f");
    CALL("closed", RAW(SYS_fchmodat, 999, "f", 0600));
    CALL("missing", RAW(SYS_fchmodat, directory, "g", 0600));
}

CASE(chown_same_owner)
{
    put_file("f", "");
    CALL("unchanged", RAW(SYS_chown, "f", -1, -1));
    CALL("own", RAW(SYS_chown, "f", geteuid(), getegid()));
    CALL("missing", RAW(SYS_chown, "none", -1, -1));
    CALL("bad", RAW(SYS_chown, BAD_POINTER, -1, -1));
}

CASE(chown_by_root, NEEDS_ROOT)
{
    struct stat status;
    put_file("f", "");
    NEED(symlink("f", "l"));
    CALL("chown", RAW(SYS_chown, "l", 1001, 1002));
    NEED(stat("f", &status));
    observe_number("uid", status.st_uid);
    observe_number("gid", status.st_gid);
    CALL("lchown", RAW(SYS_lchown, "l", 2001, -1));
    NEED(lstat("l", &status));
    observe_number("link_uid", status.st_uid);
    NEED(stat("f", &status));
    observe_number("uid", status.st_uid);
    CALL("fchown", fchown((int)NEED(open("f", O_RDONLY)), -1, 77));
    NEED(stat("f", &status));
    observe_number("uid", status.st_uid);
    observe_number("gid", status.st_gid);
}
ALSO(chown_by_root, "lchown fchown");

/* Giving a file away takes its set-user-id bit. */
CASE(chown_clears_set_user_id, NEEDS_ROOT)
{
    put_file("f", "");
    NEED(chmod("f", 06755));
    CALL("chown", chown("f", 1001, 1001));
    observe_mode("mode", "f");
    NEED(chmod("f", 06745));
    CALL("chown", chown("f", -1, 1002));
    observe_mode("mode", "f");
    NEED(mkdir("d", 0755));
    NEED(chmod("d", 02755));
    CALL("directory", chown("d", 1001, 1001));
    observe_mode("mode", "d");
}

CASE(chown_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    put_file("f", "");
    NEED(mkdir("d", 0777));
    NEED(chmod("d", 0777));
    CHILD(child)
    {
        NEED(setresgid(65534, 65534, 65534));
        NEED(setresuid(65534, 65534, 65534));
        CALL("others_file", RAW(SYS_chown, "f", 65534, -1));
        CALL("others_mode", RAW(SYS_chmod, "f", 0777));
        put_file("d/own", "");
        CALL("give_away", RAW(SYS_chown, "d/own", 0, -1));
        CALL("own_group", RAW(SYS_chown, "d/own", -1, 65534));
        CALL("other_group", RAW(SYS_chown, "d/own", -1, 0));
    }
    observe_status("child", await(child));
}

CASE(fchownat_flags)
{
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("empty_path", RAW(SYS_fchownat, fd, "", -1, -1, AT_EMPTY_PATH));
    CALL("unknown_flag", RAW(SYS_fchownat, fd, "", -1, -1, 0x40000));
    CALL("empty", RAW(SYS_fchownat, fd, "", -1, -1, 0));
    CALL("fchown_closed", fchown(999, -1, -1));
    CALL("lchown_missing", RAW(SYS_lchown, "none", -1, -1));
}
ALSO(fchownat_flags, "fchown lchown");

/* A directory with the set-group-id bit hands its group down. */
CASE(mkdir_set_group_id_inherited, NEEDS_ROOT)
{
    struct stat status;
    NEED(mkdir("d", 0755));
    NEED(chown("d", -1, 4242));
    NEED(chmod("d", 02755));
    put_file("d/f", "");
    NEED(stat("d/f", &status));
    observe_number("file_group", status.st_gid);
    NEED(mkdir("d/e", 0755));
    NEED(stat("d/e", &status));
    observe_number("directory_group", status.st_gid);
    observe_hex("directory_mode", status.st_mode);
}

CASE(umask_returns_old)
{
    CALL("first", umask(0027));
    CALL("second", umask(07777));
    CALL("only_permission_bits", umask(022));
}

CASE(umask_directories, NEEDS_FORK)
{
    umask(027);
    NEED(mkdir("d", 0777));
    observe_mode("mode", "d");
    CHILD(child)
    {
        CALL("inherited", umask(077));
        NEED(mkdir("e", 0777));
    }
    await(child);
    observe_mode("mode", "e");
    CALL("own_kept", umask(022));
}
ALSO(umask_directories, "mkdir");

CASE(utimensat_sets)
{
    struct timespec times[2] = {{1000, 111}, {2000, 222}};
    struct stat status;
    put_file("f", "");
    CALL("set", utimensat(AT_FDCWD, "f", times, 0));
    NEED(stat("f", &status));
    observe_number("accessed", status.st_atim.tv_sec);
    observe_number("nanoseconds", status.st_atim.tv_nsec);
    observe_number("modified", status.st_mtim.tv_sec);
    observe_number("nanoseconds", status.st_mtim.tv_nsec);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    CALL("omit_and_now", utimensat(AT_FDCWD, "f", times, 0));
    NEED(stat("f", &status));
    observe_number("accessed", status.st_atim.tv_sec);
    IS("now", status.st_mtim.tv_sec > 1577836800);
    CALL("null_is_now", utimensat(AT_FDCWD, "f", NULL, 0));
    NEED(stat("f", &status));
    IS("now", status.st_atim.tv_sec > 1577836800);
}

CASE(utimensat_link_and_descriptor)
{
    struct timespec times[2] = {{1000, 0}, {2000, 0}};
    struct stat status;
    put_file("f", "");
    NEED(symlink("f", "l"));
    CALL("nofollow", utimensat(AT_FDCWD, "l", times, AT_SYMLINK_NOFOLLOW));
    NEED(lstat("l", &status));
    observe_number("link", status.st_mtim.tv_sec);
    NEED(stat("f", &status));
    IS("target_kept", status.st_mtim.tv_sec > 1577836800);
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("descriptor", RAW(SYS_utimensat, fd, 0, times, 0));
    NEED(stat("f", &status));
    observe_number("target", status.st_mtim.tv_sec);
}

CASE(utimensat_errors)
{
    struct timespec invalid[2] = {{0, 1000000000}, {0, 0}}, good[2] = {{1, 1}, {1, 1}};
    struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    put_file("f", "");
    CALL("invalid", utimensat(AT_FDCWD, "f", invalid, 0));
    CALL("missing", utimensat(AT_FDCWD, "none", good, 0));
    CALL("flags", RAW(SYS_utimensat, AT_FDCWD, "f", good, 0x40000));
    CALL("closed", utimensat(999, "f", good, 0));
    CALL("bad", RAW(SYS_utimensat, AT_FDCWD, "f", BAD_POINTER, 0));
    CALL("both_omitted", utimensat(AT_FDCWD, "f", omit, 0));
    CALL("both_omitted_missing", utimensat(AT_FDCWD, "none", omit, 0));
}

CASE(utime_seconds)
{
    struct utimbuf times = {1234, 5678};
    struct stat status;
    put_file("f", "");
    CALL("utime", RAW(SYS_utime, "f", &times));
    NEED(stat("f", &status));
    observe_number("accessed", status.st_atim.tv_sec);
    observe_number("modified", status.st_mtim.tv_sec);
    CALL("missing", RAW(SYS_utime, "none", &times));
    CALL("now", RAW(SYS_utime, "f", 0));
}

CASE(utimes_microseconds)
{
    struct timeval times[2] = {{12, 345678}, {90, 123456}}, wrong[2] = {{0, 1000000}, {0, 0}};
    struct stat status;
    put_file("f", "");
    CALL("utimes", RAW(SYS_utimes, "f", times));
    NEED(stat("f", &status));
    observe_number("accessed", status.st_atim.tv_nsec);
    observe_number("modified", status.st_mtim.tv_nsec);
    CALL("invalid", RAW(SYS_utimes, "f", wrong));
    CALL("futimesat", RAW(SYS_futimesat, AT_FDCWD, "f", times));
    CALL("futimesat_missing", RAW(SYS_futimesat, AT_FDCWD, "none", times));
}
ALSO(utimes_microseconds, "futimesat");

CASE(write_updates_modification_time)
{
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    struct stat status;
    char byte;
    put_file("f", "x");
    int fd = (int)NEED(open("f", O_RDWR));
    NEED(futimens(fd, old));
    NEED(pread(fd, &byte, 0, 0));
    NEED(pwrite(fd, "", 0, 0));
    NEED(fstat(fd, &status));
    observe_number("empty_write", status.st_mtim.tv_sec);
    NEED(pwrite(fd, "y", 1, 0));
    NEED(fstat(fd, &status));
    IS("write", status.st_mtim.tv_sec > 1577836800);
    NEED(futimens(fd, old));
    NEED(ftruncate(fd, 5));
    NEED(fstat(fd, &status));
    IS("truncate", status.st_mtim.tv_sec > 1577836800);
}

CASE(mkdir_updates_parent_time)
{
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    struct stat status;
    NEED(mkdir("d", 0755));
    NEED(utimensat(AT_FDCWD, "d", old, 0));
    put_file("d/f", "");
    NEED(stat("d", &status));
    IS("create", status.st_mtim.tv_sec > 1000);
    NEED(utimensat(AT_FDCWD, "d", old, 0));
    put_file("d/f", "more");
    NEED(stat("d", &status));
    IS("write", status.st_mtim.tv_sec > 1000);
    NEED(unlink("d/f"));
    NEED(stat("d", &status));
    IS("unlink", status.st_mtim.tv_sec > 1000);
}

CASE(statfs_fields)
{
    struct statfs status;
    memset(&status, 0xff, sizeof status);
    CALL("statfs", statfs(".", &status));
    IS("block_size", status.f_bsize >= 512 && status.f_bsize <= 1 << 20);
    IS("free", status.f_bfree <= status.f_blocks && status.f_bavail <= status.f_bfree);
    observe_number("name_length", (long)status.f_namelen);
    CALL("proc", statfs("/proc", &status));
    observe_hex("type", (unsigned long)status.f_type);
}

CASE(statfs_errors)
{
    struct statfs status;
    CALL("missing", RAW(SYS_statfs, "none", &status));
    CALL("bad", RAW(SYS_statfs, ".", BAD_POINTER));
    CALL("bad_path", RAW(SYS_statfs, BAD_POINTER, &status));
}

CASE(fstatfs_kinds)
{
    struct statfs status;
    int ends[2];
    NEED(pipe(ends));
    CALL("pipe", fstatfs(ends[0], &status));
    observe_hex("type", (unsigned long)status.f_type);
    CALL("directory", fstatfs((int)NEED(open(".", O_RDONLY)), &status));
    CALL("closed", fstatfs(999, &status));
}
