/* Extended attributes by descriptor and of links. Links and special files take no user
 * attributes, so there is nothing to find on them. */
#include "suite.h"

#include <stdio.h>
#include <sys/xattr.h>

CASE(fsetxattr_round_trip)
{
    char value[16] = "";
    put_file("f", "");
    int fd = (int)NEED(open("f", O_RDONLY));
    CALL("set", fsetxattr(fd, "user.a", "one", 3, 0));
    CALL("get", fgetxattr(fd, "user.a", value, sizeof value));
    observe_text("value", value);
    CALL("by_path", getxattr("f", "user.a", value, sizeof value));
    CALL("create", fsetxattr(fd, "user.a", "x", 1, XATTR_CREATE));
    CALL("remove", fremovexattr(fd, "user.a"));
    CALL("gone", fgetxattr(fd, "user.a", value, sizeof value));
}
ALSO(fsetxattr_round_trip, "fgetxattr fremovexattr getxattr");

CASE(fgetxattr_errors)
{
    char value[16];
    int ends[2];
    NEED(pipe(ends));
    CALL("closed", fgetxattr(999, "user.a", value, sizeof value));
    CALL("path_only", fgetxattr((int)NEED(open(".", 010000000)), "user.a", value, 16));
    CALL("remove_closed", fremovexattr(999, "user.a"));
    CALL("set_closed", fsetxattr(999, "user.a", "x", 1, 0));
    CALL("list_closed", flistxattr(999, value, sizeof value));
    CALL("missing", fgetxattr((int)NEED(open(".", O_RDONLY)), "user.a", value, 16));
    CALL("remove_missing", fremovexattr((int)NEED(open(".", O_RDONLY)), "user.a"));
}
ALSO(fgetxattr_errors, "fremovexattr fsetxattr flistxattr");

CASE(lgetxattr_of_links)
{
    char value[16];
    put_file("f", "");
    NEED(symlink("f", "l"));
    NEED(setxattr("l", "user.a", "on file", 7, 0));
    CALL("file", getxattr("f", "user.a", value, sizeof value));
    CALL("plain_file", lgetxattr("f", "user.a", value, sizeof value));
    IS("link", lgetxattr("l", "user.a", value, sizeof value) == -1);
    CALL("set_link", lsetxattr("l", "user.a", "x", 1, 0));
    IS("remove_link", lremovexattr("l", "user.a") == -1);
    CALL("remove_file", lremovexattr("f", "user.a"));
}
ALSO(lgetxattr_of_links, "lsetxattr lremovexattr getxattr");

CASE(lgetxattr_errors)
{
    char value[16];
    CALL("missing", lgetxattr("none", "user.a", value, sizeof value));
    CALL("missing_set", lsetxattr("none", "user.a", "x", 1, 0));
    CALL("missing_remove", lremovexattr("none", "user.a"));
    CALL("missing_list", llistxattr("none", value, sizeof value));
    CALL("bad", RAW(SYS_lgetxattr, BAD_POINTER, "user.a", value, 16));
    CALL("bad_name", RAW(SYS_lgetxattr, ".", BAD_POINTER, value, 16));
}
ALSO(lgetxattr_errors, "lsetxattr lremovexattr llistxattr");

CASE(lgetxattr_directory)
{
    char value[16] = "";
    NEED(mkdir("d", 0755));
    CALL("set", lsetxattr("d", "user.dir", "v", 1, 0));
    CALL("get", lgetxattr("d", "user.dir", value, sizeof value));
    IS("list", llistxattr("d", value, sizeof value) >= 9);
    CALL("remove", lremovexattr("d", "user.dir"));
}
ALSO(lgetxattr_directory, "lsetxattr lremovexattr llistxattr");

CASE(getxattr_errors)
{
    char value[16];
    put_file("f", "");
    CALL("missing_file", getxattr("none", "user.a", value, 16));
    CALL("missing", getxattr("f", "user.a", value, 16));
    CALL("empty_name", getxattr("f", "", value, 16));
    CALL("no_namespace", getxattr("f", "x", value, 16));
    CALL("remove_no_namespace", removexattr("f", "x"));
    CALL("remove_missing_file", removexattr("none", "user.a"));
    NEED(setxattr("f", "user.a", "12345", 5, 0));
    CALL("bad_value", RAW(SYS_getxattr, "f", "user.a", BAD_POINTER, 16));
}
ALSO(getxattr_errors, "removexattr");

CASE(removexattr_leaves_others)
{
    char value[16] = "";
    put_file("f", "");
    NEED(setxattr("f", "user.a", "1", 1, 0));
    NEED(setxattr("f", "user.b", "2", 1, 0));
    CALL("remove", removexattr("f", "user.a"));
    CALL("other", getxattr("f", "user.b", value, 16));
    observe_text("value", value);
}

CASE(fremovexattr_after_unlink)
{
    char value[16];
    int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0600));
    NEED(fsetxattr(fd, "user.a", "1", 1, 0));
    NEED(unlink("f"));
    CALL("get", fgetxattr(fd, "user.a", value, 16));
    IS("list", flistxattr(fd, value, 16) >= 7);
    CALL("remove", fremovexattr(fd, "user.a"));
}
ALSO(fremovexattr_after_unlink, "fgetxattr flistxattr fsetxattr");

CASE(setxattr_on_special_files)
{
    NEED(mkfifo("p", 0600));
    CALL("fifo", setxattr("p", "user.a", "1", 1, 0));
    IS("fifo_get", getxattr("p", "user.a", NULL, 0) == -1);
    NEED(rename("p", "q"));
    put_file("f", "");
    NEED(setxattr("f", "user.a", "moved", 5, 0));
    NEED(rename("f", "g"));
    CALL("kept_by_rename", getxattr("g", "user.a", NULL, 0));
    NEED(link("g", "h"));
    CALL("shared_by_link", getxattr("h", "user.a", NULL, 0));
}

CASE(llistxattr_sizes)
{
    char names[16];
    put_file("f", "");
    NEED(setxattr("f", "user.abc", "1", 1, 0));
    CALL("size", llistxattr("f", NULL, 0));
    CALL("too_small", llistxattr("f", names, 4));
    CALL("bad", RAW(SYS_llistxattr, "f", BAD_POINTER, 16));
    CALL("list_bad", RAW(SYS_listxattr, "f", BAD_POINTER, 16));
    CALL("flist", flistxattr((int)NEED(open("f", O_RDONLY)), NULL, 0));
}
ALSO(llistxattr_sizes, "listxattr flistxattr");
