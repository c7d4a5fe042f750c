//! The ways out: reports, and the end of the machine.

use arch::cpu;
use hal::Report;

/// QEMU's debug console: the report channel.
const REPORT_PORT: u16 = 0x502;
/// QEMU's debug exit device.
const EXIT_PORT: u16 = 0xf4;
/// The first serial port.
const SERIAL_PORT: u16 = 0x3f8;

static REPORTING: spin::Mutex<()> = spin::Mutex::new(());

/// Sends one record on the report channel.
pub fn report(kind: Report, payload: &[u8]) {
    if matches!(kind, Report::Stdout | Report::Stderr) {
        // SAFETY: bytes to the serial port's transmitter; the host takes them at once.
        return unsafe { cpu::port_write_bytes(SERIAL_PORT, payload) };
    }
    let mut header = [0; 8];
    header[0] = kind as u8;
    header[4..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    // A dying kernel may hold the lock: it does not wait for ever.
    let guard = (0..1_000_000).find_map(|_| REPORTING.try_lock());
    // SAFETY: bytes to the debug console; without one they go nowhere.
    unsafe {
        cpu::port_write_bytes(REPORT_PORT, &header);
        cpu::port_write_bytes(REPORT_PORT, payload);
    }
    drop(guard);
}

/// Ends the machine.
pub fn exit(code: i32) -> ! {
    report(Report::Exit, &code.to_le_bytes());
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
    report(Report::Panic, why.as_bytes());
    exit(125)
}
