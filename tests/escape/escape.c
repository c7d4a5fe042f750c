/* Attempts to get past the seal of the provider `process`, or to break its kernel. Each prints what
 * became of it; `cargo xtask escape` knows what has to come out.
 *
 * What an attempt needs to know (where the kernel is) it finds out as an attacker would: from the
 * GS base, which points into the kernel's data. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static long raw(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/* The vCPU's structure, whose first word is its own address. */
static unsigned long vcpu(void)
{
    unsigned long own;
    __asm__("mov %%gs:0, %0" : "=r"(own));
    return own;
}

/* Where patched calls enter the kernel: a word of the vCPU's structure that points into the image,
 * below the data. */
static unsigned long entry(void)
{
    unsigned long *words = (unsigned long *)vcpu();
    for (int i = 2; i < 32; i++)
        if (words[i] >> 32 == vcpu() >> 32 && words[i] < vcpu() && (words[i] & 7) != 0)
            return words[i];
    for (int i = 2; i < 32; i++)
        if (words[i] >> 32 == vcpu() >> 32 && words[i] < vcpu())
            return words[i];
    return 0;
}

/* The gateway: the page of the image that begins by moving the first argument to RAX, has a system
 * call and is followed by nothing before the entry. */
static unsigned char *gateway(void)
{
    static const unsigned char start[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6};
    unsigned long base = vcpu() >> 32 << 32;
    for (unsigned long page = base; page < vcpu(); page += 4096)
        if (memcmp((void *)page, start, sizeof start) == 0)
            return (unsigned char *)page;
    return NULL;
}

typedef long (*host_call)(long number, long a, long b, long c, long d, long e, long f);

static void report(const char *what, long value)
{
    printf("%s=%ld\n", what, value);
    fflush(stdout);
}

/* Calls from pages that the program made itself are system calls of the guest like any other. */
static void jit(void)
{
    static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x0f, 5, 0xc3};
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof code);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    long (*call)(long, long, long) = (long (*)(long, long, long))page;
    long wrong = 0;
    for (int i = 0; i < 2000; i++)
        wrong += call(SYS_getppid, 0, 0) != getppid();
    report("wrong", wrong);
    /* The host has this call; the guest's kernel does not know that number. */
    report("unknown", call(10000, 0, 0));
    /* The host's file system is not there. */
    report("open", call(SYS_open, (long)"/etc/shadow", O_RDONLY));
}

/* 32-bit calls: getpid is 20 there. */
static void int80(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    report("getpid", result);
}

static sigjmp_buf back;
static volatile int caught;

static void jump_back(int signal)
{
    caught = signal;
    siglongjmp(back, 1);
}



/* The vsyscall page: time. */
static void vsyscall(void)
{
    signal(SIGSEGV, jump_back);
    if (sigsetjmp(back, 1) == 0) {
        long (*time_page)(long *) = (long (*)(long *))0xffffffffff600400;
        long now = time_page(NULL);
        report("near", labs(now - (long)time(NULL)) <= 1);
    } else
        report("signal", caught);
}

/* Every call number at the gateway; the harness sees what is left of the guest. */
static void numbers(const char *from)
{
    host_call call = (host_call)gateway();
    long number = atol(from);
    report("number", number);
    /* Arguments that do no harm where a call is allowed. */
    long result = call(number, -1, 0, 0, 0, 0, 0);
    report("result", result);
}

/* A mapping over the kernel, by the guest's own calls. */
static void map_over(void)
{
    long base = (long)(vcpu() >> 32 << 32), page = (long)gateway();
    void *at = mmap((void *)base, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    report("mmap", at == MAP_FAILED ? -errno : 0);
    report("mprotect", mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) ? -errno : 0);
    report("munmap", munmap((void *)page, 4096) ? -errno : 0);
    void *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    at = mremap(own, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)page);
    report("mremap", at == MAP_FAILED ? -errno : 0);
    report("madvise", madvise((void *)vcpu(), 4096, MADV_DONTNEED) ? -errno : 0);
    report("alive", getppid() >= 0);
}

/* The same at the gateway: the seal sees the addresses. */
static void map_gateway(const char *how)
{
    host_call call = (host_call)gateway();
    long page = (long)gateway(), flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
    void *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    report("try", 1);
    if (strcmp(how, "mmap") == 0)
        call(SYS_mmap, page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
    else if (strcmp(how, "mmap-into") == 0)
        call(SYS_mmap, page - (1L << 30), 1L << 31, PROT_READ, flags, -1, 0);
    else if (strcmp(how, "mmap-anywhere") == 0)
        call(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    else if (strcmp(how, "mprotect") == 0)
        call(SYS_mprotect, page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, 0, 0, 0);
    else if (strcmp(how, "munmap") == 0)
        call(SYS_munmap, page, 4096, 0, 0, 0, 0);
    else if (strcmp(how, "mremap") == 0)
        call(SYS_mremap, (long)own, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page, 0);
    else if (strcmp(how, "mremap-from") == 0)
        call(SYS_mremap, page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (long)own, 0);
    else if (strcmp(how, "madvise") == 0)
        call(SYS_madvise, page, 4096, MADV_DONTNEED, 0, 0, 0);
    else if (strcmp(how, "clone") == 0)
        call(SYS_clone, 0x111L, (long)own + 4096, 0, 0, 0, 0);
    else if (strcmp(how, "kill") == 0)
        call(SYS_tgkill, 1, 1, SIGKILL, 0, 0, 0);
    else if (strcmp(how, "prctl") == 0)
        call(SYS_prctl, 22, 0, 0, 0, 0, 0);
    report("survived", 1);
}

/* A program that writes kernel data. */
static void overwrite(const char *how)
{
    unsigned long start = vcpu() & ~4095UL;
    report("try", 1);
    if (strcmp(how, "vcpu") == 0)
        memset((void *)vcpu(), 0, 256);
    else if (strcmp(how, "zeros") == 0)
        memset((void *)(vcpu() - (vcpu() & 4095)), 0, 64 << 10);
    else if (strcmp(how, "ones") == 0)
        for (unsigned long *word = (unsigned long *)start; word < (unsigned long *)(start + 65536); word++)
            *word = ~0UL;
    else if (strcmp(how, "all") == 0) {
        /* The whole memory, seen 4 GiB above the image. */
        unsigned long window = (vcpu() >> 32 << 32) + (4UL << 30);
        memset((void *)window, 0x55, 8 << 20);
    } else if (strcmp(how, "text") == 0)
        *(volatile char *)entry() = 0;
    for (;;)
        getppid();
}

/* Control is lost to nobody: a jump behind the checks of the kernel's own code. */
static void jump(const char *how)
{
    unsigned long to = strcmp(how, "entry") == 0 ? entry() : (unsigned long)gateway();
    long offset = strcmp(how, "entry") == 0 ? 1 : atol(how);
    report("try", 1);
    __asm__ volatile("xor %%ecx, %%ecx\n mov $60, %%eax\n jmp *%0" : : "r"(to + (unsigned long)offset) : "rcx", "rax", "memory");
}

/* A patched site, entered in the middle of the jump that stands there. */
__asm__(".pushsection .text\n.balign 64\nhot:\n mov $110, %eax\n hot_call: syscall\n"
        "hot_behind: cmp $-4096, %rax\n ret\n.balign 64\n.popsection");
long hot(void);
extern char hot_call[], hot_behind[];

static void unaligned(void)
{
    struct sigaction action = {.sa_handler = jump_back, .sa_flags = SA_NODEFER};
    long (*behind)(void) = (long (*)(void))hot_behind;
    for (int i = 0; i < 100; i++)
        if (hot() != getppid())
            report("wrong", i);
    /* The program's own instruction there still works. */
    for (int i = 0; i < 10; i++)
        behind();
    report("behind", 1);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    for (volatile int offset = 1; offset < 8; offset++) {
        if (offset == 2)
            continue;
        if (sigsetjmp(back, 1) == 0)
            ((long (*)(void))(hot_call + offset))();
    }
    report("alive", hot() == getppid());
}

/* The GS base is the kernel's. */
static void gs(void)
{
    report("try", 1);
    __asm__ volatile("wrgsbase %0" : : "r"(0L));
    for (;;)
        getppid();
}

/* Processes without end. */
static void fork_bomb(void)
{
    long made = 0;
    pid_t child;
    while ((child = fork()) > 0)
        made++;
    if (child == 0) {
        for (;;)
            pause();
    }
    report("errno", errno);
    report("some", made > 10);
    kill(0, SIGKILL);
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "", *how = count > 2 ? words[2] : "";
    if (strcmp(what, "jit") == 0) jit();
    else if (strcmp(what, "int80") == 0) int80();
    else if (strcmp(what, "vsyscall") == 0) vsyscall();
    else if (strcmp(what, "number") == 0) numbers(how);
    else if (strcmp(what, "map-over") == 0) map_over();
    else if (strcmp(what, "map-gateway") == 0) map_gateway(how);
    else if (strcmp(what, "overwrite") == 0) overwrite(how);
    else if (strcmp(what, "jump") == 0) jump(how);
    else if (strcmp(what, "unaligned") == 0) unaligned();
    else if (strcmp(what, "gs") == 0) gs();
    else if (strcmp(what, "fork-bomb") == 0) fork_bomb();
    else return 64;
    (void)raw;
    return 0;
}
