/* memfd and seals, extended attributes, inotify. */
#include "suite.h"

#include <stdio.h>
#include <sys/inotify.h>
#include <sys/xattr.h>

static int memory_file(const char *name, unsigned flags)
{
    return (int)RAW(SYS_memfd_create, name, flags);
}

CASE(memfd_create_file)
{
    struct stat status;
    char text[8] = "";
    int fd = memory_file("name", 1);
    CALL("getfd", fcntl(fd, F_GETFD));
    observe_hex("getfl", (unsigned long)fcntl(fd, F_GETFL));
    NEED(fstat(fd, &status));
    observe_hex("mode", status.st_mode);
    observe_number("links", (long)status.st_nlink);
    CALL("write", write(fd, "text", 4));
    CALL("read", pread(fd, text, 8, 0));
    observe_text("text", text);
}

CASE(memfd_create_errors)
{
    char name[300];
    memset(name, 'n', sizeof name);
    name[249] = '\0';
    OK("longest_name", memory_file(name, 0));
    name[249] = 'n';
    name[250] = '\0';
    CALL("too_long_name", memory_file(name, 0));
    CALL("unknown_flag", memory_file("x", 0x40));
    CALL("bad", RAW(SYS_memfd_create, BAD_POINTER, 0));
    OK("empty_name", memory_file("", 0));
}

CASE(memfd_create_without_seals)
{
    int fd = memory_file("x", 0);
    CALL("get", fcntl(fd, F_GET_SEALS));
    CALL("add", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    int ends[2];
    NEED(pipe(ends));
    CALL("pipe", fcntl(ends[0], F_GET_SEALS));
}

CASE(memfd_create_size_seals)
{
    int fd = memory_file("x", 2);
    NEED(ftruncate(fd, 100));
    CALL("seals", fcntl(fd, F_GET_SEALS));
    CALL("shrink", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    CALL("truncate", ftruncate(fd, 50));
    CALL("grow", ftruncate(fd, 200));
    CALL("seal_grow", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    CALL("grow", ftruncate(fd, 300));
    CALL("write_inside", pwrite(fd, "x", 1, 199));
    CALL("write_beyond", pwrite(fd, "xy", 2, 199));
    CALL("seals", fcntl(fd, F_GET_SEALS));
}

CASE(memfd_create_write_seal)
{
    int fd = memory_file("x", 2);
    NEED(write(fd, "data", 4));
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CALL("while_mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    NEED(munmap(shared, PAGE));
    CALL("unmapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    CALL("write", pwrite(fd, "x", 1, 0));
    OK("map_shared_writable",
       mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    OK("map_private", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    CALL("punch", fallocate(fd, 3, 0, PAGE));
    CALL("seal_seal", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    CALL("no_more", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    CALL("unknown", fcntl(fd, F_ADD_SEALS, 0x1000));
}

CASE(memfd_create_future_write_seal)
{
    int fd = memory_file("x", 2);
    NEED(ftruncate(fd, PAGE));
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CALL("seal", fcntl(fd, F_ADD_SEALS, 0x10));
    shared[0] = 'y';
    CALL("write", pwrite(fd, "x", 1, 0));
    OK("map_writable", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    char byte = 0;
    NEED(pread(fd, &byte, 1, 0));
    observe_number("through_old_mapping", byte);
}

CASE(setxattr_round_trip)
{
    char value[16] = "";
    put_file("f", "");
    CALL("set", setxattr("f", "user.name", "value", 5, 0));
    CALL("size", getxattr("f", "user.name", NULL, 0));
    CALL("get", getxattr("f", "user.name", value, sizeof value));
    observe_text("value", value);
    CALL("too_small", getxattr("f", "user.name", value, 2));
    CALL("replace", setxattr("f", "user.name", "new", 3, XATTR_REPLACE));
    CALL("create_existing", setxattr("f", "user.name", "x", 1, XATTR_CREATE));
    CALL("replace_missing", setxattr("f", "user.none", "x", 1, XATTR_REPLACE));
    CALL("empty_value", setxattr("f", "user.empty", "", 0, 0));
    CALL("get_empty", getxattr("f", "user.empty", value, sizeof value));
    CALL("remove", removexattr("f", "user.name"));
    CALL("remove_again", removexattr("f", "user.name"));
    CALL("gone", getxattr("f", "user.name", value, sizeof value));
}
ALSO(setxattr_round_trip, "getxattr removexattr");

CASE(setxattr_errors)
{
    char name[300];
    put_file("f", "");
    NEED(symlink("f", "l"));
    memset(name, 'n', sizeof name);
    memcpy(name, "user.", 5);
    name[256] = '\0';
    CALL("long_name", setxattr("f", name, "x", 1, 0));
    CALL("empty_name", setxattr("f", "", "x", 1, 0));
    CALL("no_namespace", setxattr("f", "name", "x", 1, 0));
    CALL("bare_namespace", setxattr("f", "user.", "x", 1, 0));
    CALL("large_value", setxattr("f", "user.x", pages(17), 65537, 0));
    CALL("unknown_flag", setxattr("f", "user.x", "x", 1, 4));
    CALL("missing", setxattr("none", "user.x", "x", 1, 0));
    CALL("link_itself", lsetxattr("l", "user.x", "x", 1, 0));
    CALL("bad_value", RAW(SYS_setxattr, "f", "user.x", BAD_POINTER, 4, 0));
    CALL("closed", fsetxattr(999, "user.x", "x", 1, 0));
}
ALSO(setxattr_errors, "lsetxattr fsetxattr");

CASE(listxattr_names)
{
    char names[64];
    put_file("f", "");
    IS("nothing_of_users", listxattr("f", NULL, 0) == 0);
    NEED(setxattr("f", "user.a", "1", 1, 0));
    NEED(setxattr("f", "user.bc", "2", 1, 0));
    CALL("size", listxattr("f", NULL, 0));
    long length = CALL("list", listxattr("f", names, sizeof names));
    IS("both", memmem(names, (size_t)length, "user.a\0", 7) &&
                   memmem(names, (size_t)length, "user.bc\0", 8));
    CALL("too_small", listxattr("f", names, 5));
    CALL("missing", listxattr("none", names, sizeof names));
    CALL("descriptor", flistxattr((int)NEED(open("f", O_RDONLY)), names, sizeof names));
}
ALSO(listxattr_names, "flistxattr setxattr");

/* --- inotify --- */

/* Reads what is there, as "name:mask" pairs in order. */
static void observe_events(int fd)
{
    char buffer[4096] __attribute__((aligned(8)));
    long length = read(fd, buffer, sizeof buffer);
    if (length < 0) {
        observe_call("events", length, errno);
        return;
    }
    for (long at = 0; at < length;) {
        struct inotify_event *event = (void *)(buffer + at);
        char key[32];
        snprintf(key, sizeof key, "%s", event->len ? event->name : "self");
        observe_hex(key, event->mask);
        at += (long)(sizeof *event + event->len);
    }
}

CASE(inotify_init1_flags)
{
    int fd = (int)CALL("init", inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    CALL("getfd", fcntl(fd, F_GETFD));
    char buffer[64];
    CALL("empty", read(fd, buffer, sizeof buffer));
    CALL("unknown_flag", RAW(SYS_inotify_init1, 1));
    OK("plain", RAW(SYS_inotify_init));
}
ALSO(inotify_init1_flags, "inotify_init");

CASE(inotify_add_watch_directory)
{
    int fd = (int)NEED(inotify_init1(IN_NONBLOCK));
    NEED(mkdir("d", 0755));
    CALL("watch", inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    put_file("d/f", "x");
    observe_events(fd);
    observe_file("f", "d/f");
    observe_events(fd);
    NEED(chmod("d/f", 0600));
    observe_events(fd);
    NEED(mkdir("d/e", 0755));
    observe_events(fd);
    NEED(rmdir("d/e"));
    NEED(unlink("d/f"));
    observe_events(fd);
}

CASE(inotify_add_watch_rename)
{
    char buffer[512] __attribute__((aligned(8)));
    int fd = (int)NEED(inotify_init1(IN_NONBLOCK));
    put_file("a", "");
    NEED(inotify_add_watch(fd, ".", IN_MOVE));
    NEED(rename("a", "b"));
    NEED(read(fd, buffer, sizeof buffer));
    struct inotify_event *from = (void *)buffer;
    struct inotify_event *to = (void *)(buffer + sizeof *from + from->len);
    observe_hex("from", from->mask);
    observe_text("name", from->name);
    observe_hex("to", to->mask);
    observe_text("name", to->name);
    IS("same_cookie", from->cookie == to->cookie && from->cookie != 0);
}

CASE(inotify_add_watch_file)
{
    int fd = (int)NEED(inotify_init1(IN_NONBLOCK));
    put_file("f", "");
    CALL("watch", inotify_add_watch(fd, "f", IN_MODIFY | IN_DELETE_SELF | IN_ATTRIB));
    int file = (int)NEED(open("f", O_RDWR));
    NEED(write(file, "a", 1));
    NEED(write(file, "b", 1));
    /* Two equal events in a row are one. */
    observe_events(fd);
    NEED(ftruncate(file, 0));
    observe_events(fd);
    NEED(close(file));
    NEED(unlink("f"));
    observe_events(fd);
}

CASE(inotify_add_watch_flags)
{
    int fd = (int)NEED(inotify_init1(IN_NONBLOCK));
    put_file("f", "");
    NEED(mkdir("d", 0755));
    int first = (int)NEED(inotify_add_watch(fd, "f", IN_OPEN));
    IS("same_watch", inotify_add_watch(fd, "f", IN_CLOSE | IN_MASK_ADD) == first);
    observe_file("f", "f");
    observe_events(fd);
    CALL("mask_create", inotify_add_watch(fd, "f", IN_OPEN | 0x10000000));
    CALL("only_directory", inotify_add_watch(fd, "f", IN_OPEN | IN_ONLYDIR));
    NEED(inotify_add_watch(fd, "d", IN_CREATE | IN_ONESHOT));
    put_file("d/a", "");
    put_file("d/b", "");
    observe_events(fd);
}

CASE(inotify_add_watch_errors)
{
    int fd = (int)NEED(inotify_init1(IN_NONBLOCK));
    put_file("f", "");
    CALL("no_events", inotify_add_watch(fd, "f", 0));
    CALL("missing", inotify_add_watch(fd, "none", IN_OPEN));
    CALL("closed", inotify_add_watch(999, "f", IN_OPEN));
    CALL("no_inotify", inotify_add_watch((int)NEED(open("f", O_RDONLY)), "f", IN_OPEN));
    CALL("bad", RAW(SYS_inotify_add_watch, fd, BAD_POINTER, IN_OPEN));
}

CASE(inotify_rm_watch_stops)
{
    int fd = (int)NEED(inotify_init1(IN_NONBLOCK));
    put_file("f", "");
    int watch = (int)NEED(inotify_add_watch(fd, "f", IN_OPEN));
    CALL("remove", inotify_rm_watch(fd, watch));
    observe_events(fd);
    observe_file("f", "f");
    observe_events(fd);
    CALL("again", inotify_rm_watch(fd, watch));
    CALL("closed", inotify_rm_watch(999, 1));
}

CASE(inotify_rm_watch_small_buffer)
{
    char buffer[16];
    int fd = (int)NEED(inotify_init1(IN_NONBLOCK));
    put_file("f", "");
    NEED(inotify_add_watch(fd, ".", IN_OPEN));
    observe_file("f", "f");
    CALL("too_small", read(fd, buffer, sizeof buffer));
    observe_events(fd);
}
