/* Handlers: what they see, on which stack, with which mask, and how they return. */
#include "suite.h"

#include <sys/ucontext.h>
#include <ucontext.h>

static volatile int count;
static volatile int order[8];

static void count_signal(int signal)
{
    order[count++ & 7] = signal;
}

CASE(rt_sigaction_handler_runs, NEEDS_SIGNALS)
{
    handle(SIGUSR1, count_signal, 0);
    CALL("raise", raise(SIGUSR1));
    observe_number("count", count);
    observe_number("signal", order[0]);
    CALL("again", raise(SIGUSR1));
    observe_number("count", count);
}

CASE(rt_sigaction_old_action, NEEDS_SIGNALS)
{
    struct sigaction action = {0}, old;
    action.sa_handler = count_signal;
    action.sa_flags = SA_RESTART;
    sigaddset(&action.sa_mask, SIGUSR2);
    CALL("first", sigaction(SIGUSR1, &action, &old));
    IS("default", old.sa_handler == SIG_DFL);
    CALL("query", sigaction(SIGUSR1, NULL, &old));
    IS("handler", old.sa_handler == count_signal);
    IS("restart", old.sa_flags & SA_RESTART);
    IS("mask", sigismember(&old.sa_mask, SIGUSR2) && !sigismember(&old.sa_mask, SIGUSR1));
    NEED(signal(SIGUSR1, SIG_IGN));
    NEED(sigaction(SIGUSR1, NULL, &old));
    IS("ignored", old.sa_handler == SIG_IGN);
}

CASE(rt_sigaction_errors)
{
    char action[32] = {0};
    CALL("kill", RAW(SYS_rt_sigaction, SIGKILL, action, 0, 8));
    CALL("stop", RAW(SYS_rt_sigaction, SIGSTOP, action, 0, 8));
    CALL("query_kill", RAW(SYS_rt_sigaction, SIGKILL, 0, action, 8));
    CALL("zero", RAW(SYS_rt_sigaction, 0, 0, action, 8));
    CALL("sixty_five", RAW(SYS_rt_sigaction, 65, 0, action, 8));
    CALL("sixty_four", RAW(SYS_rt_sigaction, 64, 0, action, 8));
    CALL("size", RAW(SYS_rt_sigaction, SIGUSR1, 0, action, 16));
    CALL("bad", RAW(SYS_rt_sigaction, SIGUSR1, BAD_POINTER, 0, 8));
    CALL("bad_old", RAW(SYS_rt_sigaction, SIGUSR1, 0, BAD_POINTER, 8));
}

static void nested(int signal)
{
    count++;
    if (count < 3)
        raise(signal);
    order[count & 7]++;
}

CASE(rt_sigaction_masks_itself, NEEDS_SIGNALS)
{
    handle(SIGUSR1, nested, 0);
    raise(SIGUSR1);
    /* Each ran after the one before had ended. */
    observe_number("count", count);
    observe_number("one_after_the_other", order[1] == 1 && order[2] == 1 && order[3] == 1);
}

CASE(rt_sigaction_nodefer, NEEDS_SIGNALS)
{
    handle(SIGUSR1, nested, SA_NODEFER);
    raise(SIGUSR1);
    observe_number("count", count);
    observe_number("inside_each_other", order[3] == 3);
}

CASE(rt_sigaction_resethand, NEEDS_SIGNALS)
{
    struct sigaction old;
    handle(SIGUSR1, count_signal, SA_RESETHAND);
    raise(SIGUSR1);
    NEED(sigaction(SIGUSR1, NULL, &old));
    IS("default_again", old.sa_handler == SIG_DFL);
    observe_number("count", count);
}

static void raise_other(int signal)
{
    order[count++ & 7] = signal;
    raise(SIGUSR2);
    order[count++ & 7] = -signal;
}

CASE(rt_sigaction_mask_during_handler, NEEDS_SIGNALS)
{
    struct sigaction action = {0};
    action.sa_handler = raise_other;
    handle(SIGUSR2, count_signal, 0);
    NEED(sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    for (int i = 0; i < 3; i++)
        observe_number("nested", order[i]);
    count = 0;
    sigaddset(&action.sa_mask, SIGUSR2);
    NEED(sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    for (int i = 0; i < 3; i++)
        observe_number("masked", order[i]);
}

/* Ignoring a signal throws away a pending one. */
CASE(rt_sigaction_ignore_discards, NEEDS_SIGNALS)
{
    sigset_t set, waiting;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL));
    raise(SIGUSR1);
    NEED(sigpending(&waiting));
    observe_number("pending", sigismember(&waiting, SIGUSR1));
    NEED(signal(SIGUSR1, SIG_IGN));
    NEED(sigpending(&waiting));
    observe_number("pending", sigismember(&waiting, SIGUSR1));
    handle(SIGUSR1, count_signal, 0);
    NEED(sigprocmask(SIG_UNBLOCK, &set, NULL));
    observe_number("count", count);
}

/* Unblocking delivers everything that waits before the call returns, lowest number first. */
CASE(rt_sigaction_delivery_order, NEEDS_SIGNALS)
{
    sigset_t all;
    sigfillset(&all);
    handle(SIGUSR1, count_signal, 0);
    handle(SIGUSR2, count_signal, 0);
    handle(SIGTERM, count_signal, 0);
    handle(SIGHUP, count_signal, 0);
    NEED(sigprocmask(SIG_BLOCK, &all, NULL));
    raise(SIGTERM);
    raise(SIGUSR2);
    raise(SIGHUP);
    raise(SIGUSR1);
    NEED(sigprocmask(SIG_UNBLOCK, &all, NULL));
    /* Frames are built lowest first, so the handlers run highest first. */
    for (int i = 0; i < 4; i++)
        observe_signal("ran", order[i]);
}

/* --- siginfo --- */

static siginfo_t info;

static void keep_info(int signal, siginfo_t *from, void *context)
{
    (void)signal;
    (void)context;
    info = *from;
    count++;
}

CASE(rt_sigaction_info_of_kill, NEEDS_SIGNALS)
{
    handle_info(SIGUSR1, keep_info, 0);
    NEED(kill(getpid(), SIGUSR1));
    observe_number("signal", info.si_signo);
    observe_number("code", info.si_code);
    observe_number("errno", info.si_errno);
    IS("pid", info.si_pid == getpid());
    IS("uid", info.si_uid == getuid());
}

CASE(rt_sigaction_info_of_tgkill, NEEDS_SIGNALS)
{
    handle_info(SIGUSR1, keep_info, 0);
    NEED(RAW(SYS_tgkill, getpid(), RAW(SYS_gettid), SIGUSR1));
    observe_number("code", info.si_code);
    IS("pid", info.si_pid == getpid());
    NEED(RAW(SYS_tkill, RAW(SYS_gettid), SIGUSR1));
    observe_number("code", info.si_code);
}
ALSO(rt_sigaction_info_of_tgkill, "tgkill tkill");

CASE(rt_sigaction_info_of_sigqueue, NEEDS_SIGNALS)
{
    union sigval value = {.sival_ptr = (void *)0x123456789abcL};
    handle_info(SIGRTMIN + 1, keep_info, 0);
    CALL("queue", sigqueue(getpid(), SIGRTMIN + 1, value));
    observe_number("code", info.si_code);
    IS("pid", info.si_pid == getpid());
    observe_hex("value", (unsigned long)info.si_value.sival_ptr);
}

CASE(rt_sigaction_info_of_child, NEEDS_SIGNALS | NEEDS_FORK)
{
    handle_info(SIGCHLD, keep_info, 0);
    CHILD(child)
    {
        _exit(42);
    }
    while (!count)
        sleep_ms(1);
    observe_number("code", info.si_code);
    IS("pid", info.si_pid == child);
    observe_number("status", info.si_status);
    await(child);
    count = 0;
    CHILD(killed)
    {
        kill(getpid(), SIGTERM);
        pause();
    }
    while (!count)
        sleep_ms(1);
    observe_number("code", info.si_code);
    observe_number("status", info.si_status);
    await(killed);
}

/* --- ucontext --- */

static void skip_instruction(int signal, siginfo_t *from, void *context)
{
    ucontext_t *user = context;
    (void)signal;
    (void)from;
    user->uc_mcontext.gregs[REG_RIP] += 2;
    user->uc_mcontext.gregs[REG_RAX] = 1234;
    user->uc_mcontext.gregs[REG_R12] ^= 0xff;
}

CASE(rt_sigreturn_changed_registers, NEEDS_SIGNALS)
{
    long result, other;
    handle_info(SIGILL, skip_instruction, 0);
    __asm__ volatile("mov $5, %%r12\n ud2\n mov %%rax, %0\n mov %%r12, %1\n"
                     : "=&r"(result), "=&r"(other)
                     :
                     : "rax", "r12", "memory");
    observe_number("result", result);
    observe_number("other", other);
}

static void change_vector(int signal, siginfo_t *from, void *context)
{
    ucontext_t *user = context;
    (void)signal;
    (void)from;
    /* xmm3 in the saved state */
    memset(user->uc_mcontext.fpregs->_xmm[3].element, 0x77, 16);
    __asm__ volatile("pxor %%xmm3, %%xmm3\n pxor %%xmm5, %%xmm5" : : : "xmm3", "xmm5");
    user->uc_mcontext.gregs[REG_RIP] += 2;
}

CASE(rt_sigreturn_vector_registers, NEEDS_SIGNALS)
{
    unsigned char before[16], third[16], fifth[16];
    memset(before, 0x11, sizeof before);
    handle_info(SIGILL, change_vector, 0);
    __asm__ volatile("movdqu (%2), %%xmm3\n movdqu (%2), %%xmm5\n ud2\n"
                     "movdqu %%xmm3, (%0)\n movdqu %%xmm5, (%1)\n"
                     :
                     : "r"(third), "r"(fifth), "r"(before)
                     : "xmm3", "xmm5", "memory");
    observe_hex("changed", third[0]);
    observe_hex("restored", fifth[15]);
}

static void change_mask(int signal, siginfo_t *from, void *context)
{
    ucontext_t *user = context;
    (void)signal;
    (void)from;
    sigaddset(&user->uc_sigmask, SIGUSR2);
}

CASE(rt_sigreturn_changed_mask, NEEDS_SIGNALS)
{
    sigset_t now;
    handle_info(SIGUSR1, change_mask, 0);
    raise(SIGUSR1);
    NEED(sigprocmask(SIG_BLOCK, NULL, &now));
    observe_number("usr2", sigismember(&now, SIGUSR2));
    observe_number("usr1", sigismember(&now, SIGUSR1));
}

static volatile unsigned long seen_flags, seen_rip, seen_cs, seen_rsp, handler_rsp;

static void look_around(int signal, siginfo_t *from, void *context)
{
    ucontext_t *user = context;
    unsigned long flags;
    (void)signal;
    (void)from;
    __asm__ volatile("pushf\n pop %0" : "=r"(flags));
    seen_flags = flags;
    seen_rip = (unsigned long)user->uc_mcontext.gregs[REG_RIP];
    seen_cs = (unsigned long)user->uc_mcontext.gregs[REG_CSGSFS];
    seen_rsp = (unsigned long)user->uc_mcontext.gregs[REG_RSP];
    handler_rsp = (unsigned long)__builtin_frame_address(0);
    user->uc_mcontext.gregs[REG_RIP] += 2;
}

CASE(rt_sigreturn_frame, NEEDS_SIGNALS)
{
    unsigned long rip, rsp, flags;
    handle_info(SIGILL, look_around, 0);
    __asm__ volatile("lea 1f(%%rip), %0\n mov %%rsp, %1\n std\n 1: ud2\n pushf\n pop %2\n cld\n"
                     : "=&r"(rip), "=&r"(rsp), "=&r"(flags)
                     :
                     : "memory", "cc");
    IS("rip", seen_rip == rip);
    IS("rsp", seen_rsp == rsp);
    observe_hex("code_segment", seen_cs & 0xffff);
    IS("direction_clear_in_handler", !(seen_flags & 0x400));
    IS("direction_restored", flags & 0x400);
    IS("red_zone_skipped", rsp - handler_rsp >= 128);
    IS("aligned", (handler_rsp & 15) == 0);
}

/* --- alternate stack --- */

static volatile int on_stack;
static stack_t during;
static char *alternate;

static void check_stack(int signal)
{
    char here;
    (void)signal;
    on_stack = &here >= alternate && &here < alternate + 16 * PAGE;
    sigaltstack(NULL, &during);
    count++;
}

CASE(sigaltstack_used, NEEDS_SIGNALS)
{
    alternate = pages(16);
    stack_t stack = {.ss_sp = alternate, .ss_size = 16 * PAGE}, now;
    CALL("before", sigaltstack(NULL, &now));
    observe_number("flags", now.ss_flags);
    CALL("set", sigaltstack(&stack, NULL));
    handle(SIGUSR1, check_stack, SA_ONSTACK);
    raise(SIGUSR1);
    observe_number("on_stack", on_stack);
    observe_number("flags_inside", during.ss_flags);
    handle(SIGUSR1, check_stack, 0);
    raise(SIGUSR1);
    observe_number("without_flag", on_stack);
    NEED(sigaltstack(NULL, &now));
    IS("kept", now.ss_sp == alternate && now.ss_size == 16 * PAGE && now.ss_flags == 0);
}

CASE(sigaltstack_errors, NEEDS_SIGNALS)
{
    char *memory = pages(4);
    stack_t small = {.ss_sp = memory, .ss_size = 1000};
    stack_t unknown = {.ss_sp = memory, .ss_size = 4 * PAGE, .ss_flags = 77};
    stack_t off = {.ss_flags = SS_DISABLE}, now;
    CALL("too_small", sigaltstack(&small, NULL));
    CALL("unknown_flags", sigaltstack(&unknown, NULL));
    CALL("bad", RAW(SYS_sigaltstack, BAD_POINTER, 0));
    CALL("bad_old", RAW(SYS_sigaltstack, 0, BAD_POINTER));
    CALL("disable", sigaltstack(&off, &now));
    observe_number("flags", now.ss_flags);
}

static volatile int change_error;

static void change_stack_inside(int signal)
{
    stack_t other = {.ss_sp = alternate, .ss_size = 8 * PAGE};
    (void)signal;
    change_error = sigaltstack(&other, NULL) == 0 ? 0 : errno;
}

CASE(sigaltstack_busy, NEEDS_SIGNALS)
{
    alternate = pages(16);
    stack_t stack = {.ss_sp = alternate, .ss_size = 16 * PAGE};
    NEED(sigaltstack(&stack, NULL));
    handle(SIGUSR1, change_stack_inside, SA_ONSTACK);
    raise(SIGUSR1);
    observe_error("inside", change_error);
}

CASE(sigaltstack_nested_signals, NEEDS_SIGNALS)
{
    alternate = pages(16);
    stack_t stack = {.ss_sp = alternate, .ss_size = 16 * PAGE};
    NEED(sigaltstack(&stack, NULL));
    handle(SIGUSR1, nested, SA_ONSTACK | SA_NODEFER);
    raise(SIGUSR1);
    observe_number("inside_each_other", order[3] == 3);
}

#include <setjmp.h>

static sigjmp_buf overflowed;

static void leave_overflow(int signal)
{
    (void)signal;
    siglongjmp(overflowed, 1);
}

static int deeper(int depth)
{
    volatile char space[4000];
    space[depth % 4000] = (char)depth;
    return depth < 0 ? 0 : deeper(depth + 1) + space[depth % 4000];
}

CASE(sigaltstack_stack_overflow, NEEDS_SIGNALS)
{
    unsigned long limit[2] = {1 << 20, 1 << 20};
    alternate = pages(16);
    stack_t stack = {.ss_sp = alternate, .ss_size = 16 * PAGE};
    NEED(RAW(SYS_prlimit64, 0, 3 /* RLIMIT_STACK */, limit, 0));
    NEED(sigaltstack(&stack, NULL));
    handle(SIGSEGV, leave_overflow, SA_ONSTACK);
    for (int i = 0; i < 2; i++) {
        if (sigsetjmp(overflowed, 1) == 0)
            deeper(0);
        IS("caught", 1);
    }
}

/* Without a stack to run on, the handler cannot be called. */
CASE(sigaltstack_none_for_overflow, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(child)
    {
        unsigned long limit[2] = {1 << 20, 1 << 20};
        NEED(RAW(SYS_prlimit64, 0, 3, limit, 0));
        handle(SIGSEGV, count_signal, 0);
        deeper(0);
    }
    observe_status("child", await(child));
}

CASE(sigaltstack_autodisarm, NEEDS_SIGNALS)
{
    alternate = pages(16);
    stack_t stack = {
        .ss_sp = alternate, .ss_size = 16 * PAGE, .ss_flags = (int)(1U << 31)};
    stack_t now;
    CALL("set", sigaltstack(&stack, NULL));
    handle(SIGUSR1, check_stack, SA_ONSTACK);
    raise(SIGUSR1);
    observe_number("on_stack", on_stack);
    observe_number("flags_inside", during.ss_flags);
    NEED(sigaltstack(NULL, &now));
    IS("armed_again", now.ss_sp == alternate && now.ss_flags == (int)(1U << 31));
}
