/* execve: what the new program gets, what it keeps, and what is refused. */
#include "suite.h"

#include <pthread.h>
#include <spawn.h>
#include <stdio.h>

static char output[2048];

static void collect_output(int fd)
{
    unsigned length = 0;
    long got;
    while ((got = read(fd, output + length, sizeof output - 1 - length)) > 0)
        length += (unsigned)got;
    NEED(close(fd));
}

/* Starts a helper with `extra` arguments and collects what it writes to descriptor 9. */
static int start_helper(char *const *extra, char *const *environment, void (*prepare)(void))
{
    int ends[2];
    char *arguments[24] = {"runner", "--helper"};
    for (int i = 0; extra[i]; i++)
        arguments[i + 2] = extra[i];
    memset(output, 0, sizeof output);
    NEED(pipe(ends));
    CHILD(child)
    {
        NEED(dup2(ends[1], 9));
        NEED(close(ends[0]));
        if (prepare)
            prepare();
        execve(runner_path(), arguments, environment);
        observe_error("execve", errno);
        _exit(111);
    }
    NEED(close(ends[1]));
    collect_output(ends[0]);
    return await(child);
}

#define START(environment, prepare, ...)                                                      \
    observe_status("status",                                                                  \
                   start_helper((char *[]){__VA_ARGS__, NULL}, environment, prepare))

static char *no_environment[] = {NULL};

CASE(execve_arguments, NEEDS_EXEC | NEEDS_FORK)
{
    START(no_environment, NULL, "arguments", "9", "one", "", "with space", "\xc3\xa4", "last");
    observe_text("output", output);
}

CASE(execve_environment, NEEDS_EXEC | NEEDS_FORK)
{
    char *environment[] = {"A=1", "EMPTY=", "NOEQUALS", "A=2", NULL};
    START(environment, NULL, "environment", "9");
    observe_text("output", output);
    START(no_environment, NULL, "environment", "9");
    observe_text("output", output);
}

CASE(execve_exit_code, NEEDS_EXEC | NEEDS_FORK)
{
    START(no_environment, NULL, "exit", "0");
    START(no_environment, NULL, "exit", "77");
    START(no_environment, NULL, "exit", "-1");
}

static void set_state(void)
{
    sigset_t set;
    stack_t stack = {.ss_sp = pages(16), .ss_size = 16 * PAGE};
    handle(SIGUSR1, (void (*)(int))(uintptr_t)abort, 0);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    raise(SIGTERM);
    NEED(sigaltstack(&stack, NULL));
    umask(0125);
    alarm(100);
    NEED(RAW(SYS_setpriority, 0, 0, 3));
    NEED(RAW(SYS_prctl, 15 /* PR_SET_NAME */, "before", 0, 0, 0));
}

CASE(execve_keeps_and_resets, NEEDS_EXEC | NEEDS_FORK | NEEDS_SIGNALS)
{
    START(no_environment, set_state, "state", "9");
    observe_text("output", output);
}

static void open_descriptors(void)
{
    NEED(dup2(0, 20));
    NEED(dup3(0, 21, O_CLOEXEC));
    NEED(dup2(0, 22));
    NEED(fcntl(22, F_SETFD, FD_CLOEXEC));
    NEED(dup2(22, 23));
}

CASE(execve_close_on_exec, NEEDS_EXEC | NEEDS_FORK)
{
    START(no_environment, open_descriptors, "descriptors", "9", "20", "21", "22", "23");
    observe_text("output", output);
}

static void announce(void)
{
    NEED(dprintf(9, "%d %d ", (int)getpid(), (int)getpid()));
}

CASE(execve_keeps_the_process, NEEDS_EXEC | NEEDS_FORK)
{
    int before = 0, again = 1, after = 2, thread = 3;
    START(no_environment, announce, "ids", "9");
    sscanf(output, "%d %d %d %d", &before, &again, &after, &thread);
    IS("same", before == again && again == after && after == thread);
}

static void *execute_in_thread(void *argument)
{
    dprintf(9, "%d %d ", (int)getpid(), (int)getpid());
    char *arguments[] = {"runner", "--helper", "ids", "9", NULL};
    execve(runner_path(), arguments, no_environment);
    return argument;
}

static void execute_from_thread(void)
{
    pthread_t thread;
    NEED0(pthread_create(&thread, NULL, execute_in_thread, NULL));
    for (;;)
        pause();
}

/* The thread takes over the id of its process, and the others vanish. */
CASE(execve_from_thread, NEEDS_EXEC | NEEDS_FORK | NEEDS_THREADS)
{
    int before = 0, again = 1, after = 2, thread = 3;
    START(no_environment, execute_from_thread, "exit", "0");
    sscanf(output, "%d %d %d %d", &before, &again, &after, &thread);
    IS("same", before == again && again == after && after == thread);
}

CASE(execve_missing_files)
{
    char *arguments[] = {"x", NULL};
    CALL("missing", execve("./none", arguments, no_environment));
    CALL("empty", execve("", arguments, no_environment));
    CALL("directory", execve(".", arguments, no_environment));
    CALL("bad_path", RAW(SYS_execve, BAD_POINTER, arguments, no_environment));
    put_file("f", "");
    CALL("below_file", execve("f/x", arguments, no_environment));
    NEED(symlink("loop", "loop"));
    CALL("loop", execve("loop", arguments, no_environment));
}

CASE(execve_not_executable)
{
    char *arguments[] = {"x", NULL};
    put_file("plain", "#!/bin/sh\n");
    CALL("no_permission", execve("plain", arguments, no_environment));
    put_file("empty", "");
    NEED(chmod("empty", 0755));
    CALL("empty", execve("empty", arguments, no_environment));
    put_file("text", "hello world, this is no program at all\n");
    NEED(chmod("text", 0755));
    CALL("text", execve("text", arguments, no_environment));
    put_file("short", "\x7f" "ELF");
    NEED(chmod("short", 0755));
    CALL("short_elf", execve("short", arguments, no_environment));
}

static void put_program(const char *name, const unsigned char *bytes, size_t length)
{
    int fd = (int)NEED(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755));
    NEED(write(fd, bytes, length));
    NEED(close(fd));
}

CASE(execve_wrong_elf)
{
    char *arguments[] = {"x", NULL};
    unsigned char header[120] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    header[16] = 2;  /* executable */
    header[18] = 62; /* x86-64 */
    header[20] = 1;
    header[52] = 64;
    header[54] = 56;
    put_program("none", header, sizeof header);
    CALL("no_headers", execve("none", arguments, no_environment));
    header[56] = 1;
    header[32] = 64;
    header[54] = 32;
    put_program("size", header, sizeof header);
    CALL("header_size", execve("size", arguments, no_environment));
    header[54] = 56;
    header[18] = 183; /* AArch64 */
    put_program("machine", header, sizeof header);
    CALL("other_machine", execve("machine", arguments, no_environment));
    header[18] = 62;
    header[16] = 1; /* relocatable */
    put_program("object", header, sizeof header);
    CALL("object", execve("object", arguments, no_environment));
    header[16] = 2;
    header[32] = 0xf0; /* headers beyond the end */
    put_program("beyond", header, sizeof header);
    CALL("beyond", execve("beyond", arguments, no_environment));
}

CASE(execve_missing_interpreter)
{
    char *arguments[] = {"x", NULL};
    unsigned char file[256] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    file[16] = 2;
    file[18] = 62;
    file[20] = 1;
    file[32] = 64;
    file[52] = 64;
    file[54] = 56;
    file[56] = 1;
    file[64] = 3;       /* interpreter */
    file[64 + 8] = 200; /* where its name is */
    file[64 + 32] = 14;
    memcpy(file + 200, "/no/such/file", 14);
    put_program("f", file, sizeof file);
    CALL("missing", execve("./f", arguments, no_environment));
    file[213] = 'x';
    put_program("g", file, sizeof file);
    CALL("unterminated", execve("./g", arguments, no_environment));
}

static void make_script(const char *name, const char *first_line)
{
    char text[600];
    snprintf(text, sizeof text, first_line, runner_path());
    put_file(name, text);
    NEED(chmod(name, 0755));
}

static int run_script(const char *name)
{
    int ends[2];
    memset(output, 0, sizeof output);
    NEED(pipe(ends));
    CHILD(child)
    {
        char *arguments[] = {"script-argv0", "one", "two", NULL};
        NEED(dup2(ends[1], 9));
        NEED(close(ends[0]));
        execve(name, arguments, no_environment);
        observe_error("execve", errno);
        _exit(111);
    }
    NEED(close(ends[1]));
    collect_output(ends[0]);
    return await(child);
}

/* The interpreter gets one argument, the script's path as it was given, then the rest; the first
 * argument of the call is lost. */
CASE(execve_script_arguments, NEEDS_EXEC | NEEDS_FORK)
{
    make_script("f", "#!%s --helper=everything\n");
    observe_status("status", run_script("./f"));
    observe_text("output", output);
    make_script("g", "#! \t %s   --helper=everything   \t\nsecond line\n");
    observe_status("status", run_script("g"));
    observe_text("output", output);
    make_script("h", "#!%s --helper=everything one argument\n");
    observe_status("spaces_belong_to_the_name", run_script("./h"));
}

CASE(execve_script_without_argument, NEEDS_EXEC | NEEDS_FORK)
{
    /* The runner takes the script's name for an option that it does not know. */
    make_script("f", "#!%s\n");
    NEED(dup2((int)NEED(open("/dev/null", O_WRONLY)), 1));
    observe_status("status", run_script("./f"));
    make_script("no_newline", "#!%s");
    observe_status("no_newline", run_script("./no_newline"));
}

CASE(execve_script_of_script, NEEDS_EXEC | NEEDS_FORK)
{
    make_script("inner", "#!%s --helper=everything\n");
    put_file("outer", "#!./inner outer-argument\n");
    NEED(chmod("outer", 0755));
    observe_status("status", run_script("./outer"));
    observe_text("output", output);
}

CASE(execve_script_depth, NEEDS_EXEC | NEEDS_FORK)
{
    char name[4] = "s0", line[16];
    make_script("s0", "#!%s --helper=everything\n");
    for (int i = 1; i < 8; i++) {
        snprintf(line, sizeof line, "#!./s%d\n", i - 1);
        name[1] = (char)('0' + i);
        put_file(name, line);
        NEED(chmod(name, 0755));
        observe_status("status", run_script(name));
    }
}

CASE(execve_script_errors)
{
    char *arguments[] = {"x", NULL};
    make_script("missing", "#!/no/such/interpreter\n");
    CALL("missing", execve("./missing", arguments, no_environment));
    make_script("empty", "#!\n");
    CALL("no_interpreter", execve("./empty", arguments, no_environment));
    make_script("spaces", "#!   \n");
    CALL("only_spaces", execve("./spaces", arguments, no_environment));
    make_script("itself", "#!./itself\n");
    CALL("itself", execve("./itself", arguments, no_environment));
    make_script("directory", "#!.\n");
    CALL("directory", execve("./directory", arguments, no_environment));
}

CASE(execve_argument_limits)
{
    static char large[140000];
    memset(large, 'x', sizeof large - 1);
    char *arguments[] = {large, NULL};
    CALL("one_too_long", execve(runner_path(), arguments, no_environment));
    static char *many[100];
    large[120000] = '\0';
    for (unsigned i = 0; i < COUNT(many) - 1; i++)
        many[i] = large;
    CALL("too_much", execve(runner_path(), many, no_environment));
    CALL("bad_vector", RAW(SYS_execve, runner_path(), BAD_POINTER, no_environment));
    char *bad[] = {BAD_POINTER, NULL};
    CALL("bad_string", RAW(SYS_execve, runner_path(), bad, no_environment));
}

CASE(execve_large_arguments, NEEDS_EXEC | NEEDS_FORK)
{
    static char large[100001];
    static char *arguments[16] = {"runner", "--helper", "exit", "5"};
    memset(large, 'x', 100000);
    for (int i = 4; i < 14; i++)
        arguments[i] = large;
    CHILD(child)
    {
        execve(runner_path(), arguments, no_environment);
        _exit(99);
    }
    observe_status("child", await(child));
}

/* A program that is running cannot be written, and one that is open for writing cannot run. */
CASE(execve_text_busy, NEEDS_EXEC | NEEDS_FORK)
{
    char buffer[65536];
    int ends[2];
    int from = (int)NEED(open(runner_path(), O_RDONLY));
    int to = (int)NEED(open("copy", O_WRONLY | O_CREAT, 0755));
    long length;
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        NEED(write(to, buffer, (size_t)length));
    char *arguments[] = {"copy", "--helper", "hang", NULL};
    CALL("open_for_writing", execve("./copy", arguments, no_environment));
    NEED(close(to));
    NEED(pipe2(ends, O_CLOEXEC));
    CHILD(child)
    {
        execve("./copy", arguments, no_environment);
        _exit(99);
    }
    NEED(close(ends[1]));
    /* The end of the pipe tells that the other has executed. */
    CALL("executed", read(ends[0], buffer, 1));
    CALL("write_running", open("copy", O_WRONLY));
    CALL("truncate_running", truncate("copy", 0));
    CALL("unlink_running", unlink("copy"));
    NEED(kill(child, SIGKILL));
    observe_status("child", await(child));
}

CASE(execveat_kinds, NEEDS_EXEC | NEEDS_FORK)
{
    char *arguments[] = {"runner", "--helper", "exit", "12", NULL};
    int program = (int)NEED(open(runner_path(), O_RDONLY | O_CLOEXEC));
    CHILD(child)
    {
        RAW(SYS_execveat, program, "", arguments, no_environment, AT_EMPTY_PATH);
        _exit(99);
    }
    observe_status("descriptor", await(child));
    CALL("empty_without_flag", RAW(SYS_execveat, program, "", arguments, no_environment, 0));
    CALL("unknown_flag", RAW(SYS_execveat, AT_FDCWD, runner_path(), arguments, no_environment, 0x40000));
    CALL("closed", RAW(SYS_execveat, 999, "x", arguments, no_environment, 0));
    NEED(symlink(runner_path(), "l"));
    CALL("nofollow",
         RAW(SYS_execveat, AT_FDCWD, "l", arguments, no_environment, AT_SYMLINK_NOFOLLOW));
}

CASE(execveat_relative, NEEDS_EXEC | NEEDS_FORK)
{
    char *arguments[] = {"runner", "--helper", "exit", "13", NULL};
    NEED(mkdir("d", 0755));
    NEED(symlink(runner_path(), "d/l"));
    int directory = (int)NEED(open("d", O_RDONLY));
    CHILD(child)
    {
        RAW(SYS_execveat, directory, "l", arguments, no_environment, 0);
        _exit(99);
    }
    observe_status("relative", await(child));
    CALL("missing", RAW(SYS_execveat, directory, "none", arguments, no_environment, 0));
}

CASE(execve_permission, NEEDS_ROOT | NEEDS_FORK)
{
    char *arguments[] = {"x", NULL};
    put_file("f", "#!/bin/none\n");
    NEED(chmod("f", 0700));
    CALL("root", execve("./f", arguments, no_environment));
    CHILD(child)
    {
        NEED(setresuid(65534, 65534, 65534));
        CALL("other", execve("./f", arguments, no_environment));
    }
    observe_status("child", await(child));
}

CASE(vfork_library_spawn, NEEDS_EXEC | NEEDS_FORK)
{
    extern char **environ;
    char *arguments[] = {"runner", "--helper", "exit", "31", NULL};
    pid_t child = -1;
    observe_error("spawn",
                  posix_spawn(&child, runner_path(), NULL, NULL, arguments, environ));
    observe_status("child", await(child));
    observe_error("missing", posix_spawn(&child, "./none", NULL, NULL, arguments, environ));
}

CASE(vfork_library_spawn_actions, NEEDS_EXEC | NEEDS_FORK)
{
    char *arguments[] = {"runner", "--helper", "arguments", "5", "text", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 5, "out", O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addclose(&actions, 1);
    observe_error("spawn",
                  posix_spawn(&child, runner_path(), &actions, NULL, arguments, no_environment));
    observe_status("child", await(child));
    observe_file("out", "out");
}
