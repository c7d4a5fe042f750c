/* How a process ends, seen by its parent. */
#include "suite.h"

CASE(exit_group_codes, NEEDS_FORK)
{
    static const int CODES[] = {0, 1, 3, 127, 255, 256, 263, -1};
    for (unsigned i = 0; i < COUNT(CODES); i++) {
        CHILD(child)
        {
            RAW(SYS_exit_group, CODES[i]);
        }
        observe_status("code", await(child));
    }
}

CASE(exit_codes, NEEDS_FORK)
{
    static const int CODES[] = {0, 7, 511};
    for (unsigned i = 0; i < COUNT(CODES); i++) {
        CHILD(child)
        {
            RAW(SYS_exit, CODES[i]);
        }
        observe_status("code", await(child));
    }
}

static void say_handler(void)
{
    observe_text("handler", "ran");
}

CASE(exit_group_library_handlers, NEEDS_FORK)
{
    CHILD(child)
    {
        atexit(say_handler);
        exit(4);
    }
    observe_status("exit", await(child));
    CHILD(quick)
    {
        atexit(say_handler);
        _exit(5);
    }
    observe_status("_exit", await(quick));
}

/* The status that waits for a parent who comes late. */
CASE(exit_zombie_keeps_status, NEEDS_FORK)
{
    CHILD(child)
    {
        _exit(42);
    }
    siginfo_t info = {0};
    CALL("peek", waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    CALL("kill_zombie", kill(child, SIGKILL));
    CALL("signal_zero", kill(child, 0));
    observe_status("status", await(child));
    CALL("gone", kill(child, 0));
}
