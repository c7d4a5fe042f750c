/* Signals that the program's own instructions cause. */
#include "suite.h"

#include <setjmp.h>
#include <sys/ucontext.h>
#include <ucontext.h>

static sigjmp_buf back;
static siginfo_t info;
static unsigned long trap_number, error_code;

static void catch_fault(int signal, siginfo_t *from, void *context)
{
    ucontext_t *user = context;
    (void)signal;
    info = *from;
    trap_number = (unsigned long)user->uc_mcontext.gregs[REG_TRAPNO];
    error_code = (unsigned long)user->uc_mcontext.gregs[REG_ERR];
    siglongjmp(back, 1);
}

static void observe_fault(void *address)
{
    observe_signal("signal", info.si_signo);
    observe_number("code", info.si_code);
    IS("address", info.si_addr == address);
    observe_number("trap", (long)trap_number);
    observe_hex("error", error_code);
}

CASE(rt_sigaction_fault_read, NEEDS_SIGNALS)
{
    char *page = page_before_hole();
    handle_info(SIGSEGV, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)(page + PAGE + 77);
    observe_fault(page + PAGE + 77);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)16;
    observe_fault((void *)16);
}

CASE(rt_sigaction_fault_write, NEEDS_SIGNALS)
{
    char *page = page_before_hole();
    handle_info(SIGSEGV, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)(page + PAGE) = 1;
    observe_fault(page + PAGE);
}

CASE(rt_sigaction_fault_protection, NEEDS_SIGNALS)
{
    char *page = pages(1);
    page[0] = 1;
    handle_info(SIGSEGV, catch_fault, 0);
    NEED(mprotect(page, PAGE, PROT_READ));
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)(page + 5) = 1;
    observe_fault(page + 5);
    NEED(mprotect(page, PAGE, PROT_NONE));
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)(page + 6);
    observe_signal("signal", info.si_signo);
    observe_number("code", info.si_code);
    IS("address", info.si_addr == page + 6);
}

CASE(rt_sigaction_fault_execute, NEEDS_SIGNALS)
{
    char *page = pages(1);
    page[0] = (char)0xc3;
    handle_info(SIGSEGV, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        ((void (*)(void))(uintptr_t)page)();
    observe_fault(page);
}

CASE(rt_sigaction_fault_non_canonical, NEEDS_SIGNALS)
{
    handle_info(SIGSEGV, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)0x8000000000000000UL;
    observe_fault(NULL);
}

CASE(rt_sigaction_fault_kernel_address, NEEDS_SIGNALS)
{
    handle_info(SIGSEGV, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)0xffffffff81000000UL;
    observe_signal("signal", info.si_signo);
    observe_number("code", info.si_code);
    IS("address", info.si_addr == (void *)0xffffffff81000000UL);
}

CASE(rt_sigaction_fault_bus, NEEDS_SIGNALS)
{
    put_file("f", "x");
    int fd = (int)NEED(open("f", O_RDWR));
    char *map = (char *)NEED(mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
    handle_info(SIGBUS, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)(map + PAGE + 3);
    observe_signal("signal", info.si_signo);
    observe_number("code", info.si_code);
    IS("address", info.si_addr == map + PAGE + 3);
    NEED(ftruncate(fd, 0));
    if (sigsetjmp(back, 1) == 0)
        *(volatile char *)map;
    IS("truncated", info.si_addr == map);
}

CASE(rt_sigaction_fault_divide, NEEDS_SIGNALS)
{
    volatile int zero = 0;
    handle_info(SIGFPE, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("mov $1, %%eax\n cdq\n idivl %0" : : "m"(zero) : "eax", "edx");
    observe_signal("signal", info.si_signo);
    observe_number("code", info.si_code);
    observe_number("trap", (long)trap_number);
}

CASE(rt_sigaction_fault_float, NEEDS_SIGNALS)
{
    unsigned unmasked = 0x1f80 & ~0x200u;
    handle_info(SIGFPE, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("ldmxcsr %0\n mov $1, %%eax\n cvtsi2sd %%eax, %%xmm0\n pxor %%xmm1, %%xmm1\n"
                         "divsd %%xmm1, %%xmm0\n"
                         :
                         : "m"(unmasked)
                         : "eax", "xmm0", "xmm1");
    unsigned masked = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(masked));
    observe_signal("signal", info.si_signo);
    observe_number("code", info.si_code);
    observe_number("trap", (long)trap_number);
}

CASE(rt_sigaction_fault_illegal, NEEDS_SIGNALS)
{
    static char *address;
    handle_info(SIGILL, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("lea 1f(%%rip), %%rax\n mov %%rax, %0\n 1: ud2" : "=m"(address) : : "rax");
    observe_signal("signal", info.si_signo);
    observe_number("code", info.si_code);
    IS("address", info.si_addr == address);
    observe_number("trap", (long)trap_number);
}

static void count_trap(int signal, siginfo_t *from, void *context)
{
    (void)signal;
    (void)context;
    info = *from;
    trap_number++;
}

CASE(rt_sigaction_fault_breakpoint, NEEDS_SIGNALS)
{
    handle_info(SIGTRAP, count_trap, 0);
    trap_number = 0;
    __asm__ volatile("int3");
    observe_number("count", (long)trap_number);
    observe_number("code", info.si_code);
    __asm__ volatile("int3");
    observe_number("count", (long)trap_number);
}

CASE(rt_sigaction_fault_single_step, NEEDS_SIGNALS)
{
    handle_info(SIGTRAP, count_trap, 0);
    trap_number = 0;
    __asm__ volatile("pushf\n orq $0x100, (%%rsp)\n popf\n nop\n nop\n nop\n"
                     "pushf\n andq $~0x100, (%%rsp)\n popf\n"
                     :
                     :
                     : "memory", "cc");
    IS("stepped", trap_number >= 5 && trap_number <= 7);
    observe_number("code", info.si_code);
}

CASE(rt_sigaction_fault_privileged, NEEDS_SIGNALS)
{
    handle_info(SIGSEGV, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("hlt");
    observe_signal("hlt", info.si_signo);
    observe_number("code", info.si_code);
    observe_number("trap", (long)trap_number);
    info.si_signo = 0;
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("cli");
    observe_signal("cli", info.si_signo);
    info.si_signo = 0;
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("in $0x80, %%al" : : : "eax");
    observe_signal("in", info.si_signo);
}

CASE(rt_sigaction_fault_interrupt_gates, NEEDS_SIGNALS)
{
    handle_info(SIGSEGV, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("int $0x20");
    observe_signal("signal", info.si_signo);
    observe_number("trap", (long)trap_number);
    observe_hex("error", error_code);
}

/* A blocked or ignored fault kills all the same. */
CASE(rt_sigaction_fault_blocked, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(blocked)
    {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGSEGV);
        handle_info(SIGSEGV, catch_fault, 0);
        NEED(sigprocmask(SIG_BLOCK, &set, NULL));
        *(volatile char *)16;
    }
    observe_status("blocked", await(blocked));
    CHILD(ignored)
    {
        signal(SIGSEGV, SIG_IGN);
        *(volatile char *)16;
    }
    observe_status("ignored", await(ignored));
}

static void return_from_fault(int signal)
{
    if (trap_number++ == 3)
        _exit(signal);
}

/* A handler that returns meets the fault again. */
CASE(rt_sigaction_fault_repeats, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(child)
    {
        trap_number = 0;
        handle(SIGSEGV, return_from_fault, 0);
        *(volatile char *)16;
    }
    observe_status("child", await(child));
}

static char *fixed_page;

static void map_it(int signal, siginfo_t *from, void *context)
{
    (void)signal;
    (void)from;
    (void)context;
    mprotect(fixed_page, PAGE, PROT_READ | PROT_WRITE);
}

/* What garbage collectors do: the handler repairs, and the instruction runs again. */
CASE(rt_sigreturn_retries_after_repair, NEEDS_SIGNALS)
{
    fixed_page = pages(1);
    fixed_page[0] = 41;
    NEED(mprotect(fixed_page, PAGE, PROT_NONE));
    handle_info(SIGSEGV, map_it, 0);
    *(volatile char *)fixed_page += 1;
    observe_number("value", fixed_page[0]);
}

/* A wild jump shows where it went. */
CASE(rt_sigaction_fault_wild_jump, NEEDS_SIGNALS)
{
    handle_info(SIGSEGV, catch_fault, 0);
    if (sigsetjmp(back, 1) == 0)
        ((void (*)(void))0x10UL)();
    observe_fault((void *)16);
}

CASE(rt_sigaction_fault_default, NEEDS_SIGNALS | NEEDS_FORK)
{
    CHILD(segv)
    {
        *(volatile char *)16 = 1;
    }
    observe_status("segv", await(segv));
    CHILD(illegal)
    {
        __asm__ volatile("ud2");
    }
    observe_status("illegal", await(illegal));
    CHILD(trap)
    {
        __asm__ volatile("int3");
    }
    observe_status("trap", await(trap));
    CHILD(aborted)
    {
        abort();
    }
    observe_status("abort", await(aborted));
}
