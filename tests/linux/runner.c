/* The runner: lists cases, runs them, and prints one line for each.
 *
 *   runner --list                       "name needs file" for each case, in order
 *   runner --all [options]              runs all cases
 *   runner --run NAME... [options]      runs the named cases
 *   runner --coverage                   cases per system call
 *
 *   --from N         with --all: start at case N of the list (0 is the first)
 *   --match TEXT     only cases whose name or file contains TEXT
 *   --without NEEDS  leave out cases that need one of fork,threads,signals,exec,root,proc,
 *                    terminal,sockets
 *   --no-fork        run the cases in this process, one after the other, without deadline;
 *                    implies --without fork,exec
 *   --deadline S     seconds per case (default 10)
 *   --repeat N       run everything N times
 *
 * Output: "run NAME" when a case starts and "case NAME: observations" when it has ended, so
 * that whoever reads knows which case hung; "end" after the last. */
#include <dirent.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/resource.h>

#include "names.h"
#include "observe.h"
#include "suite.h"

extern const struct test_case *const __start_suite_cases[];
extern const struct test_case *const __stop_suite_cases[];
extern const struct helper *const __start_suite_helpers[];
extern const struct helper *const __stop_suite_helpers[];

extern const struct also *const __start_suite_also[];
extern const struct also *const __stop_suite_also[];

static const char *const NEEDS[] = {"fork", "threads", "signals",  "exec",
                                    "root", "proc",    "terminal", "sockets"};

struct options {
    const char *match;
    unsigned without;
    unsigned from;
    unsigned deadline;
    unsigned repeat;
    int no_fork;
    char **names;
    int name_count;
};

static char program[PATH_MAX];
static char scratch[PATH_MAX];
static jmp_buf case_end;
static pid_t case_process;
static int in_process;
static volatile pid_t running;
static volatile sig_atomic_t late;

const char *runner_path(void)
{
    return program;
}

static void print(const char *text, size_t length)
{
    while (length > 0) {
        long written = write(STDOUT_FILENO, text, length);
        if (written <= 0)
            _exit(3);
        text += written;
        length -= (size_t)written;
    }
}

static void print_text(const char *text)
{
    print(text, strlen(text));
}

void stop_case(int line, int error)
{
    char key[32];
    snprintf(key, sizeof key, "stopped_at_%d", line);
    observe_error(key, error);
    if (in_process && getpid() == case_process)
        longjmp(case_end, 1);
    _exit(in_process || getpid() != case_process ? 99 : 0);
}

/* Removes what a case left in its directory; it may have taken away permissions. */
static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL && chmod(path, 0700) == 0)
        directory = opendir(path);
    if (directory != NULL) {
        struct dirent *entry;
        while ((entry = readdir(directory)) != NULL) {
            char inner[PATH_MAX];
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if (strlen(path) + strlen(entry->d_name) + 2 > sizeof inner)
                continue;
            strcpy(inner, path);
            strcat(inner, "/");
            strcat(inner, entry->d_name);
            if (unlink(inner) != 0)
                remove_tree(inner);
        }
        closedir(directory);
    }
    rmdir(path);
}

/* A fresh directory per case; early kernels cannot make one, and the case runs all the same. */
static void enter_scratch(unsigned index)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/suite.%d.%u", base ? base : "/tmp", (int)getpid(),
             index);
    if (mkdir(scratch, 0777) != 0 || chdir(scratch) != 0)
        scratch[0] = '\0';
}

static void leave_scratch(void)
{
    if (scratch[0] == '\0')
        return;
    if (chdir("/") == 0)
        remove_tree(scratch);
}

static void on_deadline(int signal)
{
    (void)signal;
    late = 1;
    if (running > 0)
        kill(-running, SIGKILL);
}

static void print_record(const char *name, const char *ended)
{
    static char line[RECORD_LIMIT + 512];
    unsigned length;
    const char *text = record_text(&length);
    size_t at = (size_t)snprintf(line, 256, "case %s:", name);
    memcpy(line + at, text, length);
    at += length;
    at += (size_t)snprintf(line + at, 128, "%s\n", ended);
    print(line, at);
}

/* Cases count on free descriptor numbers from 3. Early kernels have no close_range. */
static void close_others(void)
{
    enum { CLOSE_RANGE = 436 };
    if (RAW(CLOSE_RANGE, 3, ~0U, 0) != 0)
        for (int fd = 3; fd < 256; fd++)
            close(fd);
}

static void run_here(const struct test_case *test)
{
    case_process = getpid();
    if (setjmp(case_end) == 0)
        test->body();
    umask(022);
    close_others();
    print_record(test->name, "");
}

static void run_forked(const struct test_case *test, unsigned deadline)
{
    late = 0;
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        case_process = getpid();
        test->body();
        _exit(0);
    }
    if (child < 0) {
        print_record(test->name, " ended=no_fork");
        return;
    }
    setpgid(child, child);
    running = child;
    alarm(deadline);
    int status = await(child);
    alarm(0);
    running = 0;
    kill(-child, SIGKILL);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    char ended[64] = "";
    if (late)
        strcpy(ended, " ended=hang");
    else if (WIFSIGNALED(status))
        snprintf(ended, sizeof ended, " ended=signal:%d", WTERMSIG(status));
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        snprintf(ended, sizeof ended, " ended=exit:%d", WEXITSTATUS(status));
    print_record(test->name, ended);
}

static int selected(const struct test_case *test, const struct options *options)
{
    if (test->needs & options->without)
        return 0;
    if (options->match && !strstr(test->name, options->match) &&
        !strstr(test->file, options->match))
        return 0;
    if (options->name_count == 0)
        return 1;
    for (int i = 0; i < options->name_count; i++)
        if (strcmp(options->names[i], test->name) == 0)
            return 1;
    return 0;
}

static void run_one(const struct test_case *test, unsigned index, const struct options *options)
{
    char line[256];
    int length = snprintf(line, sizeof line, "run %s\n", test->name);
    print(line, (size_t)length);
    record_clear();
    enter_scratch(index);
    if (options->no_fork)
        run_here(test);
    else
        run_forked(test, options->deadline);
    leave_scratch();
}

/* Cases die on purpose; their core files would only cost time. */
static void limit_core_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &limit);
    }
}

static int run(const struct options *options)
{
    in_process = options->no_fork;
    umask(022);
    limit_core_files();
    close_others();
    if (!options->no_fork) {
        record_share();
        handle(SIGALRM, on_deadline, 0);
    }
    for (unsigned round = 0; round < options->repeat; round++) {
        unsigned index = 0;
        for (const struct test_case *const *at = __start_suite_cases; at < __stop_suite_cases;
             at++, index++)
            if (index >= options->from && selected(*at, options))
                run_one(*at, index, options);
    }
    print_text("end\n");
    return 0;
}

static void list(const struct options *options)
{
    for (const struct test_case *const *at = __start_suite_cases; at < __stop_suite_cases; at++) {
        char line[512];
        if (!selected(*at, options))
            continue;
        size_t length = (size_t)snprintf(line, sizeof line, "%s ", (*at)->name);
        unsigned any = 0;
        for (unsigned need = 0; need < COUNT(NEEDS); need++)
            if ((*at)->needs & 1u << need)
                length += (size_t)snprintf(line + length, 64, "%s%s", any++ ? "," : "",
                                           NEEDS[need]);
        length += (size_t)snprintf(line + length, 128, "%s %s\n", any ? "" : "-", (*at)->file);
        print(line, length);
    }
}

static int has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at++)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return 1;
    return 0;
}

static int coverage(void)
{
    int strays = 0;
    for (const struct test_case *const *at = __start_suite_cases; at < __stop_suite_cases; at++)
        if (call_of_case((*at)->name) == NULL && strncmp((*at)->name, "abi_", 4) != 0) {
            print_text("no system call of this name: ");
            print_text((*at)->name);
            print_text("\n");
            strays++;
        }
    for (unsigned index = 0; call_at(index) != NULL; index++) {
        const char *call = call_at(index);
        unsigned count = 0;
        for (const struct test_case *const *at = __start_suite_cases; at < __stop_suite_cases;
             at++) {
            const char *covered = call_of_case((*at)->name);
            count += covered != NULL && strcmp(covered, call) == 0;
        }
        for (const struct also *const *at = __start_suite_also; at < __stop_suite_also; at++)
            count += has_word((*at)->calls, call) != 0;
        char line[128];
        int length = snprintf(line, sizeof line, "%u %s\n", count, call);
        print(line, (size_t)length);
    }
    return strays ? 1 : 0;
}

static unsigned parse_needs(const char *text)
{
    unsigned needs = 0;
    for (unsigned need = 0; need < COUNT(NEEDS); need++)
        if (strstr(text, NEEDS[need]))
            needs |= 1u << need;
    return needs;
}

static int usage(void)
{
    print_text("usage: runner --list | --coverage | --all [--from N] | --run NAME...\n"
               "       [--match TEXT] [--without NEEDS] [--no-fork] [--deadline S] [--repeat N]\n");
    return 2;
}

/* --helper NAME arguments: the helper sees NAME as its first. --helper=NAME, for scripts, which
 * can pass only one argument of their own: the helper sees everything. */
static int run_helper(const char *name, int argc, char **argv)
{
    for (const struct helper *const *at = __start_suite_helpers; at < __stop_suite_helpers; at++)
        if (strcmp((*at)->name, name) == 0)
            return (*at)->body(argc, argv);
    return 98;
}

/* The path of this file, absolute: cases change directory. */
static void find_program(void)
{
    const char *name = (const char *)getauxval(AT_EXECFN);
    if (name == NULL)
        return;
    if (name[0] != '/' && getcwd(program, sizeof program / 2) != NULL)
        strcat(program, "/");
    if (strlen(program) + strlen(name) < sizeof program)
        strcat(program, name);
}

/* Whoever started the runner may ignore signals (nohup) or block them; cases must not see that. */
static void take_default_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int main(int argc, char **argv)
{
    struct options options = {.deadline = 10, .repeat = 1};
    int mode = 0;
    if (argc > 2 && strcmp(argv[1], "--helper") == 0)
        return run_helper(argv[2], argc - 2, argv + 2);
    if (argc > 1 && strncmp(argv[1], "--helper=", 9) == 0)
        return run_helper(argv[1] + 9, argc, argv);
    find_program();
    take_default_signals();
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(word, "--list") == 0 || strcmp(word, "--all") == 0 ||
            strcmp(word, "--coverage") == 0) {
            mode = word[2];
        } else if (strcmp(word, "--run") == 0) {
            mode = 'a';
            options.names = argv + i + 1;
            while (i + 1 < argc && argv[i + 1][0] != '-') {
                options.name_count++;
                i++;
            }
        } else if (strcmp(word, "--no-fork") == 0) {
            options.no_fork = 1;
            options.without |= NEEDS_FORK | NEEDS_EXEC;
        } else if (strcmp(word, "--from") == 0) {
            options.from = (unsigned)atoi(value);
            i++;
        } else if (strcmp(word, "--match") == 0) {
            options.match = value;
            i++;
        } else if (strcmp(word, "--without") == 0) {
            options.without |= parse_needs(value);
            i++;
        } else if (strcmp(word, "--deadline") == 0) {
            options.deadline = (unsigned)atoi(value);
            i++;
        } else if (strcmp(word, "--repeat") == 0) {
            options.repeat = (unsigned)atoi(value);
            i++;
        } else {
            return usage();
        }
    }
    switch (mode) {
    case 'l':
        list(&options);
        return 0;
    case 'c':
        return coverage();
    case 'a':
        return run(&options);
    default:
        return usage();
    }
}
