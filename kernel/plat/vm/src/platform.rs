//! The platform interface, bound.

use core::num::NonZeroUsize;
use core::sync::atomic::Ordering;

use arch::{cpu, flags};
use hal::{
    Backing, MapError, Platform, Protection, Range, Report, UserContext, UserExit, UserFault,
};

use crate::vcpu::{self, Vcpu, unit};
use crate::{apic, clock, exit, fault, serial, smp, space, stacks, tables, traps, user};

struct Machine;
hal::platform!(crate::platform::Machine);

/// The control register bit of the FSGSBASE instructions.
const CR4_FSGSBASE: u64 = 1 << 16;

/// The flags that the processor leaves in R11 and RFLAGS after a system call: what `sysret`
/// can restore without surprises.
const SYSRET_FORBIDS: u64 = flags::TRAP | flags::RESUME;

fn load_bases(vcpu: &Vcpu, context: &UserContext) {
    const FS_BASE: u32 = 0xc000_0100;
    const KERNEL_GS_BASE: u32 = 0xc000_0102;
    let (fs, gs) = (context.registers.fs_base, context.registers.gs_base);
    // SAFETY: bases of a program, canonical as the kernel above checked; its GS base waits in
    // the register that `swapgs` exchanges.
    unsafe {
        if vcpu.fs_base.load(Ordering::Relaxed) != fs {
            vcpu.fs_base.store(fs, Ordering::Relaxed);
            if has_base_instructions() {
                cpu::write_fs_base(fs);
            } else {
                cpu::write_msr(FS_BASE, fs);
            }
        }
        if vcpu.gs_base.load(Ordering::Relaxed) != gs {
            vcpu.gs_base.store(gs, Ordering::Relaxed);
            cpu::write_msr(KERNEL_GS_BASE, gs);
        }
    }
}

/// Whether the FSGSBASE instructions can be used, by the kernel and by programs.
fn has_base_instructions() -> bool {
    static ANSWER: spin::Once<bool> = spin::Once::new();
    // SAFETY: reads a register, which is the same on all processors.
    *ANSWER.call_once(|| unsafe { cpu::read_cr4() } & CR4_FSGSBASE != 0)
}

impl Platform for Machine {
    fn exit(code: i32) -> ! {
        exit::exit(code)
    }

    fn report(kind: Report, flags: u8, payload: &[u8]) {
        exit::report(kind, flags, payload);
    }

    fn control_read(buffer: &mut [u8]) -> usize {
        serial::read(buffer)
    }

    fn monotonic() -> u64 {
        clock::monotonic()
    }

    fn realtime() -> u64 {
        clock::realtime()
    }

    fn entropy(buffer: &mut [u8]) -> bool {
        for chunk in buffer.chunks_mut(8) {
            let Some(random) = cpu::random() else { return false };
            chunk.copy_from_slice(&random.to_le_bytes()[..chunk.len()]);
        }
        true
    }

    fn image_base() -> usize {
        tables::image()
    }

    fn vcpu_count() -> usize {
        vcpu::count()
    }

    fn vcpu_current() -> usize {
        let index: u32;
        // SAFETY: GS points to the vCPU, whose second field this is.
        unsafe {
            core::arch::asm!("mov {:e}, gs:[8]", out(reg) index, options(nostack, preserves_flags, readonly));
        }
        index as usize
    }

    fn vcpu_start(entry: fn() -> !) {
        user::init();
        smp::start(entry);
    }

    fn vcpu_wait(deadline: u64) {
        space::leave_dead();
        apic::set_timer(deadline);
        // SAFETY: interrupts come in only here; `sti` holds them off until the halt has begun.
        unsafe { core::arch::asm!("sti", "hlt", "cli", options(nomem, nostack)) };
        space::leave_dead();
    }

    fn vcpu_kick(index: usize) {
        apic::kick(Vcpu::of(index));
    }

    fn vcpu_timer(deadline: u64) {
        apic::set_timer(deadline);
    }

    fn vcpu_relax(_rounds: u32) {
        cpu::pause();
    }

    fn device_events() -> u64 {
        Vcpu::this().device_events.load(Ordering::Acquire)
    }

    fn physical_window() -> *mut u8 {
        tables::direct()
    }

    fn stack_allocate() -> Option<(NonZeroUsize, usize)> {
        stacks::allocate()
    }

    fn stack_free(base: NonZeroUsize) {
        stacks::free(base);
    }

    fn space_create() -> Result<NonZeroUsize, MapError> {
        space::create()
    }

    fn space_fork() -> Result<NonZeroUsize, MapError> {
        space::fork()
    }

    fn space_destroy(handle: NonZeroUsize) {
        space::destroy(handle);
    }

    fn space_activate(handle: Option<NonZeroUsize>) {
        space::activate(handle);
    }

    fn space_map(range: Range, backing: Backing, protection: Protection) -> Result<(), MapError> {
        space::map(range, backing, protection)
    }

    fn space_unmap(range: Range) -> Result<(), MapError> {
        space::unmap(range)
    }

    fn space_protect(range: Range, protection: Protection) -> Result<(), MapError> {
        space::protect(range, protection)
    }

    fn space_move(from: Range, to: Range) -> Result<(), MapError> {
        space::move_range(from, to)
    }

    fn space_discard(range: Range) -> Result<(), MapError> {
        space::discard(range)
    }

    fn space_resident() -> Option<u64> {
        Some(space::resident())
    }

    fn space_kept(range: Range) -> Option<Range> {
        const LOWEST: Range = Range { start: 0, end: 0x1_0000 };
        (range.start < LOWEST.end).then_some(LOWEST)
    }

    fn user_clock() -> hal::ClockData {
        hal::ClockData { source: clock::user_source(), vcpu_at: None }
    }

    fn calls_served() -> Option<[u64; 2]> {
        None
    }

    fn user_read(to: *mut u8, from: u64, length: usize) -> Result<(), UserFault> {
        user::read(to, from, length)
    }

    fn user_write(to: u64, from: *const u8, length: usize) -> Result<(), UserFault> {
        user::write(to, from, length)
    }

    fn user_compare_exchange(address: u64, expected: u32, new: u32) -> Result<u32, UserFault> {
        user::compare_exchange(address, expected, new)
    }

    fn programs_have_gs() -> bool {
        true
    }

    fn barrier_all() {
        space::forget_everywhere();
    }

    fn context_run(context: &mut UserContext) -> UserExit {
        let vcpu = Vcpu::this();
        let holder = vcpu.index as usize + 1;
        let identity = (&raw const *context) as usize;
        if context.place.holder != holder || vcpu.context.load(Ordering::Relaxed) != identity {
            vcpu.context.store(identity, Ordering::Relaxed);
            context.place.holder = holder;
            unit().restore(context.vector_memory());
        }
        context.place.live = true;
        load_bases(vcpu, context);
        vcpu.registers.store(&raw mut context.registers, Ordering::Relaxed);
        loop {
            let registers = &context.registers;
            let fast = registers.rcx == registers.rip
                && registers.r11 == registers.rflags
                && registers.rip < user::USER_END
                && registers.rflags & SYSRET_FORBIDS == 0;
            // The order with the look at the generation is what `space::forget` relies on.
            vcpu.in_user.swap(true, Ordering::SeqCst);
            space::catch_up(vcpu);
            // SAFETY: the registers are the program's, with flags that leave interrupts on.
            if unsafe { traps::enter_user(fast) } == traps::SYSCALL {
                return UserExit::Syscall;
            }
            if let Some(exit) = fault::of_program(vcpu) {
                return exit;
            }
        }
    }

    fn context_save(context: &mut UserContext) {
        let vcpu = Vcpu::this();
        unit().save(context.vector_memory());
        // SAFETY: reads registers.
        unsafe {
            // A program that uses the instructions changes its bases without asking.
            if has_base_instructions() {
                let fs = cpu::read_fs_base();
                if vcpu.fs_base.load(Ordering::Relaxed) != fs {
                    vcpu.fs_base.store(fs, Ordering::Relaxed);
                    context.registers.fs_base = fs;
                }
                let gs = cpu::read_kernel_gs_base();
                if vcpu.gs_base.load(Ordering::Relaxed) != gs {
                    vcpu.gs_base.store(gs, Ordering::Relaxed);
                    context.registers.gs_base = gs;
                }
            }
        }
        context.place.live = false;
    }
}
