//! The ways out: reports, and the end of the machine.

use abi_report::{DEBUG_PORT, EXIT_PORT, MAX_PAYLOAD, head};
use arch::cpu;
use hal::Report;

static REPORTING: spin::Mutex<()> = spin::Mutex::new(());

/// Sends one frame on the report channel.
pub fn report(kind: Report, flags: u8, payload: &[u8]) {
    let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
    // A dying kernel may hold the lock: it does not wait for ever.
    let guard = (0..1_000_000).find_map(|_| REPORTING.try_lock());
    // SAFETY: bytes to the debug console; without one they go nowhere.
    unsafe {
        cpu::port_write_bytes(DEBUG_PORT, &head(kind, flags, payload.len()));
        cpu::port_write_bytes(DEBUG_PORT, payload);
    }
    drop(guard);
}

/// Whether somebody is in the middle of sending a frame.
pub fn is_reporting() -> bool {
    REPORTING.is_locked()
}

/// Ends the machine.
pub fn exit(code: i32) -> ! {
    report(Report::Exit, 0, &code.to_le_bytes());
    // SAFETY: ends the machine; without the device, the reset that follows does.
    unsafe {
        cpu::port_write_u32(EXIT_PORT, code as u32 & 0x7f);
        // The keyboard controller's reset line, then a fault without handlers.
        cpu::port_write_u8(0x64, 0xfe);
        core::arch::asm!("lidt [{}]", "ud2", in(reg) &[0u64; 2], options(noreturn));
    }
}

/// Ends the machine with the reason.
pub fn fatal(why: &str) -> ! {
    report(Report::Panic, 0, why.as_bytes());
    exit(125)
}
