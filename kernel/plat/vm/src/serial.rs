//! The first serial port (16550), on which frames from the host arrive.

use core::sync::atomic::{AtomicBool, Ordering};

use arch::cpu;

use crate::ioapic;
use crate::vcpu::Vcpu;

const PORT: u16 = 0x3f8;
/// Its line on the ISA bus.
const LINE: u32 = 4;
/// The vector of its interrupt.
const VECTOR: u8 = 0x40;

// Registers.
const DATA: u16 = PORT;
const INTERRUPT_ENABLE: u16 = PORT + 1;
const FIFO_CONTROL: u16 = PORT + 2;
const LINE_CONTROL: u16 = PORT + 3;
const MODEM_CONTROL: u16 = PORT + 4;
const LINE_STATUS: u16 = PORT + 5;
const SCRATCH: u16 = PORT + 7;

const DATA_READY: u8 = 1;

static PRESENT: AtomicBool = AtomicBool::new(false);

/// Probes the port and lets it interrupt the first vCPU.
pub fn init() {
    // SAFETY: the ports of the first serial port; where there is none they read as ones.
    unsafe {
        cpu::port_write_u8(SCRATCH, 0x5a);
        if cpu::port_read_u8(SCRATCH) != 0x5a {
            return;
        }
        // 115,200 baud (the divisor is behind bit 7), eight bits, no parity.
        cpu::port_write_u8(LINE_CONTROL, 0x80);
        cpu::port_write_u8(DATA, 1);
        cpu::port_write_u8(INTERRUPT_ENABLE, 0);
        cpu::port_write_u8(LINE_CONTROL, 3);
        // FIFOs that interrupt at 14 bytes, or when no more come.
        cpu::port_write_u8(FIFO_CONTROL, 0xc7);
        // Ready; the interrupt's output is on.
        cpu::port_write_u8(MODEM_CONTROL, 0x0b);
    }
    if !ioapic::route(LINE, VECTOR, Vcpu::of(0)) {
        return;
    }
    // SAFETY: as above.
    unsafe { cpu::port_write_u8(INTERRUPT_ENABLE, 1) };
    PRESENT.store(true, Ordering::Relaxed);
}

/// See [`hal::control_read`]. The line's interrupt is an edge, so the next one comes only after
/// all bytes were taken: callers read until there are none.
pub fn read(buffer: &mut [u8]) -> usize {
    if !PRESENT.load(Ordering::Relaxed) {
        return 0;
    }
    let mut count = 0;
    // SAFETY: the ports of the serial port.
    unsafe {
        while count < buffer.len() && cpu::port_read_u8(LINE_STATUS) & DATA_READY != 0 {
            buffer[count] = cpu::port_read_u8(DATA);
            count += 1;
        }
    }
    count
}
