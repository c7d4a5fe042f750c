/* The register contract of a system call: everything but rax, rcx and r11 survives. */
#include "suite.h"

#include <cpuid.h>
#include <stdint.h>

static long call_getppid_loaded(uint64_t *general)
{
    long result;
    __asm__ volatile(
        "push %%rbx\n push %%rbp\n push %[out]\n"
        "mov $0x1111111111111111, %%rbx\n mov $0x2222222222222222, %%rbp\n"
        "mov $0x3333333333333333, %%rdi\n mov $0x4444444444444444, %%rsi\n"
        "mov $0x5555555555555555, %%rdx\n mov $0x6666666666666666, %%r8\n"
        "mov $0x7777777777777777, %%r9\n mov $0x8888888888888888, %%r10\n"
        "mov $0x9999999999999999, %%r12\n mov $0xaaaaaaaaaaaaaaaa, %%r13\n"
        "mov $0xbbbbbbbbbbbbbbbb, %%r14\n mov $0xcccccccccccccccc, %%r15\n"
        "mov $110, %%eax\n syscall\n"
        "mov (%%rsp), %%rcx\n"
        "mov %%rbx, 0(%%rcx)\n mov %%rbp, 8(%%rcx)\n mov %%rdi, 16(%%rcx)\n"
        "mov %%rsi, 24(%%rcx)\n mov %%rdx, 32(%%rcx)\n mov %%r8, 40(%%rcx)\n"
        "mov %%r9, 48(%%rcx)\n mov %%r10, 56(%%rcx)\n mov %%r12, 64(%%rcx)\n"
        "mov %%r13, 72(%%rcx)\n mov %%r14, 80(%%rcx)\n mov %%r15, 88(%%rcx)\n"
        "add $8, %%rsp\n pop %%rbp\n pop %%rbx\n"
        : "=a"(result)
        : [out] "c"(general)
        : "rdi", "rsi", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
          "cc");
    return result;
}

CASE(abi_general_registers)
{
    static const uint64_t LOADED[12] = {
        0x1111111111111111, 0x2222222222222222, 0x3333333333333333, 0x4444444444444444,
        0x5555555555555555, 0x6666666666666666, 0x7777777777777777, 0x8888888888888888,
        0x9999999999999999, 0xaaaaaaaaaaaaaaaa, 0xbbbbbbbbbbbbbbbb, 0xcccccccccccccccc};
    uint64_t after[12];
    long result = call_getppid_loaded(after);
    IS("result", result == getppid());
    IS("preserved", memcmp(after, LOADED, sizeof after) == 0);
}

CASE(abi_return_address_in_rcx)
{
    uint64_t rcx, expected;
    __asm__ volatile("lea 1f(%%rip), %1\n mov $39, %%eax\n syscall\n 1:\n"
                     : "=c"(rcx), "=&r"(expected)
                     :
                     : "rax", "r11", "memory");
    IS("rcx_is_next_instruction", rcx == expected);
}

static void load_vectors(const unsigned char *from)
{
    __asm__ volatile("movdqu (%0), %%xmm0\n movdqu 16(%0), %%xmm1\n movdqu 32(%0), %%xmm7\n"
                     "movdqu 48(%0), %%xmm8\n movdqu 64(%0), %%xmm15\n"
                     :
                     : "r"(from)
                     : "memory");
}

CASE(abi_sse_registers)
{
    unsigned char before[80], after[80];
    for (unsigned i = 0; i < sizeof before; i++)
        before[i] = (unsigned char)(i * 37 + 1);
    load_vectors(before);
    __asm__ volatile("mov $24, %%eax\n syscall\n" /* sched_yield: another task may run */
                     "movdqu %%xmm0, (%0)\n movdqu %%xmm1, 16(%0)\n movdqu %%xmm7, 32(%0)\n"
                     "movdqu %%xmm8, 48(%0)\n movdqu %%xmm15, 64(%0)\n"
                     :
                     : "r"(after)
                     : "rax", "rcx", "r11", "memory", "xmm0", "xmm1", "xmm7", "xmm8", "xmm15");
    IS("preserved", memcmp(before, after, sizeof before) == 0);
}

/* AVX as far as the processor and the kernel offer it; without AVX there is nothing to lose. */
CASE(abi_avx_registers)
{
    unsigned char before[64], after[64];
    unsigned a, b, c = 0, d;
    for (unsigned i = 0; i < sizeof before; i++)
        before[i] = after[i] = (unsigned char)(i * 29 + 3);
    __get_cpuid(1, &a, &b, &c, &d);
    if ((c & bit_OSXSAVE) && (c & bit_AVX)) {
        memset(after, 0, sizeof after);
        __asm__ volatile("vmovdqu (%0), %%ymm3\n vmovdqu 32(%0), %%ymm14\n"
                         "mov $24, %%eax\n syscall\n"
                         "vmovdqu %%ymm3, (%1)\n vmovdqu %%ymm14, 32(%1)\n vzeroupper\n"
                         :
                         : "r"(before), "r"(after)
                         : "rax", "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
                           "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                           "xmm13", "xmm14", "xmm15");
    }
    IS("preserved", memcmp(before, after, sizeof before) == 0);
}

CASE(abi_float_control_words)
{
    unsigned mxcsr, mxcsr_set, mxcsr_after;
    unsigned short x87, x87_set, x87_after;
    __asm__ volatile("stmxcsr %0\n fnstcw %1\n" : "=m"(mxcsr), "=m"(x87));
    mxcsr_set = 0x7f80; /* round towards zero */
    x87_set = 0x0f7f;
    __asm__ volatile("ldmxcsr %0\n fldcw %1\n" : : "m"(mxcsr_set), "m"(x87_set));
    RAW(SYS_sched_yield);
    __asm__ volatile("stmxcsr %0\n fnstcw %1\n" : "=m"(mxcsr_after), "=m"(x87_after));
    __asm__ volatile("ldmxcsr %0\n fldcw %1\n" : : "m"(mxcsr), "m"(x87));
    observe_hex("initial_mxcsr", mxcsr);
    observe_hex("initial_x87", x87);
    observe_hex("mxcsr", mxcsr_after & ~0x3fu);
    observe_hex("x87", x87_after);
}

CASE(abi_x87_stack)
{
    double out;
    long a = 12345;
    __asm__ volatile("fninit\n fildll %1\n mov $24, %%eax\n syscall\n fstpl %0\n"
                     : "=m"(out)
                     : "m"(a)
                     : "rax", "rcx", "r11", "memory");
    IS("preserved", out == 12345.0);
}

/* A call clears nothing in the flags that a program may set, the direction flag included. */
CASE(abi_flags)
{
    uint64_t flags;
    __asm__ volatile("std\n stc\n mov $39, %%eax\n syscall\n pushf\n pop %0\n cld\n"
                     : "=r"(flags)
                     :
                     : "rax", "rcx", "r11", "memory", "cc");
    IS("direction", flags & 0x400);
    IS("carry", flags & 1);
    IS("interrupts", flags & 0x200);
    IS("trap", flags & 0x100);
}

CASE(abi_unknown_numbers)
{
    static const long NUMBERS[] = {400, 423, 999, 4096, 0x7fffffff, -1};
    for (unsigned i = 0; i < COUNT(NUMBERS); i++)
        CALL("call", RAW(NUMBERS[i]));
}

/* x32 numbers carry bit 30; a kernel without x32 has no such calls. */
CASE(abi_x32_bit)
{
    errno = 0;
    long result = RAW(0x40000000 + 9999);
    observe_call("call", result, errno);
}

/* Only the low 32 bits of a file descriptor count. */
CASE(abi_int_arguments_are_truncated)
{
    CALL("write", RAW(SYS_write, 0x100000001L, "", 0));
    CALL("close", RAW(SYS_close, 0x1000003e7L));
    CALL("dup", RAW(SYS_dup, 0xffffffff00000000L | 777));
}

CASE(abi_stack_and_red_zone)
{
    long value = 0x1234567812345678, after;
    __asm__ volatile("mov %1, -8(%%rsp)\n mov %1, -128(%%rsp)\n mov $39, %%eax\n syscall\n"
                     "mov -8(%%rsp), %0\n xor -128(%%rsp), %0\n"
                     : "=&r"(after)
                     : "r"(value)
                     : "rax", "rcx", "r11", "memory");
    observe_hex("difference", (unsigned long)after);
}
