/* /proc and /sys: the shape of what programs read there. */
#include "suite.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/utsname.h>

static char text[65536];

static long load(const char *path)
{
    long length = 0, got;
    memset(text, 0, sizeof text);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -1;
    while ((got = read(fd, text + length, sizeof text - 1 - (size_t)length)) > 0)
        length += got;
    close(fd);
    return length;
}

/* The number behind `key` and a colon or space; -1 without it. */
static long value_of(const char *key)
{
    for (char *at = text; (at = strstr(at, key)) != NULL; at++)
        if (at == text || at[-1] == '\n')
            return strtol(at + strlen(key), NULL, 10);
    return -1;
}

static int has_line(const char *start)
{
    size_t length = strlen(start);
    for (char *at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (strncmp(at, start, length) == 0)
            return 1;
    return 0;
}

CASE(open_proc_self_status, NEEDS_PROC)
{
    static const char *const KEYS[] = {
        "Name:\t", "Umask:\t0022", "State:\tR", "Tgid:\t", "Pid:\t", "PPid:\t", "TracerPid:\t0",
        "Uid:\t", "Gid:\t", "FDSize:\t", "VmPeak:\t", "VmSize:\t", "VmRSS:\t", "Threads:\t1",
        "SigPnd:\t0000000000000000", "SigBlk:\t0000000000000000", "SigIgn:\t", "SigCgt:\t",
        "CapEff:\t", "Cpus_allowed:\t", "voluntary_ctxt_switches:\t"};
    IS("length", load("/proc/self/status") > 500);
    for (unsigned i = 0; i < COUNT(KEYS); i++)
        if (!has_line(KEYS[i]))
            observe_text("missing", KEYS[i]);
    IS("pid", value_of("Pid:") == getpid());
    IS("parent", value_of("PPid:") == getppid());
    IS("uid", value_of("Uid:") == getuid());
    IS("size", value_of("VmSize:") >= value_of("VmRSS:") && value_of("VmRSS:") > 0);
}

CASE(open_proc_self_status_signals, NEEDS_PROC | NEEDS_SIGNALS)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    NEED(raise(SIGUSR1));
    signal(SIGUSR2, SIG_IGN);
    handle(SIGHUP, (void (*)(int))(uintptr_t)abort, 0);
    NEED(load("/proc/self/status"));
    IS("blocked", has_line("SigBlk:\t0000000000000200"));
    IS("pending", has_line("SigPnd:\t0000000000000200"));
    IS("ignored", strtoul(strstr(text, "SigIgn:") + 8, NULL, 16) & 0x800);
    IS("caught", strtoul(strstr(text, "SigCgt:") + 8, NULL, 16) & 1);
}

CASE(open_proc_self_stat, NEEDS_PROC)
{
    int pid, parent, group, session, fields = 0;
    char state;
    NEED(RAW(SYS_prctl, 15, "a (b) c", 0, 0, 0));
    NEED(load("/proc/self/stat"));
    char *name = strchr(text, '('), *end = strrchr(text, ')');
    *end = '\0';
    observe_text("name", name + 1);
    pid = atoi(text);
    sscanf(end + 2, "%c %d %d %d", &state, &parent, &group, &session);
    IS("pid", pid == getpid());
    observe_number("state", state);
    IS("parent", parent == getppid());
    IS("group", group == getpgid(0));
    IS("session", session == getsid(0));
    for (char *at = end + 2; *at; at++)
        fields += *at == ' ';
    observe_number("fields", fields + 3);
}

CASE(open_proc_self_maps, NEEDS_PROC)
{
    char *memory = (char *)NEED(mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    char expected[128];
    unsigned long last = 0, begin, end, wrong = 0, lines = 0;
    NEED(mprotect(memory + PAGE, PAGE, PROT_NONE));
    NEED(load("/proc/self/maps"));
    snprintf(expected, sizeof expected, "%lx-%lx ---p 00000000 00:00 0 ",
             (unsigned long)memory + PAGE, (unsigned long)memory + 2 * PAGE);
    IS("split", has_line(expected));
    IS("stack", strstr(text, "[stack]") != NULL);
    for (char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        char permissions[8];
        if (sscanf(at, "%lx-%lx %7s", &begin, &end, permissions) != 3 ||
            strlen(permissions) != 4 || begin >= end || begin < last)
            wrong++;
        last = end;
        lines++;
    }
    observe_number("wrong", (long)wrong);
    IS("lines", lines >= 6);
}

CASE(open_proc_self_maps_file, NEEDS_PROC)
{
    char path[PATH_MAX + 8], inode[32];
    struct stat status;
    put_file("mapped file", "x");
    int fd = (int)NEED(open("mapped file", O_RDWR));
    char *memory = (char *)NEED(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    NEED(RAW(SYS_getcwd, path, PATH_MAX));
    strcat(path, "/mapped file\n");
    NEED(load("/proc/self/maps"));
    snprintf(inode, sizeof inode, "%lx-", (unsigned long)memory);
    IS("path", strstr(text, path) != NULL);
    char *line = strstr(text, inode);
    IS("shared", line && strstr(line, " rw-s 00000000 ") != NULL);
    NEED(fstat(fd, &status));
    snprintf(inode, sizeof inode, " %lu ", (unsigned long)status.st_ino);
    IS("inode", line && strstr(line, inode) != NULL);
    NEED(unlink("mapped file"));
    NEED(load("/proc/self/maps"));
    IS("deleted", strstr(text, "/mapped file (deleted)\n") != NULL);
}

CASE(open_proc_self_maps_protection, NEEDS_PROC)
{
    static const struct {
        int protection;
        const char *shown;
    } KINDS[] = {{PROT_READ, "r--p"},
                 {PROT_READ | PROT_WRITE, "rw-p"},
                 {PROT_READ | PROT_EXEC, "r-xp"},
                 {PROT_NONE, "---p"},
                 {PROT_WRITE, "-w-p"}};
    for (unsigned i = 0; i < COUNT(KINDS); i++) {
        char expected[64];
        char *memory = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        NEED(mprotect(memory, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
        NEED(mprotect(memory + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
        NEED(mprotect(memory + PAGE, PAGE, KINDS[i].protection));
        NEED(load("/proc/self/maps"));
        snprintf(expected, sizeof expected, "%lx-%lx %s", (unsigned long)memory + PAGE,
                 (unsigned long)memory + 2 * PAGE, KINDS[i].shown);
        IS(KINDS[i].shown, has_line(expected));
    }
}

CASE(open_proc_self_smaps, NEEDS_PROC)
{
    NEED(load("/proc/self/smaps"));
    IS("size", has_line("Size: "));
    IS("resident", has_line("Rss: "));
    IS("dirty", has_line("Private_Dirty: "));
    IS("flags", has_line("VmFlags: "));
}

CASE(open_proc_self_statm, NEEDS_PROC)
{
    long size, resident, shared;
    NEED(load("/proc/self/statm"));
    IS("numbers", sscanf(text, "%ld %ld %ld", &size, &resident, &shared) == 3);
    IS("order", size >= resident && resident >= shared && resident > 0);
}

CASE(open_proc_self_cmdline, NEEDS_PROC | NEEDS_FORK | NEEDS_EXEC)
{
    int ends[2];
    char path[64], byte;
    NEED(pipe2(ends, O_CLOEXEC));
    CHILD(child)
    {
        char *arguments[] = {"name zero", "--helper", "hang", "", "last one", NULL};
        execve(runner_path(), arguments, (char *[]){"A=1", "B=2", NULL});
        _exit(99);
    }
    NEED(close(ends[1]));
    NEED(read(ends[0], &byte, 1));
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)child);
    long length = load(path);
    observe_bytes("cmdline", text, (size_t)length);
    snprintf(path, sizeof path, "/proc/%d/environ", (int)child);
    length = load(path);
    observe_bytes("environ", text, (size_t)length);
    snprintf(path, sizeof path, "/proc/%d/exe", (int)child);
    char target[PATH_MAX] = "";
    NEED(readlink(path, target, sizeof target - 1));
    IS("exe", strcmp(target, runner_path()) == 0);
    NEED(kill(child, SIGKILL));
    await(child);
    CALL("gone", open(path, O_RDONLY));
}

CASE(open_proc_self_comm, NEEDS_PROC)
{
    char name[17] = "";
    NEED(RAW(SYS_prctl, 15, "renamed", 0, 0, 0));
    NEED(load("/proc/self/comm"));
    observe_text("comm", text);
    int fd = (int)NEED(open("/proc/self/comm", O_WRONLY));
    CALL("write", write(fd, "written", 7));
    NEED(RAW(SYS_prctl, 16, name, 0, 0, 0));
    observe_text("name", name);
}

CASE(readlink_proc_self, NEEDS_PROC)
{
    char target[64] = "", expected[64];
    snprintf(expected, sizeof expected, "%d", (int)getpid());
    NEED(readlink("/proc/self", target, sizeof target));
    IS("self", strcmp(target, expected) == 0);
    memset(target, 0, sizeof target);
    snprintf(expected, sizeof expected, "%d/task/%ld", (int)getpid(), RAW(SYS_gettid));
    NEED(readlink("/proc/thread-self", target, sizeof target));
    IS("thread_self", strcmp(target, expected) == 0);
}

CASE(readlink_proc_self_fd, NEEDS_PROC)
{
    char target[PATH_MAX], path[PATH_MAX], name[64];
    int ends[2];
    put_file("f", "content");
    int fd = (int)NEED(open("f", O_RDONLY));
    NEED(RAW(SYS_getcwd, path, sizeof path));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    memset(target, 0, sizeof target);
    NEED(readlink(name, target, sizeof target - 1));
    strcat(path, "/f");
    IS("file", strcmp(target, path) == 0);
    NEED(unlink("f"));
    memset(target, 0, sizeof target);
    NEED(readlink(name, target, sizeof target - 1));
    strcat(path, " (deleted)");
    IS("deleted", strcmp(target, path) == 0);
    /* It opens all the same. */
    observe_file("open", name);
    NEED(pipe(ends));
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[0]);
    memset(target, 0, sizeof target);
    NEED(readlink(name, target, sizeof target - 1));
    target[6] = '\0';
    observe_text("pipe", target);
    int event = (int)NEED(RAW(SYS_eventfd2, 0, 0));
    snprintf(name, sizeof name, "/proc/self/fd/%d", event);
    memset(target, 0, sizeof target);
    NEED(readlink(name, target, sizeof target - 1));
    observe_text("eventfd", target);
    CALL("missing", readlink("/proc/self/fd/999", target, sizeof target));
}

CASE(getdents64_proc_self_fd, NEEDS_PROC)
{
    DIR *directory;
    struct dirent *entry;
    unsigned long seen = 0;
    NEED(dup2(0, 20));
    directory = opendir("/proc/self/fd");
    if (directory == NULL)
        stop_case(__LINE__, errno);
    while ((entry = readdir(directory)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            seen |= 1UL << atoi(entry->d_name);
    observe_hex("seen", seen);
}

CASE(open_proc_self_fdinfo, NEEDS_PROC)
{
    char path[64];
    put_file("f", "0123456789");
    int fd = (int)NEED(open("f", O_RDWR | O_APPEND | O_CLOEXEC));
    NEED(lseek(fd, 7, SEEK_SET));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    NEED(load(path));
    observe_number("position", value_of("pos:"));
    IS("flags", has_line("flags:\t02102002"));
}

CASE(readlink_proc_self_cwd_and_root, NEEDS_PROC)
{
    char target[PATH_MAX] = "", path[PATH_MAX];
    NEED(RAW(SYS_getcwd, path, sizeof path));
    NEED(readlink("/proc/self/cwd", target, sizeof target));
    IS("cwd", strcmp(target, path) == 0);
    memset(target, 0, sizeof target);
    NEED(readlink("/proc/self/root", target, sizeof target));
    observe_text("root", target);
    memset(target, 0, sizeof target);
    NEED(readlink("/proc/self/exe", target, sizeof target));
    IS("exe", strcmp(target, runner_path()) == 0);
    put_file("f", "through cwd");
    observe_file("cwd", "/proc/self/cwd/f");
}

static void *hold(void *argument)
{
    volatile int *step = argument;
    step[0] = (int)RAW(SYS_gettid);
    wait_until(step + 1, 1);
    return NULL;
}

CASE(getdents64_proc_self_task, NEEDS_PROC | NEEDS_THREADS)
{
    volatile int step[2] = {0, 0};
    char path[64];
    pthread_t thread;
    int count = 0;
    struct dirent *entry;
    NEED0(pthread_create(&thread, NULL, hold, (void *)step));
    wait_until(step, 1);
    DIR *directory = opendir("/proc/self/task");
    if (directory == NULL)
        stop_case(__LINE__, errno);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    observe_number("count", count);
    NEED(load("/proc/self/status"));
    observe_number("threads", value_of("Threads:"));
    snprintf(path, sizeof path, "/proc/self/task/%d/status", step[0]);
    NEED(load(path));
    IS("pid", value_of("Pid:") == step[0] && value_of("Tgid:") == getpid());
    step[1] = 1;
    pthread_join(thread, NULL);
    CALL("gone", open(path, O_RDONLY));
}

CASE(open_proc_zombie, NEEDS_PROC | NEEDS_FORK)
{
    char path[64];
    siginfo_t info;
    CHILD(child)
    {
        _exit(0);
    }
    NEED(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    snprintf(path, sizeof path, "/proc/%d/status", (int)child);
    NEED(load(path));
    IS("zombie", has_line("State:\tZ (zombie)"));
    IS("no_memory", !has_line("VmSize:"));
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)child);
    CALL("empty_cmdline", load(path));
    await(child);
    CALL("gone", load(path));
}

CASE(open_proc_states, NEEDS_PROC | NEEDS_FORK | NEEDS_SIGNALS)
{
    char path[64];
    int status;
    CHILD(child)
    {
        for (;;)
            pause();
    }
    snprintf(path, sizeof path, "/proc/%d/status", (int)child);
    do
        NEED(load(path));
    while (!has_line("State:\tS (sleeping)"));
    NEED(kill(child, SIGSTOP));
    NEED(waitpid(child, &status, WUNTRACED));
    NEED(load(path));
    IS("stopped", has_line("State:\tT (stopped)"));
    NEED(kill(child, SIGKILL));
    await(child);
}

CASE(open_proc_meminfo, NEEDS_PROC)
{
    static const char *const KEYS[] = {"MemTotal:", "MemFree:", "MemAvailable:", "Buffers:",
                                       "Cached:", "SwapTotal:", "SwapFree:", "Shmem:"};
    IS("length", load("/proc/meminfo") > 0);
    for (unsigned i = 0; i < COUNT(KEYS); i++)
        if (value_of(KEYS[i]) < 0)
            observe_text("missing", KEYS[i]);
    IS("free", value_of("MemFree:") <= value_of("MemTotal:"));
    IS("unit", strstr(text, " kB\n") != NULL);
}

CASE(open_proc_cpuinfo, NEEDS_PROC)
{
    unsigned count = 0;
    NEED(load("/proc/cpuinfo"));
    for (char *at = text; (at = strstr(at, "processor\t:")) != NULL; at++)
        count++;
    IS("processors", count >= 1);
    IS("vendor", has_line("vendor_id\t: "));
    IS("flags", has_line("flags\t\t: ") && strstr(text, " sse2 ") && strstr(text, " lm "));
    IS("model", has_line("model name\t: "));
    IS("frequency", has_line("cpu MHz\t\t: "));
}

CASE(open_proc_stat, NEEDS_PROC)
{
    NEED(load("/proc/stat"));
    IS("total", has_line("cpu  "));
    IS("first", has_line("cpu0 "));
    IS("boot_time", value_of("btime") > 1577836800);
    IS("processes", value_of("processes") > 0);
    IS("running", value_of("procs_running") >= 1);
    IS("switches", value_of("ctxt") > 0);
}

CASE(open_proc_uptime_and_load, NEEDS_PROC)
{
    double up, idle, one, five, fifteen;
    int running, total, last;
    NEED(load("/proc/uptime"));
    IS("uptime", sscanf(text, "%lf %lf", &up, &idle) == 2 && up > 0);
    NEED(load("/proc/loadavg"));
    IS("loadavg", sscanf(text, "%lf %lf %lf %d/%d %d", &one, &five, &fifteen, &running, &total,
                         &last) == 6);
    IS("numbers", running >= 1 && total >= running && last >= 1);
}

CASE(open_proc_version, NEEDS_PROC)
{
    struct utsname name;
    NEED(uname(&name));
    NEED(load("/proc/version"));
    IS("linux", strncmp(text, "Linux version ", 14) == 0);
    IS("release", strncmp(text + 14, name.release, strlen(name.release)) == 0);
    NEED(load("/proc/sys/kernel/osrelease"));
    IS("osrelease", strncmp(text, name.release, strlen(name.release)) == 0 &&
                        text[strlen(name.release)] == '\n');
    NEED(load("/proc/sys/kernel/hostname"));
    IS("hostname", strncmp(text, name.nodename, strlen(name.nodename)) == 0);
    NEED(load("/proc/sys/kernel/ostype"));
    observe_text("ostype", text);
}

CASE(open_proc_sys, NEEDS_PROC)
{
    static const char *const FILES[] = {
        "/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max", "/proc/sys/fs/file-max",
        "/proc/sys/fs/pipe-max-size", "/proc/sys/vm/overcommit_memory",
        "/proc/sys/vm/max_map_count", "/proc/sys/kernel/ngroups_max", "/proc/sys/fs/nr_open",
        "/proc/sys/net/core/somaxconn", "/proc/sys/kernel/random/entropy_avail",
        "/proc/sys/kernel/cap_last_cap"};
    for (unsigned i = 0; i < COUNT(FILES); i++) {
        if (load(FILES[i]) <= 0)
            observe_text("missing", FILES[i]);
        else if (!isdigit((unsigned char)text[0]) || text[strlen(text) - 1] != '\n')
            observe_text("no_number", FILES[i]);
    }
    NEED(load("/proc/sys/kernel/random/uuid"));
    IS("uuid", strlen(text) == 37 && text[8] == '-' && text[14] == '4');
    char first[64];
    strcpy(first, text);
    NEED(load("/proc/sys/kernel/random/uuid"));
    IS("changes", strcmp(first, text) != 0);
    NEED(load("/proc/sys/kernel/random/boot_id"));
    strcpy(first, text);
    NEED(load("/proc/sys/kernel/random/boot_id"));
    IS("boot_id_stays", strcmp(first, text) == 0);
}

CASE(open_proc_lists, NEEDS_PROC)
{
    NEED(load("/proc/filesystems"));
    IS("proc", has_line("nodev\tproc"));
    IS("tmpfs", has_line("nodev\ttmpfs"));
    NEED(load("/proc/mounts"));
    IS("root", strstr(text, " / ") != NULL);
    IS("mounted_proc", strstr(text, " /proc proc ") != NULL);
    NEED(load("/proc/self/mountinfo"));
    IS("mountinfo", strstr(text, " - proc ") != NULL);
    NEED(load("/proc/self/limits"));
    IS("limits", has_line("Max open files "));
    NEED(load("/proc/self/cgroup"));
    IS("cgroup", strchr(text, ':') != NULL);
    NEED(load("/proc/self/oom_score_adj"));
    IS("oom", text[strlen(text) - 1] == '\n');
    NEED(load("/proc/self/auxv"));
    IS("auxv", text[0] != 0);
}

CASE(read_proc_partially, NEEDS_PROC)
{
    char part[8], whole[4096];
    long total = 0, got;
    int fd = (int)NEED(open("/proc/self/status", O_RDONLY));
    long size = NEED(read(fd, whole, sizeof whole));
    NEED(lseek(fd, 0, SEEK_SET));
    /* The parts make the same beginning. */
    unsigned wrong = 0;
    while (total < 40 && (got = read(fd, part, sizeof part)) > 0) {
        wrong += memcmp(part, whole + total, (size_t)got) != 0;
        total += got;
    }
    observe_number("wrong", wrong);
    CALL("pread", pread(fd, part, 4, 1));
    IS("same", memcmp(part, whole + 1, 4) == 0);
    CALL("beyond", pread(fd, part, 4, size + 1000));
}

CASE(open_proc_errors, NEEDS_PROC)
{
    struct stat status;
    CALL("missing", open("/proc/none", O_RDONLY));
    CALL("missing_pid", open("/proc/2147483632/stat", O_RDONLY));
    CALL("leading_zero", stat("/proc/01", &status));
    CALL("create", open("/proc/new", O_RDWR | O_CREAT, 0600));
    CALL("mkdir", mkdir("/proc/new", 0755));
    NEED(stat("/proc/version", &status));
    observe_hex("mode", status.st_mode);
    observe_number("size", status.st_size);
    NEED(stat("/proc/self/", &status));
    observe_hex("directory", status.st_mode & S_IFMT);
}

CASE(open_sys_cpu, NEEDS_PROC)
{
    NEED(load("/sys/devices/system/cpu/online"));
    IS("online", text[0] == '0' && strchr(text, '\n') != NULL);
    NEED(load("/sys/devices/system/cpu/possible"));
    IS("possible", text[0] == '0');
    CALL("cpu0", access("/sys/devices/system/cpu/cpu0", F_OK));
}

CASE(open_dev_entries)
{
    static const char *const NAMES[] = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"};
    struct stat status;
    char path[64], target[64] = "";
    for (unsigned i = 0; i < COUNT(NAMES); i++) {
        snprintf(path, sizeof path, "/dev/%s", NAMES[i]);
        NEED(stat(path, &status));
        observe_hex(NAMES[i], status.st_mode & (S_IFMT | 0006));
    }
    NEED(readlink("/dev/fd", target, sizeof target));
    observe_text("fd", target);
    memset(target, 0, sizeof target);
    NEED(readlink("/dev/stdin", target, sizeof target));
    observe_text("stdin", target);
    CALL("shm", access("/dev/shm", F_OK));
}

CASE(open_dev_fd, NEEDS_PROC)
{
    char path[64];
    int ends[2];
    char byte = 0;
    NEED(pipe(ends));
    NEED(write(ends[1], "x", 1));
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    int again = (int)OK("open", open(path, O_RDONLY));
    CALL("read", read(again, &byte, 1));
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    OK("writer", open(path, O_WRONLY));
}
