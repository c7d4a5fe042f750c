/* Programs that execve cases start. They answer by exit code, or by what they write to a
 * descriptor that they are told: observations do not survive execve. */
#include "suite.h"

#include <stdio.h>

HELPER(exit)
{
    return argc > 1 ? atoi(argv[1]) : 0;
}

/* fd arguments...: writes each argument in brackets to the descriptor. */
HELPER(arguments)
{
    int fd = argc > 1 ? atoi(argv[1]) : 1;
    for (int i = 2; i < argc; i++)
        dprintf(fd, "[%s]", argv[i]);
    return 0;
}

/* Writes everything it was started with to descriptor 9; of absolute paths only that. */
HELPER(everything)
{
    for (int i = 0; i < argc; i++)
        dprintf(9, "[%s]", argv[i][0] == '/' ? "path" : argv[i]);
    return 0;
}

/* fd: writes the environment. */
HELPER(environment)
{
    extern char **environ;
    for (char **at = environ; *at; at++)
        dprintf(atoi(argv[1]), "[%s]", *at);
    return 0;
}

/* fd: writes what an execve keeps and resets. */
HELPER(state)
{
    int fd = atoi(argv[1]);
    struct sigaction action;
    sigset_t mask, waiting;
    sigaction(SIGUSR1, NULL, &action);
    dprintf(fd, "handled=%s ", action.sa_handler == SIG_DFL ? "default" : "other");
    sigaction(SIGUSR2, NULL, &action);
    dprintf(fd, "ignored=%s ", action.sa_handler == SIG_IGN ? "ignored" : "other");
    sigprocmask(SIG_BLOCK, NULL, &mask);
    dprintf(fd, "blocked=%d ", sigismember(&mask, SIGTERM));
    sigpending(&waiting);
    dprintf(fd, "pending=%d ", sigismember(&waiting, SIGTERM));
    stack_t stack;
    sigaltstack(NULL, &stack);
    dprintf(fd, "stack=%d ", stack.ss_flags);
    mode_t old = umask(0);
    dprintf(fd, "umask=%o ", (unsigned)old);
    dprintf(fd, "alarm=%d ", RAW(SYS_alarm, 0) > 0);
    dprintf(fd, "nice=%ld ", RAW(SYS_getpriority, 0, 0));
    char name[17] = "";
    RAW(SYS_prctl, 16 /* PR_GET_NAME */, name, 0, 0, 0);
    dprintf(fd, "renamed=%d", strcmp(name, "before") != 0);
    return 0;
}

/* fd numbers...: writes which of the descriptors are open. */
HELPER(descriptors)
{
    for (int i = 2; i < argc; i++)
        dprintf(atoi(argv[1]), "%s=%s ", argv[i],
                fcntl(atoi(argv[i]), F_GETFD) >= 0 ? "open" : "closed");
    return 0;
}

/* fd: writes the process and thread ids. */
HELPER(ids)
{
    dprintf(atoi(argv[1]), "%d %ld", (int)getpid(), RAW(SYS_gettid));
    return 0;
}

HELPER(hang)
{
    for (;;)
        pause();
    return 0;
}
