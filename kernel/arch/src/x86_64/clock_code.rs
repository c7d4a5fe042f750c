//! Code that programs run to read clocks without a system call: what the vDSO is made of.
//!
//! It is data to the kernel. Wherever it is mapped, the words of [`Data`] lie
//! [`DATA_BEFORE`] bytes before it.

use core::arch::global_asm;

/// Bytes from the words to the code: the vDSO's page in front of the image, and what the image
/// has in front of its code.
pub const DATA_BEFORE: usize = 0x1800;

/// The words that the code reads, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// How clocks are read.
    pub source: Source,
    /// The byte of the GS segment at which the number of the vCPU is, if it is there.
    pub vcpu_at: Option<u32>,
}

/// How clocks are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// By the system call.
    #[default]
    SystemCall,
    /// By a function of the type of `clock_gettime(3)` at this address.
    Function(u64),
    /// From the time-stamp counter: nanoseconds since the start are
    /// `(counter - start) * scale >> 32`.
    Counter {
        /// Nanoseconds per count, times 2³².
        scale: u64,
        /// The counter at the start.
        start: u64,
        /// Nanoseconds from 1970 to the start.
        realtime: u64,
    },
}

impl Data {
    /// The words.
    pub fn words(&self) -> [u64; 5] {
        let vcpu = self.vcpu_at.map_or(0, |at| u64::from(at) + 1);
        match self.source {
            Source::SystemCall => [0, 0, 0, 0, vcpu],
            Source::Function(address) => [1, address, 0, 0, vcpu],
            Source::Counter { scale, start, realtime } => [2, scale, start, realtime, vcpu],
        }
    }
}

global_asm!(
    ".pushsection .rodata.drupe_clock_code, \"a\"",
    ".balign 16",
    "drupe_clock_code:",
    ".set drupe_clock_data, drupe_clock_code - {before}",
    // int clock_gettime(clockid_t clock, struct timespec *time)
    "drupe_clock_gettime:",
    "cmp edi, 11",
    "ja 9f",
    // Clocks 1, 4, 6, 7 and 9 are the monotonic one; 0, 5, 8 and 11 the time of day.
    "mov eax, 0x2d2",
    "bt eax, edi",
    "jc 2f",
    "mov eax, 0x921",
    "bt eax, edi",
    "jnc 9f",
    "xor edi, edi",
    "jmp 3f",
    "2:",
    "mov edi, 1",
    "3:",
    "mov eax, [rip + drupe_clock_data]",
    "cmp eax, 1",
    "jb 9f",
    "ja 4f",
    "jmp [rip + drupe_clock_data + 8]",
    "4:",
    "lfence",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "sub rax, [rip + drupe_clock_data + 16]",
    "mul qword ptr [rip + drupe_clock_data + 8]",
    "shrd rax, rdx, 32",
    "test edi, edi",
    "jnz 5f",
    "add rax, [rip + drupe_clock_data + 24]",
    "5:",
    "xor edx, edx",
    "mov ecx, 1000000000",
    "div rcx",
    "mov [rsi], rax",
    "mov [rsi + 8], rdx",
    "xor eax, eax",
    "ret",
    "9:",
    "mov eax, 228",
    "syscall",
    "ret",
    ".balign 16",
    // int gettimeofday(struct timeval *time, struct timezone *zone)
    "drupe_gettimeofday:",
    "test rsi, rsi",
    "jz 2f",
    "mov qword ptr [rsi], 0",
    "2:",
    "test rdi, rdi",
    "jz 3f",
    "push rdi",
    "sub rsp, 16",
    "mov rsi, rsp",
    "xor edi, edi",
    "call drupe_clock_gettime",
    "mov rax, [rsp + 8]",
    "xor edx, edx",
    "mov ecx, 1000",
    "div rcx",
    "mov rcx, [rsp]",
    "add rsp, 16",
    "pop rdi",
    "mov [rdi], rcx",
    "mov [rdi + 8], rax",
    "3:",
    "xor eax, eax",
    "ret",
    ".balign 16",
    // time_t time(time_t *time)
    "drupe_time:",
    "push rdi",
    "sub rsp, 16",
    "mov rsi, rsp",
    "xor edi, edi",
    "call drupe_clock_gettime",
    "mov rax, [rsp]",
    "add rsp, 16",
    "pop rdi",
    "test rdi, rdi",
    "jz 2f",
    "mov [rdi], rax",
    "2:",
    "ret",
    ".balign 16",
    // int getcpu(unsigned *cpu, unsigned *node, void *)
    "drupe_getcpu:",
    "mov rax, [rip + drupe_clock_data + 32]",
    "test rax, rax",
    "jz 9f",
    "mov eax, gs:[rax - 1]",
    "test rdi, rdi",
    "jz 2f",
    "mov [rdi], eax",
    "2:",
    "test rsi, rsi",
    "jz 3f",
    "mov dword ptr [rsi], 0",
    "3:",
    "xor eax, eax",
    "ret",
    "9:",
    "mov eax, 309",
    "syscall",
    "ret",
    ".balign 16",
    "drupe_clock_code_end:",
    ".popsection",
    before = const DATA_BEFORE,
);

unsafe extern "C" {
    static drupe_clock_code: u8;
    static drupe_clock_gettime: u8;
    static drupe_gettimeofday: u8;
    static drupe_time: u8;
    static drupe_getcpu: u8;
    static drupe_clock_code_end: u8;
}

/// The code.
pub fn code() -> &'static [u8] {
    let start = &raw const drupe_clock_code;
    let length = (&raw const drupe_clock_code_end) as usize - start as usize;
    // SAFETY: the bytes between the two labels, which are constants.
    unsafe { core::slice::from_raw_parts(start, length) }
}

/// The functions' names in the vDSO and their offsets in the code.
pub fn functions() -> [(&'static str, usize); 4] {
    let offset = |at: *const u8| at as usize - (&raw const drupe_clock_code) as usize;
    [
        ("__vdso_clock_gettime", offset(&raw const drupe_clock_gettime)),
        ("__vdso_gettimeofday", offset(&raw const drupe_gettimeofday)),
        ("__vdso_time", offset(&raw const drupe_time)),
        ("__vdso_getcpu", offset(&raw const drupe_getcpu)),
    ]
}
