/* mmap of files. */
#include "suite.h"

static int file_of_pages(unsigned count)
{
    int fd = (int)NEED(open("f", O_RDWR | O_CREAT, 0644));
    for (unsigned i = 0; i < count; i++) {
        char page[PAGE];
        memset(page, 'a' + (int)i, sizeof page);
        NEED(write(fd, page, sizeof page));
    }
    return fd;
}

CASE(mmap_file_shared_and_private)
{
    int fd = file_of_pages(1);
    char *shared = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    char *private = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    char byte;
    shared[10] = 'S';
    NEED(pread(fd, &byte, 1, 10));
    observe_number("read_sees_shared", byte == 'S');
    observe_number("private_sees_shared", private[10] == 'S');
    private[11] = 'P';
    NEED(pread(fd, &byte, 1, 11));
    observe_number("read_sees_private", byte == 'P');
    observe_number("shared_sees_private", shared[11] == 'P');
    NEED(pwrite(fd, "W", 1, 12));
    observe_number("shared_sees_write", shared[12] == 'W');
}

CASE(mmap_file_offsets)
{
    int fd = file_of_pages(4);
    char *middle = (char *)NEED(mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE));
    observe_number("first", middle[0]);
    observe_number("last", middle[2 * PAGE - 1]);
    OK("beyond_the_end", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 100 * (long)PAGE));
    CALL("odd_offset", RAW(SYS_mmap, 0, PAGE, PROT_READ, MAP_SHARED, fd, 100));
    CALL("huge_offset", RAW(SYS_mmap, 0, 2 * PAGE, PROT_READ, MAP_SHARED, fd, -(long)PAGE));
    NEED(close(fd));
    observe_number("after_close", middle[5]);
}

CASE(mmap_file_last_page_is_padded)
{
    put_file("f", "tail");
    int fd = (int)NEED(open("f", O_RDWR));
    char *map = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    unsigned used = 0;
    for (unsigned i = 4; i < PAGE; i++)
        used |= (unsigned char)map[i];
    observe_number("padding", used);
    map[100] = 'x';
    struct stat status;
    NEED(fstat(fd, &status));
    observe_number("size", status.st_size);
}

CASE(mmap_file_permissions)
{
    put_file("f", "x");
    int reader = (int)NEED(open("f", O_RDONLY)), writer = (int)NEED(open("f", O_WRONLY));
    int both = PROT_READ | PROT_WRITE, ends[2];
    NEED(pipe(ends));
    OK("read_shared", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0));
    CALL("write_shared", mmap(NULL, PAGE, both, MAP_SHARED, reader, 0));
    OK("write_private", mmap(NULL, PAGE, both, MAP_PRIVATE, reader, 0));
    CALL("write_only", mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, writer, 0));
    CALL("pipe", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ends[0], 0));
    CALL("directory",
         mmap(NULL, PAGE, PROT_READ, MAP_SHARED, (int)NEED(open(".", O_RDONLY)), 0));
    char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    CALL("mprotect_shared", mprotect(map, PAGE, both));
    map = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader, 0);
    CALL("mprotect_private", mprotect(map, PAGE, both));
}

CASE(mmap_file_private_after_truncate)
{
    int fd = file_of_pages(2);
    char *map = (char *)NEED(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    NEED(ftruncate(fd, PAGE));
    NEED(ftruncate(fd, 2 * PAGE));
    observe_number("zeroed", map[PAGE]);
    observe_number("kept", map[0]);
    map[PAGE] = 'n';
    char byte = 0;
    NEED(pread(fd, &byte, 1, PAGE));
    observe_number("connected", byte == 'n');
}

CASE(mmap_file_shared_between_processes, NEEDS_FORK)
{
    int fd = file_of_pages(1);
    char *map = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CHILD(child)
    {
        map[0] = 'C';
        char *own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
                         (int)NEED(open("f", O_RDWR)), 0);
        own[1] = 'D';
    }
    observe_status("child", await(child));
    observe_bytes("map", map, 3);
}

CASE(mmap_file_unlinked)
{
    int fd = file_of_pages(1);
    char *map = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    NEED(close(fd));
    NEED(unlink("f"));
    map[3] = 'x';
    observe_bytes("map", map, 5);
    CALL("msync", msync(map, PAGE, MS_SYNC));
    CALL("munmap", munmap(map, PAGE));
}

CASE(mmap_dev_zero)
{
    int fd = (int)NEED(open("/dev/zero", O_RDWR));
    char *map = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    observe_number("zero", map[77]);
    map[77] = 1;
    char *other = (char *)NEED(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
    observe_number("other", other[77]);
    CALL("null", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, (int)NEED(open("/dev/null", O_RDWR)),
                      0));
}

CASE(msync_file)
{
    char byte = 0;
    int fd = file_of_pages(1);
    char *map = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    map[0] = 'M';
    CALL("sync", msync(map, PAGE, MS_SYNC));
    CALL("invalidate", msync(map, PAGE, MS_INVALIDATE));
    NEED(pread((int)NEED(open("f", O_RDONLY)), &byte, 1, 0));
    observe_number("written", byte == 'M');
}

CASE(madvise_remove_file)
{
    int fd = file_of_pages(3);
    char *map = (char *)NEED(mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CALL("dontneed", madvise(map, PAGE, MADV_DONTNEED));
    observe_number("read_again", map[0]);
    char *private = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    private[0] = 'P';
    CALL("dontneed_private", madvise(private, PAGE, MADV_DONTNEED));
    observe_number("file_again", private[0]);
    CALL("remove", madvise(map + PAGE, PAGE, MADV_REMOVE));
    observe_number("removed", map[PAGE]);
    observe_number("around", map[2 * PAGE]);
}

CASE(mremap_file_grows)
{
    int fd = file_of_pages(3);
    char *map = (char *)NEED(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
    char *grown = mremap(map, PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    IS("grown", grown != MAP_FAILED);
    observe_number("first", grown[0]);
    observe_number("last", grown[3 * PAGE - 1]);
}

/* The same page cache serves a copy from a mapping to the file it maps. */
CASE(write_from_own_mapping)
{
    int fd = file_of_pages(2);
    char *map = (char *)NEED(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CALL("write", pwrite(fd, map, PAGE, PAGE));
    observe_number("copied", map[PAGE + 5]);
    CALL("read", pread(fd, map + PAGE, 10, 0));
}
