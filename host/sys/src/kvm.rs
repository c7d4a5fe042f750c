//! Whether this host's KVM runs real guests.
//!
//! The presence of `/dev/kvm` proves nothing: some nested hosts emulate ring 0 instruction by
//! instruction, lack vector instructions there, or deliver a system call of ring 3 without
//! raising the privilege. So a guest of a few instructions tries just that: it starts in ring
//! 3, makes a system call, tells which ring it is in, uses a vector register and counts.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use kvm_bindings::{
    KVM_MAX_CPUID_ENTRIES, Msrs, kvm_msr_entry, kvm_regs, kvm_segment, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuExit};
use rustix::event::{PollFd, PollFlags, Timespec};

/// Size of the guest's memory, which one large page maps.
const MEMORY: usize = 2 << 20;
const PML4: usize = 0x1000;
const PDPT: usize = 0x2000;
const DIRECTORY: usize = 0x3000;
const USER_CODE: usize = 0x5000;
const KERNEL_CODE: usize = 0x6000;

/// Present, writable, for ring 3; and a large page.
const TABLE: u64 = 0x7;
const LARGE: u64 = 0x87;

const RING_PORT: u16 = 0x10;
const DONE_PORT: u16 = 0x11;

/// Twice as many instructions as this are counted in ring 0.
const COUNT: u32 = 200_000;

/// A processor takes well under a millisecond for them; one that is emulated takes a hundred.
const LONGEST_COUNT: Duration = Duration::from_millis(20);

const MSR_EFER: u32 = 0xc000_0080;
const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_SFMASK: u32 = 0xc000_0084;

/// Runs the probe in a process of its own, for at most `longest`.
///
/// # Errors
/// Says why KVM is not to be used.
pub fn probe_kvm(longest: Duration) -> Result<(), String> {
    let failed = |error: io::Error| format!("the probe cannot run: {error}");
    let (mut read, mut write) = io::pipe().map_err(failed)?;
    // SAFETY: libc's fork keeps the allocator usable in the child, which does nothing but run
    // the probe, write to its pipe and exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let answer = match run_guest() {
            Ok(()) => "sound".to_owned(),
            Err(reason) => reason,
        };
        let _ = write.write_all(answer.as_bytes());
        // SAFETY: ends the child without running what the parent has registered.
        unsafe { libc::_exit(0) };
    }
    drop(write);
    let mut set = [PollFd::new(&read, PollFlags::IN)];
    let time =
        Timespec { tv_sec: longest.as_secs() as i64, tv_nsec: longest.subsec_nanos().into() };
    let is_ready = child > 0 && matches!(rustix::event::poll(&mut set, Some(&time)), Ok(1..));
    let mut answer = String::new();
    if is_ready {
        let _ = read.read_to_string(&mut answer);
    }
    if child > 0 {
        // SAFETY: the child is not reaped yet, so its number belongs to nobody else.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }
    match answer.as_str() {
        "sound" => Ok(()),
        "" => Err("a tiny guest hangs on /dev/kvm".to_owned()),
        reason => Err(reason.to_owned()),
    }
}

/// Memory of the guest.
struct Memory {
    start: *mut u8,
}

impl Memory {
    fn new() -> io::Result<Self> {
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                MEMORY,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast() })
    }

    fn write(&mut self, position: usize, bytes: &[u8]) {
        assert!(position + bytes.len() <= MEMORY);
        // SAFETY: inside the mapping, which no guest runs in yet.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(position), bytes.len());
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and the guest is gone.
        unsafe { libc::munmap(self.start.cast(), MEMORY) };
    }
}

fn run_guest() -> Result<(), String> {
    let failed = |error: kvm_ioctls::Error| format!("/dev/kvm does not work: {error}");
    let mut memory = Memory::new().map_err(|error| error.to_string())?;
    fill(&mut memory);
    let kvm = Kvm::new().map_err(|error| format!("/dev/kvm cannot be used: {error}"))?;
    let vm = kvm.create_vm().map_err(failed)?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: MEMORY as u64,
        userspace_addr: memory.start as u64,
    };
    // SAFETY: the region is `memory`, which outlives the machine.
    unsafe { vm.set_user_memory_region(region) }.map_err(failed)?;
    let mut vcpu = vm.create_vcpu(0).map_err(failed)?;
    let features = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(failed)?;
    vcpu.set_cpuid2(&features).map_err(failed)?;
    set_registers(&vcpu).map_err(failed)?;

    match vcpu.run().map_err(failed)? {
        VcpuExit::IoOut(RING_PORT, [0]) => {}
        // Still in ring 3, where writing to a port is a fault.
        _ => return Err("KVM delivers system calls without raising the privilege".to_owned()),
    }
    let start = Instant::now();
    match vcpu.run().map_err(failed)? {
        VcpuExit::IoOut(DONE_PORT, _) => {}
        _ => return Err("KVM has no vector instructions in ring 0".to_owned()),
    }
    let time = start.elapsed();
    if time > LONGEST_COUNT {
        let speed = f64::from(COUNT) * 2.0 / time.as_secs_f64() / 1e6;
        return Err(format!("KVM emulates ring 0, at {speed:.1} million instructions per second"));
    }
    Ok(())
}

/// Page tables that map all memory for ring 3, and the code of both rings.
fn fill(memory: &mut Memory) {
    memory.write(PML4, &(PDPT as u64 | TABLE).to_le_bytes());
    memory.write(PDPT, &(DIRECTORY as u64 | TABLE).to_le_bytes());
    memory.write(DIRECTORY, &LARGE.to_le_bytes());
    // syscall
    memory.write(USER_CODE, &[0x0f, 0x05]);
    let mut code = vec![
        0x8c,
        0xc8, // mov eax, cs
        0x83,
        0xe0,
        0x03, // and eax, 3
        0xe6,
        RING_PORT as u8, // out RING_PORT, al
        0x0f,
        0x57,
        0xc0, // xorps xmm0, xmm0
        0xb9, // mov ecx, COUNT
    ];
    code.extend(COUNT.to_le_bytes());
    code.extend([
        0xff,
        0xc9, // dec ecx
        0x75,
        0xfc, // jnz to the dec
        0xe6,
        DONE_PORT as u8, // out DONE_PORT, al
        0xf4,            // hlt
    ]);
    memory.write(KERNEL_CODE, &code);
}

/// Long mode, ring 3, at the user's code.
fn set_registers(vcpu: &kvm_ioctls::VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let mut special = vcpu.get_sregs()?;
    let data = kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector: 0x2b,
        type_: 3,
        present: 1,
        dpl: 3,
        db: 1,
        s: 1,
        l: 0,
        g: 1,
        ..kvm_segment::default()
    };
    special.cs = kvm_segment { selector: 0x33, type_: 11, db: 0, l: 1, ..data };
    (special.ss, special.ds, special.es) = (data, data, data);
    // PE, MP, ET, NE, WP, PG; PAE, OSFXSR, OSXMMEXCPT; SCE, LME, LMA, NXE.
    special.cr0 = 0x8001_0033;
    special.cr3 = PML4 as u64;
    special.cr4 = 0x620;
    special.efer = 0xd01;
    vcpu.set_sregs(&special)?;
    let msr = |index, data| kvm_msr_entry { index, data, ..kvm_msr_entry::default() };
    let msrs = [
        msr(MSR_EFER, 0xd01),
        msr(MSR_STAR, 0x23 << 48 | 0x08 << 32),
        msr(MSR_LSTAR, KERNEL_CODE as u64),
        msr(MSR_SFMASK, 0x200),
    ];
    if let Ok(msrs) = Msrs::from_entries(&msrs) {
        vcpu.set_msrs(&msrs)?;
    }
    vcpu.set_regs(&kvm_regs { rip: USER_CODE as u64, rflags: 2, ..kvm_regs::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_answers_in_time_whatever_the_host_is() {
        let start = Instant::now();
        if let Err(reason) = probe_kvm(Duration::from_secs(2)) {
            assert!(!reason.is_empty());
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
