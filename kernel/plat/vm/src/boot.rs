//! From the PVH entry (32-bit, no paging) to the kernel's main function.
//!
//! The image is linked for, and loaded at, its physical address; the first half runs there on
//! an identity map. It then chooses where the kernel is to live, relocates it, maps it with the
//! right of each segment, and continues there.

use core::arch::global_asm;

use abi_guest::Config;
use arch::cpu;
use arch::paging::bits::{LARGE, NO_EXECUTE, PRESENT, WRITABLE};
use arch::paging::{PAGE_SIZE, Table, index};
use hal::{Boot, PhysAddr};
use mm::frames;

use crate::boot_info::{Memory, StartInfo};
use crate::vcpu::{self, Vcpu};
use crate::{apic, clock, exit, segments, serial, smp, stacks, tables, traps};

unsafe extern "Rust" {
    safe fn drupe_kernel_main(boot: Boot) -> !;
}

unsafe extern "C" {
    static __image_start: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __data_start: u8;
    static __image_end: u8;
    static _DYNAMIC: [u64; 2];
}

/// Where the direct map and the image may be put.
const DIRECT_BASE: u64 = 0xffff_8880_0000_0000;
const IMAGE_BASE: u64 = 0xffff_ffff_8000_0000;

global_asm!(
    ".section .boot, \"ax\", @progbits",
    ".code32",
    ".global drupe_pvh_entry",
    "drupe_pvh_entry:",
    // ebx: start information. The stack below the image serves for one call.
    "cld",
    "movl $0x200000, %esp",
    "call 1f",
    "1: popl %ebp",
    // An identity map of the first 4 GiB in large pages.
    "leal (drupe_boot_tables - 1b)(%ebp), %edi",
    "leal 0x1003(%edi), %eax",
    "movl %eax, (%edi)",
    "leal 0x2003(%edi), %eax",
    "movl $4, %ecx",
    "leal 0x1000(%edi), %edx",
    "2: movl %eax, (%edx)",
    "addl $0x1000, %eax",
    "addl $8, %edx",
    "loop 2b",
    "leal 0x2000(%edi), %edx",
    "movl $0x83, %eax",
    "movl $2048, %ecx",
    "3: movl %eax, (%edx)",
    "addl $0x200000, %eax",
    "addl $8, %edx",
    "loop 3b",
    // PAE; long mode and no-execute; paging and write protection.
    "mov %cr4, %eax",
    "orl $0x20, %eax",
    "mov %eax, %cr4",
    "mov %edi, %cr3",
    "movl $0xc0000080, %ecx",
    "rdmsr",
    "orl $0x900, %eax",
    "wrmsr",
    "mov %cr0, %eax",
    "orl $0x80010003, %eax",
    "andl $0xfffffff3, %eax",
    "mov %eax, %cr0",
    "leal (drupe_boot_gdt - 1b)(%ebp), %eax",
    "pushl $0",
    "pushl %eax",
    "pushl $0",
    "movw $23, 2(%esp)",
    "lgdt 2(%esp)",
    "leal (drupe_boot_64 - 1b)(%ebp), %eax",
    "pushl $8",
    "pushl %eax",
    "lret",
    ".code64",
    "drupe_boot_64:",
    "movl $16, %eax",
    "mov %eax, %ds",
    "mov %eax, %es",
    "mov %eax, %ss",
    "leaq drupe_boot_stack_top(%rip), %rsp",
    "movl %ebx, %edi",
    "xorl %ebp, %ebp",
    "call {first_half}",
    "ud2",
    ".balign 8",
    "drupe_boot_gdt:",
    ".quad 0",
    ".quad 0x00af9b000000ffff",
    ".quad 0x00cf93000000ffff",
    ".section .bss.boot, \"aw\", @nobits",
    ".balign 4096",
    ".global drupe_boot_tables",
    "drupe_boot_tables: .skip 6 * 4096",
    ".skip 32768",
    "drupe_boot_stack_top:",
    ".text",
    first_half = sym first_half,
    options(att_syntax),
);

// The step from where the image was loaded to where it lives: rax is the distance, rdx where to
// go on. A debugger that stops here learns the distance.
global_asm!(".global drupe_kernel_moves", "drupe_kernel_moves:", "add rsp, rax", "jmp rdx",);

/// Physical pages for the kernel's own tables before there is an allocator: those behind the
/// image.
struct Early {
    next: u64,
}

impl Early {
    fn table(&mut self) -> u64 {
        let address = self.next;
        self.next += PAGE_SIZE as u64;
        // SAFETY: the page lies behind the image in memory that nobody uses; the identity map
        // covers it.
        unsafe { (address as *mut u8).write_bytes(0, PAGE_SIZE) };
        address
    }

    /// The entry of `root`'s tree for `address` at `level`, with tables on the way.
    fn entry(&mut self, root: u64, address: u64, level: u32) -> *mut u64 {
        let mut table = root;
        for above in (level + 1..4).rev() {
            // SAFETY: tables made here, under the identity map.
            let entry = unsafe { &mut (*(table as *mut Table)).0[index(address, above)] };
            if *entry == 0 {
                *entry = self.table() | PRESENT | WRITABLE;
            }
            table = *entry & arch::paging::bits::ADDRESS;
        }
        // SAFETY: as above.
        unsafe { &raw mut (*(table as *mut Table)).0[index(address, level)] }
    }
}

/// What the first half tells the second.
#[derive(Clone, Copy)]
struct Handed {
    direct: u64,
    image: u64,
    memory: Memory,
    root: u64,
    early_start: u64,
    early_end: u64,
}

static mut HANDED: Handed =
    Handed { direct: 0, image: 0, memory: Memory::NONE, root: 0, early_start: 0, early_end: 0 };

/// A random number for the layout. Not for secrets: where RDRAND lacks, the time must do.
fn random() -> u64 {
    cpu::random().unwrap_or_else(|| {
        let mut value = cpu::timestamp();
        for _ in 0..4 {
            value = (value ^ value >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ cpu::timestamp();
        }
        value
    })
}

/// Runs where the image was loaded, on the identity map.
extern "C" fn first_half(start_info: u64) -> ! {
    // Devices that used to interrupt by the 8259 pair must not do so at the exceptions' vectors.
    // SAFETY: masks all its inputs.
    unsafe {
        cpu::port_write_u8(0x21, 0xff);
        cpu::port_write_u8(0xa1, 0xff);
    }
    // SAFETY: what the boot loader gives by the PVH protocol.
    let memory = unsafe { StartInfo::read(start_info) };
    let address = |symbol: *const u8| symbol as u64;
    let (start, end) = (address(&raw const __image_start), address(&raw const __image_end));
    let early_start = end.next_multiple_of(PAGE_SIZE as u64);
    let mut early = Early { next: early_start };
    let root = early.table();

    let direct = DIRECT_BASE + random() % 0x4000 * (1 << 30);
    let large = 2u64 << 20;
    for large_page in 0..memory.end().div_ceil(large) {
        let physical = large_page * large;
        let entry = early.entry(root, direct + physical, 1);
        // SAFETY: an entry of our own table.
        unsafe { entry.write(physical | PRESENT | WRITABLE | LARGE | NO_EXECUTE) };
    }
    let image = IMAGE_BASE + random() % 256 * large;
    let (text, text_end) = (address(&raw const __text_start), address(&raw const __text_end));
    let data = address(&raw const __data_start);
    for physical in (start..end).step_by(PAGE_SIZE) {
        let rights = if (text..text_end).contains(&physical) {
            PRESENT
        } else if physical >= data {
            PRESENT | WRITABLE | NO_EXECUTE
        } else {
            PRESENT | NO_EXECUTE
        };
        let entry = early.entry(root, image + physical - start, 0);
        // SAFETY: an entry of our own table.
        unsafe { entry.write(physical | rights) };
    }
    // Tables that every address space shares must exist before the first one is made.
    for kernel_area in [stacks::BASE, stacks::DEVICES] {
        early.entry(root, kernel_area, 2);
    }
    // The identity map goes on until the second half drops it.
    // SAFETY: reads a register.
    let old_root = unsafe { cpu::read_cr3() } as *const Table;
    // SAFETY: both tables are under the identity map.
    unsafe { *early.entry(root, 0, 3) = (*old_root).0[0] };

    let handed = Handed { direct, image, memory, root, early_start, early_end: early.next };
    let distance = image - start;
    let entry = core::hint::black_box(second_half as *const () as u64 + distance);
    // SAFETY: this code and stack stay mapped. What is relocated is not used before the jump: no
    // function is called, as its address may be such. The stack pointer moves with the image.
    unsafe {
        (&raw mut HANDED).write(handed);
        cpu::write_cr3(root);
        relocate(distance);
        core::arch::asm!(
            "jmp drupe_kernel_moves",
            in("rax") distance,
            in("rdx") entry,
            options(noreturn),
        );
    }
}

/// Adds `delta` to every address that the linker put into the image.
#[inline(always)]
unsafe fn relocate(delta: u64) {
    let (mut table, mut length) = (0, 0);
    let (mut packed, mut packed_length) = (0, 0);
    let mut entry = &raw const _DYNAMIC;
    // SAFETY: the dynamic section ends with an entry of kind 0; the image is mapped writable.
    unsafe {
        while (*entry)[0] != 0 {
            match (*entry)[0] {
                7 => table = (*entry)[1],
                8 => length = (*entry)[1],
                35 => packed_length = (*entry)[1],
                36 => packed = (*entry)[1],
                _ => {}
            }
            entry = entry.add(1);
        }
        // Packed (DT_RELR): an even word is an address; an odd one says with its other bits
        // which of the next 63 words are addresses.
        let mut next = 0;
        for word in (packed..packed + packed_length).step_by(8) {
            let word = *(word as *const u64);
            let (first, mut bits) = if word & 1 == 0 { (word, 1) } else { (next, word >> 1) };
            next = first + if word & 1 == 0 { 8 } else { 63 * 8 };
            let mut target = first;
            while bits != 0 {
                if bits & 1 != 0 {
                    *(target as *mut u64) += delta;
                }
                bits >>= 1;
                target += 8;
            }
        }
        let mut offset = 0;
        while offset < length {
            let [target, kind, addend] = *((table + offset) as *const [u64; 3]);
            if kind == 8 {
                (target as *mut u64).write(addend + delta);
            }
            offset += 24;
        }
    }
}

/// The first processor's stack for faults; the others' are allocated.
#[repr(C, align(16))]
struct FaultStack([u8; 8 << 10]);

static mut FAULT_STACK: FaultStack = FaultStack([0; 8 << 10]);

/// Runs where the kernel lives.
extern "C" fn second_half() -> ! {
    // SAFETY: written by the first half at the same memory; nobody else runs.
    let handed = unsafe { (&raw const HANDED).read() };
    tables::init(handed.direct, handed.root, handed.image);
    // SAFETY: the first vCPU, once; the root is the kernel's.
    unsafe {
        tables::drop_identity_map();
        vcpu::init_this(0);
        segments::init(Vcpu::of(0), (&raw const FAULT_STACK).add(1) as u64);
        traps::init();
        traps::init_processor();
    }
    let memory = handed.memory;
    let address = |symbol: *const u8| symbol as u64 - handed.image;
    let image = memory.image_start..memory.image_start + address(&raw const __image_end);
    debug_assert!(image.end <= handed.early_start);
    let Some((module_start, module_len)) = memory.module else {
        exit::fatal("no boot module was given as initial RAM disk");
    };
    let module_end = module_start + module_len;
    if module_start < handed.early_end && module_end > image.start {
        exit::fatal("the boot module lies where the kernel put its tables: too little memory");
    }
    let taken = [(0, 0x10_0000), (image.start, handed.early_end), (module_start, module_end)];
    let mut regions = [(0, 0); 32];
    let count = memory.free_regions(&taken, &mut regions);
    // SAFETY: the regions are free memory, as the loader says, less what is taken.
    unsafe { frames::init(&regions[..count], false) };
    let pointer = PhysAddr(module_start).pointer();
    // SAFETY: the module is in memory that nobody else uses.
    let module = unsafe { core::slice::from_raw_parts(pointer, module_len as usize) };
    let config = match Config::parse(module) {
        Ok(config) => config,
        Err(_) => exit::fatal("the boot module is damaged or of another version"),
    };
    apic::init_first();
    clock::init(config.realtime);
    serial::init();
    smp::expect(config.limits.cpus as usize);
    drupe_kernel_main(Boot { module, module_address: PhysAddr(module_start) })
}
