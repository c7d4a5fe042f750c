/* Names: directories, links, renaming, listing, the working directory. */
#include "suite.h"

#include <stdio.h>

CASE(mkdir_errors)
{
    put_file("f", "");
    NEED(symlink("none", "l"));
    CALL("mkdir", RAW(SYS_mkdir, "d", 0755));
    CALL("again", RAW(SYS_mkdir, "d", 0755));
    CALL("file", RAW(SYS_mkdir, "f", 0755));
    CALL("missing_parent", RAW(SYS_mkdir, "a/b", 0755));
    CALL("below_file", RAW(SYS_mkdir, "f/x", 0755));
    CALL("dangling_link", RAW(SYS_mkdir, "l", 0755));
    CALL("empty", RAW(SYS_mkdir, "", 0755));
    CALL("dot", RAW(SYS_mkdir, ".", 0755));
    CALL("root", RAW(SYS_mkdir, "/", 0755));
    CALL("trailing_slash", RAW(SYS_mkdir, "e/", 0755));
}

CASE(mkdir_bad_pointer)
{
    CALL("low", RAW(SYS_mkdir, BAD_POINTER, 0755));
    CALL("kernel", RAW(SYS_mkdir, KERNEL_POINTER, 0755));
    char *page = page_before_hole();
    memset(page, 'x', PAGE);
    CALL("unterminated", RAW(SYS_mkdir, page + PAGE - 3, 0755));
    page[PAGE - 1] = '\0';
    CALL("terminated", RAW(SYS_mkdir, page + PAGE - 3, 0755));
    CALL("there", access("xx", F_OK));
}

CASE(mkdirat_relative)
{
    NEED(mkdir("d", 0755));
    int d = (int)NEED(open("d", O_RDONLY));
    CALL("mkdirat", mkdirat(d, "e", 0700));
    CALL("there", access("d/e", F_OK));
    CALL("again", mkdirat(d, "e", 0700));
    CALL("closed", mkdirat(999, "e", 0700));
    NEED(rmdir("d/e"));
    NEED(rmdir("d"));
    CALL("in_removed", mkdirat(d, "f", 0700));
}

CASE(rmdir_errors)
{
    put_file("f", "");
    NEED(mkdir("d", 0755));
    NEED(mkdir("d/e", 0755));
    NEED(symlink("d", "l"));
    CALL("not_empty", RAW(SYS_rmdir, "d"));
    CALL("file", RAW(SYS_rmdir, "f"));
    CALL("link", RAW(SYS_rmdir, "l"));
    CALL("missing", RAW(SYS_rmdir, "none"));
    CALL("dot", RAW(SYS_rmdir, "d/e/."));
    CALL("dot_dot", RAW(SYS_rmdir, "d/e/.."));
    CALL("root", RAW(SYS_rmdir, "/"));
    CALL("inner", RAW(SYS_rmdir, "d/e"));
    CALL("trailing_slash", RAW(SYS_rmdir, "d/"));
}

CASE(rmdir_working_directory)
{
    char path[16];
    NEED(mkdir("d", 0755));
    NEED(chdir("d"));
    CALL("rmdir", rmdir("../d"));
    CALL("getcwd", RAW(SYS_getcwd, path, sizeof path));
    CALL("create", open("f", O_RDWR | O_CREAT, 0600));
    CALL("mkdir", mkdir("e", 0755));
    CALL("dot", open(".", O_RDONLY));
    CALL("dot_dot", open("..", O_RDONLY));
    CALL("absolute", chdir("/"));
}
ALSO(rmdir_working_directory, "getcwd");

CASE(rmdir_open_directory)
{
    struct stat status;
    NEED(mkdir("d", 0755));
    int d = (int)NEED(open("d", O_RDONLY));
    CALL("rmdir", rmdir("d"));
    NEED(fstat(d, &status));
    observe_number("links", (long)status.st_nlink);
    CALL("fchdir", fchdir(d));
    CALL("recreate", mkdir("../d", 0755));
}
ALSO(rmdir_open_directory, "fchdir");

CASE(unlink_errors)
{
    put_file("f", "");
    NEED(mkdir("d", 0755));
    CALL("directory", RAW(SYS_unlink, "d"));
    CALL("missing", RAW(SYS_unlink, "none"));
    CALL("trailing_slash", RAW(SYS_unlink, "f/"));
    CALL("directory_slash", RAW(SYS_unlink, "d/"));
    CALL("empty", RAW(SYS_unlink, ""));
    CALL("below_file", RAW(SYS_unlink, "f/x"));
    CALL("unlink", RAW(SYS_unlink, "f"));
    CALL("again", RAW(SYS_unlink, "f"));
    CALL("bad", RAW(SYS_unlink, BAD_POINTER));
}

CASE(unlink_link_not_target)
{
    put_file("f", "kept");
    NEED(symlink("f", "l"));
    NEED(mkdir("d", 0755));
    NEED(symlink("d", "dl"));
    CALL("link", unlink("l"));
    observe_file("target", "f");
    CALL("directory_link", unlink("dl"));
    CALL("directory", access("d", F_OK));
}

CASE(unlink_busy_names)
{
    CALL("dot", RAW(SYS_unlink, "."));
    CALL("dot_dot", RAW(SYS_unlink, ".."));
    CALL("root", RAW(SYS_unlink, "/"));
}

CASE(unlinkat_flags)
{
    NEED(mkdir("d", 0755));
    put_file("f", "");
    CALL("directory_without_flag", unlinkat(AT_FDCWD, "d", 0));
    CALL("file_with_flag", unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
    CALL("unknown_flag", unlinkat(AT_FDCWD, "f", 1));
    CALL("directory", unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    CALL("file", unlinkat((int)NEED(open(".", O_RDONLY)), "f", 0));
    CALL("closed", unlinkat(999, "f", 0));
}

/* The sticky bit: only owners remove. */
CASE(unlink_sticky_directory, NEEDS_ROOT | NEEDS_FORK)
{
    NEED(mkdir("d", 0777));
    NEED(chmod("d", 01777));
    put_file("d/theirs", "");
    NEED(mkdir("open", 0777));
    NEED(chmod("open", 0777));
    put_file("open/theirs", "");
    CHILD(child)
    {
        NEED(setresuid(65534, 65534, 65534));
        CALL("unlink_sticky", unlink("d/theirs"));
        CALL("rename_sticky", rename("d/theirs", "d/x"));
        CALL("unlink_open", unlink("open/theirs"));
        put_file("d/own", "");
        CALL("own", unlink("d/own"));
    }
    observe_status("child", await(child));
}

CASE(rename_replaces)
{
    put_file("a", "a");
    put_file("b", "b");
    CALL("rename", RAW(SYS_rename, "a", "b"));
    observe_file("b", "b");
    CALL("a", access("a", F_OK));
    CALL("itself", RAW(SYS_rename, "b", "b"));
    observe_file("b", "b");
}

CASE(rename_directories)
{
    put_file("f", "");
    NEED(mkdir("d", 0755));
    NEED(mkdir("d/e", 0755));
    NEED(mkdir("empty", 0755));
    NEED(mkdir("full", 0755));
    put_file("full/x", "");
    CALL("onto_file", RAW(SYS_rename, "d", "f"));
    CALL("file_onto_directory", RAW(SYS_rename, "f", "d"));
    CALL("onto_full", RAW(SYS_rename, "d", "full"));
    CALL("into_itself", RAW(SYS_rename, "d", "d/e/x"));
    CALL("onto_parent", RAW(SYS_rename, "d/e", "d"));
    CALL("onto_empty", RAW(SYS_rename, "d", "empty"));
    CALL("moved", access("empty/e", F_OK));
}

CASE(rename_errors)
{
    put_file("f", "");
    NEED(mkdir("d", 0755));
    CALL("missing", RAW(SYS_rename, "none", "x"));
    CALL("missing_parent", RAW(SYS_rename, "f", "no/x"));
    CALL("dot", RAW(SYS_rename, "d/.", "x"));
    CALL("to_dot", RAW(SYS_rename, "d", "."));
    CALL("file_slash", RAW(SYS_rename, "f/", "x"));
    CALL("file_to_slash", RAW(SYS_rename, "f", "x/"));
    CALL("directory_to_slash", RAW(SYS_rename, "d", "e/"));
    CALL("empty", RAW(SYS_rename, "", "x"));
    CALL("bad", RAW(SYS_rename, "f", BAD_POINTER));
}

/* Two names of one file: nothing happens, and both stay. */
CASE(rename_hard_links)
{
    put_file("a", "same");
    NEED(link("a", "b"));
    CALL("rename", rename("a", "b"));
    observe_file("a", "a");
    observe_file("b", "b");
}

CASE(rename_link_itself)
{
    char target[16] = "";
    NEED(symlink("none", "l"));
    CALL("rename", rename("l", "m"));
    CALL("readlink", readlink("m", target, sizeof target));
    observe_text("target", target);
    put_file("f", "f");
    CALL("over_link", rename("f", "m"));
    observe_file("m", "m");
}

CASE(rename_moves_dot_dot)
{
    NEED(mkdir("a", 0755));
    NEED(mkdir("b", 0755));
    NEED(mkdir("a/d", 0755));
    put_file("b/mark", "in b");
    NEED(chdir("a/d"));
    CALL("rename", rename("../../a/d", "../../b/d"));
    observe_file("parent", "../mark");
}

CASE(rename_keeps_open_target)
{
    char text[8] = "";
    put_file("a", "new");
    put_file("b", "old");
    int fd = (int)NEED(open("b", O_RDONLY));
    NEED(rename("a", "b"));
    CALL("read", read(fd, text, sizeof text));
    observe_text("text", text);
    observe_file("b", "b");
}

CASE(renameat2_flags)
{
    enum { NOREPLACE = 1, EXCHANGE = 2, WHITEOUT = 4 };
    put_file("a", "a");
    put_file("b", "b");
    CALL("noreplace", RAW(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", NOREPLACE));
    CALL("exchange", RAW(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", EXCHANGE));
    observe_file("a", "a");
    observe_file("b", "b");
    CALL("exchange_missing", RAW(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", EXCHANGE));
    CALL("both", RAW(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", NOREPLACE | EXCHANGE));
    CALL("unknown", RAW(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", 16));
    CALL("noreplace_free", RAW(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", NOREPLACE));
    observe_file("c", "c");
}

CASE(renameat2_exchange_directories)
{
    enum { EXCHANGE = 2 };
    NEED(mkdir("d", 0755));
    put_file("d/inner", "inner");
    put_file("f", "f");
    CALL("exchange", RAW(SYS_renameat2, AT_FDCWD, "d", AT_FDCWD, "f", EXCHANGE));
    observe_file("inner", "f/inner");
    observe_file("d", "d");
    CALL("with_own_child", RAW(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "f/inner", EXCHANGE));
}

CASE(renameat_relative)
{
    NEED(mkdir("d", 0755));
    put_file("d/f", "moved");
    int d = (int)NEED(open("d", O_RDONLY));
    CALL("renameat", renameat(d, "f", AT_FDCWD, "g"));
    observe_file("g", "g");
    CALL("closed", renameat(999, "f", AT_FDCWD, "g"));
    CALL("gone", renameat(d, "f", AT_FDCWD, "g"));
}

CASE(link_counts)
{
    struct stat status;
    put_file("f", "x");
    CALL("link", RAW(SYS_link, "f", "g"));
    NEED(stat("f", &status));
    observe_number("links", (long)status.st_nlink);
    NEED(unlink("f"));
    NEED(stat("g", &status));
    observe_number("links", (long)status.st_nlink);
    observe_file("g", "g");
}

CASE(link_errors)
{
    put_file("f", "");
    NEED(mkdir("d", 0755));
    CALL("existing", RAW(SYS_link, "f", "d"));
    CALL("directory", RAW(SYS_link, "d", "e"));
    CALL("missing", RAW(SYS_link, "none", "x"));
    CALL("missing_parent", RAW(SYS_link, "f", "no/x"));
    CALL("slash", RAW(SYS_link, "f", "x/"));
    CALL("other_file_system", RAW(SYS_link, "/proc/version", "x"));
    CALL("bad", RAW(SYS_link, "f", BAD_POINTER));
}

CASE(link_of_symbolic_link)
{
    struct stat status;
    put_file("f", "");
    NEED(symlink("f", "l"));
    CALL("link", RAW(SYS_link, "l", "m"));
    NEED(lstat("m", &status));
    IS("is_link", S_ISLNK(status.st_mode));
    CALL("follow", linkat(AT_FDCWD, "l", AT_FDCWD, "n", AT_SYMLINK_FOLLOW));
    NEED(lstat("n", &status));
    IS("is_file", S_ISREG(status.st_mode));
}
ALSO(link_of_symbolic_link, "linkat");

CASE(linkat_flags)
{
    put_file("f", "");
    int d = (int)NEED(open(".", O_RDONLY));
    CALL("relative", linkat(d, "f", d, "g", 0));
    CALL("unknown_flag", linkat(d, "f", d, "h", 1));
    CALL("closed", linkat(999, "f", d, "h", 0));
    CALL("closed_second", linkat(d, "f", 999, "h", 0));
    CALL("empty", linkat(d, "", d, "h", 0));
}

CASE(linkat_names_temporary_file, NEEDS_PROC)
{
    char path[64];
    int fd = (int)OK("open", open(".", O_RDWR | 020000000 | O_DIRECTORY, 0600));
    if (fd < 0)
        return;
    NEED(write(fd, "named", 5));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CALL("linkat", linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
    observe_file("f", "f");
}

CASE(symlink_errors)
{
    put_file("f", "");
    CALL("existing", RAW(SYS_symlink, "x", "f"));
    CALL("empty_target", RAW(SYS_symlink, "", "l"));
    CALL("missing_parent", RAW(SYS_symlink, "x", "no/l"));
    CALL("slash", RAW(SYS_symlink, "x", "l/"));
    CALL("bad_target", RAW(SYS_symlink, BAD_POINTER, "l"));
    CALL("bad_name", RAW(SYS_symlink, "x", BAD_POINTER));
    CALL("symlinkat_closed", symlinkat("x", 999, "l"));
}
ALSO(symlink_errors, "symlinkat");

CASE(symlink_chain)
{
    char name[8], target[8];
    put_file("l0", "end");
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof name, "l%d", i);
        snprintf(target, sizeof target, "l%d", i - 1);
        NEED(symlink(target, name));
    }
    OK("forty", open("l40", O_RDONLY));
    OK("forty_one", open("l41", O_RDONLY));
}

CASE(symlink_loops)
{
    struct stat status;
    NEED(symlink("b", "a"));
    NEED(symlink("a", "b"));
    NEED(symlink("self/x", "self"));
    CALL("stat", stat("a", &status));
    CALL("lstat", lstat("a", &status));
    CALL("open", open("b", O_RDONLY));
    CALL("create", open("b", O_RDWR | O_CREAT, 0600));
    CALL("through", open("self/y", O_RDONLY));
    CALL("unlink", unlink("a"));
}

CASE(symlink_relative_to_its_place)
{
    NEED(mkdir("d", 0755));
    put_file("d/f", "in d");
    put_file("f", "outside");
    NEED(symlink("f", "d/l"));
    observe_file("l", "d/l");
    NEED(symlink("../f", "d/up"));
    observe_file("up", "d/up");
    NEED(symlink("d", "dl"));
    observe_file("through", "dl/l");
    observe_file("dot_dot", "dl/../f");
}

CASE(symlinkat_relative)
{
    char target[8] = "";
    NEED(mkdir("d", 0755));
    int d = (int)NEED(open("d", O_RDONLY));
    CALL("symlinkat", symlinkat("to", d, "l"));
    CALL("readlinkat", readlinkat(d, "l", target, sizeof target));
    observe_text("target", target);
    CALL("again", symlinkat("to", d, "l"));
}
ALSO(symlinkat_relative, "readlinkat");

CASE(readlink_truncates)
{
    char target[16];
    NEED(symlink("0123456789", "l"));
    memset(target, '.', sizeof target);
    CALL("short", RAW(SYS_readlink, "l", target, 4));
    observe_bytes("target", target, 8);
    CALL("whole", RAW(SYS_readlink, "l", target, 16));
    observe_bytes("target", target, 12);
}

CASE(readlink_errors)
{
    char target[16];
    put_file("f", "");
    NEED(symlink("x", "l"));
    CALL("file", RAW(SYS_readlink, "f", target, 16));
    CALL("directory", RAW(SYS_readlink, ".", target, 16));
    CALL("missing", RAW(SYS_readlink, "none", target, 16));
    CALL("zero", RAW(SYS_readlink, "l", target, 0));
    CALL("negative", RAW(SYS_readlink, "l", target, -1));
    CALL("empty", RAW(SYS_readlink, "", target, 16));
    CALL("bad", RAW(SYS_readlink, "l", BAD_POINTER, 16));
}

CASE(readlinkat_errors)
{
    char target[16];
    int file;
    put_file("f", "");
    file = (int)NEED(open("f", O_RDONLY));
    CALL("not_a_directory", readlinkat(file, "x", target, 16));
    CALL("empty_of_file", readlinkat(file, "", target, 16));
    CALL("closed", readlinkat(999, "x", target, 16));
    CALL("zero", readlinkat(AT_FDCWD, "f", target, 0));
}

CASE(mknod_kinds)
{
    struct stat status;
    CALL("fifo", RAW(SYS_mknod, "p", S_IFIFO | 0644, 0));
    NEED(stat("p", &status));
    observe_hex("mode", status.st_mode);
    CALL("regular", RAW(SYS_mknod, "r", S_IFREG | 0600, 0));
    CALL("no_type_is_regular", RAW(SYS_mknod, "n", 0600, 0));
    NEED(stat("n", &status));
    observe_hex("mode", status.st_mode);
    CALL("socket", RAW(SYS_mknod, "s", S_IFSOCK | 0600, 0));
    CALL("open_socket", open("s", O_RDWR));
}

CASE(mknod_errors)
{
    put_file("f", "");
    CALL("existing", RAW(SYS_mknod, "f", S_IFIFO | 0644, 0));
    CALL("directory", RAW(SYS_mknod, "d", S_IFDIR | 0755, 0));
    CALL("unknown_type", RAW(SYS_mknod, "x", 0170000, 0));
    CALL("missing_parent", RAW(SYS_mknod, "no/x", S_IFREG, 0));
    CALL("closed", RAW(SYS_mknodat, 999, "x", S_IFREG, 0));
}
ALSO(mknod_errors, "mknodat");

CASE(mknodat_relative)
{
    struct stat status;
    int d = (int)NEED(open(".", O_RDONLY));
    CALL("fifo", RAW(SYS_mknodat, d, "p", S_IFIFO | 0600, 0));
    NEED(stat("p", &status));
    observe_hex("mode", status.st_mode);
    CALL("slash", RAW(SYS_mknodat, d, "q/", S_IFREG | 0600, 0));
}

CASE(chdir_and_getcwd)
{
    char before[PATH_MAX], inside[PATH_MAX];
    long length = NEED(RAW(SYS_getcwd, before, sizeof before));
    IS("length_with_zero", length == (long)strlen(before) + 1);
    NEED(mkdir("d", 0755));
    CALL("chdir", RAW(SYS_chdir, "d"));
    NEED(RAW(SYS_getcwd, inside, sizeof inside));
    observe_text("added", inside + strlen(before));
    CALL("up", RAW(SYS_chdir, ".."));
    NEED(RAW(SYS_getcwd, inside, sizeof inside));
    IS("same", strcmp(before, inside) == 0);
}
ALSO(chdir_and_getcwd, "getcwd");

CASE(chdir_errors)
{
    put_file("f", "");
    CALL("file", RAW(SYS_chdir, "f"));
    CALL("missing", RAW(SYS_chdir, "none"));
    CALL("empty", RAW(SYS_chdir, ""));
    CALL("bad", RAW(SYS_chdir, BAD_POINTER));
}

CASE(chdir_through_link)
{
    char path[PATH_MAX];
    NEED(mkdir("real", 0755));
    NEED(symlink("real", "l"));
    CALL("chdir", chdir("l"));
    NEED(RAW(SYS_getcwd, path, sizeof path));
    observe_text("last", strrchr(path, '/') + 1);
}

CASE(getcwd_sizes)
{
    char path[64];
    NEED(chdir("/"));
    CALL("root", RAW(SYS_getcwd, path, 2));
    observe_text("path", path);
    CALL("too_small", RAW(SYS_getcwd, path, 1));
    CALL("zero", RAW(SYS_getcwd, path, 0));
    CALL("bad", RAW(SYS_getcwd, BAD_POINTER, 64));
}

CASE(getcwd_follows_rename)
{
    char path[PATH_MAX];
    NEED(mkdir("old", 0755));
    NEED(chdir("old"));
    NEED(rename("../old", "../new"));
    NEED(RAW(SYS_getcwd, path, sizeof path));
    observe_text("last", strrchr(path, '/') + 1);
}

CASE(fchdir_descriptor)
{
    char path[PATH_MAX];
    put_file("f", "");
    NEED(mkdir("d", 0755));
    int d = (int)NEED(open("d", O_RDONLY));
    CALL("fchdir", fchdir(d));
    NEED(RAW(SYS_getcwd, path, sizeof path));
    observe_text("last", strrchr(path, '/') + 1);
    CALL("file", fchdir((int)NEED(open("../f", O_RDONLY))));
    CALL("closed", fchdir(999));
    CALL("path_only", fchdir((int)NEED(open("..", 010000000))));
}
ALSO(fchdir_descriptor, "getcwd");

CASE(chdir_per_process, NEEDS_FORK)
{
    NEED(mkdir("d", 0755));
    put_file("mark", "here");
    CHILD(child)
    {
        CALL("child", chdir("d"));
    }
    await(child);
    observe_file("parent", "mark");
}

CASE(chroot_confines, NEEDS_ROOT | NEEDS_FORK)
{
    char path[PATH_MAX];
    NEED(mkdir("jail", 0755));
    put_file("jail/f", "inside");
    put_file("f", "outside");
    CHILD(child)
    {
        CALL("chroot", chroot("jail"));
        observe_file("absolute", "/f");
        observe_file("dot_dot", "/../../f");
        /* The working directory stayed outside. */
        observe_file("working_directory", "f");
        NEED(chdir("/"));
        CALL("getcwd", RAW(SYS_getcwd, path, sizeof path));
        observe_text("path", path);
        CALL("missing", chroot("none"));
        CALL("file", chroot("f"));
    }
    observe_status("child", await(child));
}

CASE(chroot_not_permitted, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(setresuid(65534, 65534, 65534));
        CALL("chroot", chroot("/"));
    }
    observe_status("child", await(child));
}

/* --- path names --- */

CASE(open_long_names)
{
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    OK("longest_name", open(name, O_RDWR | O_CREAT, 0600));
    name[255] = 'n';
    name[256] = '\0';
    CALL("too_long_name", open(name, O_RDWR | O_CREAT, 0600));
    CALL("stat", access(name, F_OK));
    CALL("mkdir", mkdir(name, 0755));
}

CASE(open_long_paths)
{
    static char path[5000];
    for (unsigned i = 0; i < 4094; i += 2)
        memcpy(path + i, "./", 2);
    strcpy(path + 4094, ".");
    OK("longest", open(path, O_RDONLY));
    strcpy(path + 4094, "./");
    CALL("too_long", open(path, O_RDONLY));
    memset(path, 'x', 4999);
    CALL("one_name", open(path, O_RDONLY));
}

CASE(open_dots_and_slashes)
{
    NEED(mkdir("d", 0755));
    put_file("d/f", "found");
    observe_file("plain", "d/f");
    observe_file("slashes", "d///f");
    observe_file("dots", "./d/./././f");
    observe_file("dot_dot", "d/../d/f");
    observe_file("missing_dot_dot", "none/../d/f");
    observe_file("dots_name", "...");
    put_file("...", "three");
    observe_file("dots_name", "...");
    observe_file("above_root", "/../../../../../dev/null");
}

CASE(open_unusual_names)
{
    static const char *const NAMES[] = {" ", "\n", "\x01\x7f", "\xff\xfe", "-", "a b", "\\", "*"};
    for (unsigned i = 0; i < COUNT(NAMES); i++) {
        OK("create", open(NAMES[i], O_RDWR | O_CREAT | O_EXCL, 0600));
        CALL("unlink", unlink(NAMES[i]));
    }
}

/* --- listing --- */

struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    unsigned char type;
    char name[];
};

CASE(getdents64_lists_everything)
{
    char buffer[4096];
    NEED(mkdir("d", 0755));
    put_file("f", "");
    NEED(symlink("x", "l"));
    NEED(mkfifo("p", 0600));
    int fd = (int)NEED(open(".", O_RDONLY));
    long length = NEED(RAW(SYS_getdents64, fd, buffer, sizeof buffer));
    unsigned seen = 0, aligned = 1, types = 0, count = 0;
    for (long at = 0; at < length;) {
        struct entry *entry = (void *)(buffer + at);
        static const char *const NAMES[] = {".", "..", "d", "f", "l", "p"};
        static const unsigned char TYPES[] = {4, 4, 4, 8, 10, 1};
        for (unsigned i = 0; i < COUNT(NAMES); i++)
            if (strcmp(entry->name, NAMES[i]) == 0) {
                seen |= 1u << i;
                types += entry->type == TYPES[i];
            }
        aligned &= entry->length % 8 == 0;
        count++;
        at += entry->length;
    }
    observe_hex("seen", seen);
    observe_number("count", count);
    observe_number("right_types", types);
    observe_number("aligned", aligned);
    CALL("end", RAW(SYS_getdents64, fd, buffer, sizeof buffer));
    NEED(lseek(fd, 0, SEEK_SET));
    IS("rewound", RAW(SYS_getdents64, fd, buffer, sizeof buffer) == length);
}

CASE(getdents64_small_buffers)
{
    static unsigned char seen[200];
    char name[8], buffer[64];
    NEED(mkdir("d", 0755));
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "d/%03d", i);
        put_file(name, "");
    }
    int fd = (int)NEED(open("d", O_RDONLY));
    CALL("too_small", RAW(SYS_getdents64, fd, buffer, 8));
    unsigned twice = 0, missing = 0;
    long length;
    while ((length = RAW(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < length;) {
            struct entry *entry = (void *)(buffer + at);
            if (entry->name[0] != '.')
                twice += seen[atoi(entry->name)]++;
            at += entry->length;
        }
    CALL("end", length);
    for (unsigned i = 0; i < 200; i++)
        missing += !seen[i];
    observe_number("twice", twice);
    observe_number("missing", missing);
}

/* Removing what was listed must not hide what was not. */
CASE(getdents64_while_removing)
{
    char name[8], buffer[256];
    NEED(mkdir("d", 0755));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "d/%03d", i);
        put_file(name, "");
    }
    int fd = (int)NEED(open("d", O_RDONLY));
    unsigned removed = 0;
    long length;
    while ((length = RAW(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < length;) {
            struct entry *entry = (void *)(buffer + at);
            if (entry->name[0] != '.')
                removed += unlinkat(fd, entry->name, 0) == 0;
            at += entry->length;
        }
    observe_number("removed", removed);
    CALL("rmdir", rmdir("d"));
}

CASE(getdents64_errors)
{
    char buffer[256];
    put_file("f", "");
    NEED(mkdir("d", 0755));
    int d = (int)NEED(open("d", O_RDONLY));
    CALL("file", RAW(SYS_getdents64, (int)NEED(open("f", O_RDONLY)), buffer, 256));
    CALL("closed", RAW(SYS_getdents64, 999, buffer, 256));
    CALL("bad", RAW(SYS_getdents64, d, BAD_POINTER, 256));
    NEED(rmdir("d"));
    CALL("removed", RAW(SYS_getdents64, d, buffer, 256));
}

CASE(getdents_old_format)
{
    char buffer[512];
    NEED(mkdir("d", 0755));
    put_file("d/name", "");
    int fd = (int)NEED(open("d", O_RDONLY));
    long length = NEED(RAW(SYS_getdents, fd, buffer, sizeof buffer));
    unsigned found = 0;
    for (long at = 0; at < length;) {
        /* d_ino, d_off, d_reclen, then the name; the type is the last byte */
        unsigned short size;
        memcpy(&size, buffer + at + 16, 2);
        if (strcmp(buffer + at + 18, "name") == 0)
            found = (unsigned char)buffer[at + size - 1];
        at += size;
    }
    observe_number("type", found);
    CALL("end", RAW(SYS_getdents, fd, buffer, sizeof buffer));
    CALL("small", RAW(SYS_getdents, (int)NEED(open("d", O_RDONLY)), buffer, 10));
    CALL("closed", RAW(SYS_getdents, 999, buffer, 512));
}
