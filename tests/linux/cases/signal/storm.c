/* Signals that arrive at any instruction of a system call made again and again, and the shapes in
 * which compilers and people write such calls. A kernel that replaces them by something faster
 * must not show it. */
#include "suite.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/time.h>
#include <ucontext.h>

static unsigned long text[64][2];
static int texts;
static volatile int signals, strangers;

/* Where the program can execute, as the kernel tells. */
static void read_maps(void)
{
    static char maps[1 << 16];
    int file = (int)NEED(open("/proc/self/maps", O_RDONLY));
    size_t length = 0;
    long count;
    while ((count = read(file, maps + length, sizeof maps - 1 - length)) > 0)
        length += (size_t)count;
    close(file);
    maps[length] = 0;
    texts = 0;
    for (char *line = strtok(maps, "\n"); line && texts < (int)COUNT(text); line = strtok(NULL, "\n")) {
        unsigned long start, end;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3 && rights[2] == 'x') {
            text[texts][0] = start;
            text[texts++][1] = end;
        }
    }
}

static void count_signal(int signal, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    unsigned long at = (unsigned long)user->uc_mcontext.gregs[REG_RIP];
    int known = 0;
    (void)signal;
    (void)info;
    for (int i = 0; i < texts; i++)
        known |= at >= text[i][0] && at < text[i][1];
    if (!known)
        strangers = strangers + 1;
    signals = signals + 1;
}

/* close(-1) with known values in every other register: how many of them came back changed. */
static long call_and_compare(void)
{
    long changed;
    __asm__ volatile("push %%rbp\n"
                     "mov $0x1111, %%rbx\n mov $0x2222, %%rbp\n mov $0x3333, %%r8\n"
                     "mov $0x4444, %%r9\n mov $0x5555, %%r10\n mov $0x6666, %%r12\n"
                     "mov $0x7777, %%r13\n mov $0x8888, %%r14\n mov $0x9999, %%r15\n"
                     "mov $0xaaaa, %%rsi\n mov $0xbbbb, %%rdx\n mov $-1, %%rdi\n"
                     "mov $3, %%eax\n"
                     "syscall\n"
                     "cmp $-9, %%rax\n setne %%al\n movzbl %%al, %%eax\n"
                     "cmp $0x1111, %%rbx\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0x2222, %%rbp\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0x3333, %%r8\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0x4444, %%r9\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0x5555, %%r10\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0x6666, %%r12\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0x7777, %%r13\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0x8888, %%r14\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0x9999, %%r15\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0xaaaa, %%rsi\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $0xbbbb, %%rdx\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "cmp $-1, %%rdi\n setne %%cl\n movzbl %%cl, %%ecx\n add %%rcx, %%rax\n"
                     "pop %%rbp\n"
                     : "=a"(changed)
                     :
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
                       "r14", "r15", "memory", "cc");
    return changed;
}

/* Calls until `wanted` signals came. */
static void call_until(int wanted)
{
    long changed = 0;
    while (signals < wanted)
        changed += call_and_compare();
    observe_number("changed", changed);
    observe_number("strangers", strangers);
}

CASE(setitimer_storm, NEEDS_SIGNALS | NEEDS_PROC)
{
    struct itimerval often = {{0, 150}, {0, 150}}, never = {{0, 0}, {0, 0}};
    read_maps();
    handle_info(SIGALRM, count_signal, 0);
    NEED(setitimer(ITIMER_REAL, &often, NULL));
    call_until(1000);
    NEED(setitimer(ITIMER_REAL, &never, NULL));
}

CASE(setitimer_storm_alternate_stack, NEEDS_SIGNALS | NEEDS_PROC)
{
    struct itimerval often = {{0, 150}, {0, 150}}, never = {{0, 0}, {0, 0}};
    stack_t stack = {.ss_sp = pages(16), .ss_size = 16 * PAGE};
    read_maps();
    NEED(sigaltstack(&stack, NULL));
    handle_info(SIGALRM, count_signal, SA_ONSTACK | SA_RESTART | SA_NODEFER);
    NEED(setitimer(ITIMER_REAL, &often, NULL));
    call_until(1000);
    NEED(setitimer(ITIMER_REAL, &never, NULL));
}

static pthread_t caller;

static void *send_signals(void *stop)
{
    while (!*(volatile int *)stop) {
        pthread_kill(caller, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

CASE(tgkill_storm, NEEDS_SIGNALS | NEEDS_THREADS | NEEDS_PROC)
{
    pthread_t sender;
    volatile int stop = 0;
    read_maps();
    handle_info(SIGUSR1, count_signal, 0);
    caller = pthread_self();
    NEED0(pthread_create(&sender, NULL, send_signals, (void *)&stop));
    call_until(300);
    stop = 1;
    NEED0(pthread_join(sender, NULL));
}

CASE(fork_storm, NEEDS_SIGNALS | NEEDS_FORK | NEEDS_PROC)
{
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    long changed = 0;
    read_maps();
    handle_info(SIGALRM, count_signal, SA_RESTART);
    NEED(setitimer(ITIMER_REAL, &often, NULL));
    for (int i = 0; i < 30; i++) {
        CHILD(child)
        {
            for (int k = 0; k < 50; k++)
                changed += call_and_compare();
            _exit(changed != 0);
        }
        for (int k = 0; k < 50; k++)
            changed += call_and_compare();
        int status;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        changed += status;
    }
    NEED(setitimer(ITIMER_REAL, &never, NULL));
    observe_number("changed", changed);
    observe_number("strangers", strangers);
}

/* --- shapes --- */

#define SHAPE(name, code)                                                                     \
    __asm__(".pushsection .text\n .balign 16\n .type " #name ", @function\n" #name ":\n" code \
            "\n.balign 16\n .popsection");                                                    \
    long name(long number)

SHAPE(shape_compare, "mov %rdi, %rax\n mov $-1, %rdi\n syscall\n cmp $-4096, %rax\n"
                     "mov $0, %ecx\n cmova %rax, %rcx\n mov %rcx, %rax\n ret");
SHAPE(shape_return, "mov %rdi, %rax\n mov $-1, %rdi\n syscall\n ret\n nopl 0(%rax, %rax)");
SHAPE(shape_short, "push %rbx\n push %rbp\n mov %rdi, %rax\n mov $-1, %rdi\n syscall\n"
                   "pop %rbp\n pop %rbx\n ret");
SHAPE(shape_branch, "mov %rdi, %rax\n mov $-1, %rdi\n syscall\n test %eax, %eax\n jns 1f\n"
                    "neg %rax\n ret\n 1: mov $77, %eax\n ret");
SHAPE(shape_store, "mov %rdi, %rax\n mov $-1, %rdi\n syscall\n mov %rax, shape_word(%rip)\n"
                   "mov shape_word(%rip), %rax\n ret\n .pushsection .data\n .balign 8\n"
                   "shape_word: .quad 0\n .popsection");
SHAPE(shape_immediate, "mov $-1, %rdi\n mov $3, %eax\n syscall\n neg %eax\n call 1f\n ret\n"
                       "1: ret");
SHAPE(shape_immediate_long, "mov $-1, %rdi\n mov $3, %rax\n syscall\n neg %eax\n jmp 1f\n"
                            "1: ret");
/* The first round jumps behind the call. */
SHAPE(shape_behind, "mov %rdi, %r8\n xor %r9d, %r9d\n mov $-5, %rax\n jmp 2f\n"
                    "1: mov %r8, %rax\n mov $-1, %rdi\n syscall\n"
                    "2: lea (%r9, %rax), %r9\n inc %r10d\n mov %r9, %rax\n"
                    "cmp $-5, %r9\n je 1b\n ret");
/* A call that is reached with another number, past the instruction that loads one. */
SHAPE(shape_shared, "mov $-1, %esi\n test $1, %dil\n mov $-1, %rdi\n jz 1f\n mov $39, %eax\n jmp 2f\n"
                    "1: mov $3, %eax\n 2: syscall\n neg %eax\n ret");
SHAPE(shape_xor, "mov $-1, %rdi\n xor %eax, %eax\n syscall\n cmp $-4096, %rax\n neg %rax\n ret");

CASE(close_shapes)
{
    long (*const shapes[])(long) = {shape_compare, shape_return,         shape_short,
                                    shape_branch,  shape_store,          shape_immediate,
                                    shape_behind,  shape_immediate_long, shape_xor};
    for (int shape = 0; shape < (int)COUNT(shapes); shape++) {
        long first = shapes[shape](SYS_close), others = 0;
        for (int i = 0; i < 200; i++)
            others += shapes[shape](SYS_close) != first;
        observe_number("first", first);
        observe_number("others", others);
    }
    long differ = 0;
    for (int i = 0; i < 200; i++)
        differ += i & 1 ? shape_shared(i) != -getpid() : shape_shared(i) != EBADF;
    observe_number("differ", differ);
}

CASE(mprotect_text_of_calls)
{
    unsigned char *function = (unsigned char *)shape_compare, before[48], after[48];
    unsigned char *page = (unsigned char *)((uintptr_t)function & ~(PAGE - 1));
    NEED(mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
    memcpy(before, function, sizeof before);
    NEED(mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC));
    for (int i = 0; i < 100; i++)
        shape_compare(SYS_close);
    NEED(mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
    memcpy(after, function, sizeof after);
    IS("same", memcmp(before, after, sizeof before) == 0);
    for (int i = 0; i < 100; i++)
        CALL("", shape_compare(SYS_close)), i += 40;
    NEED(mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC));
    CALL("again", shape_compare(SYS_close));
}

CASE(munmap_code_of_calls)
{
    /* Code that is mapped, called, removed and mapped again at the same place. */
    static const unsigned char code[] = {0xb8, 3, 0, 0, 0, 0x48, 0xc7, 0xc7, 0xff, 0xff, 0xff, 0xff,
                                         0x0f, 5, 0x48, 0x3d, 0, 0xf0, 0xff, 0xff, 0xc3};
    int file = (int)NEED(open("code", O_CREAT | O_RDWR, 0700));
    NEED(ftruncate(file, PAGE));
    NEED(pwrite(file, code, sizeof code, 0));
    void *place = NULL;
    long sum = 0;
    for (int round = 0; round < 5; round++) {
        void *at = mmap(place, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | (place ? MAP_FIXED : 0), file, 0);
        NEED((long)at);
        for (int i = 0; i < 100; i++)
            sum += ((long (*)(void))(uintptr_t)at)();
        place = at;
        NEED(munmap(at, PAGE));
    }
    observe_number("sum", sum);
}
