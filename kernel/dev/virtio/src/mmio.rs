//! Devices with registers in memory (VIRTIO 1.2, section 4.2).

use crate::queue::Queue;
use crate::transport::{Failure, Transport};

const MAGIC: u32 = 0x7472_6976;

// Registers, by their offset.
const MAGIC_VALUE: usize = 0x000;
const VERSION: usize = 0x004;
const DEVICE: usize = 0x008;
const FEATURES: usize = 0x010;
const FEATURES_SELECT: usize = 0x014;
const ACCEPTED: usize = 0x020;
const ACCEPTED_SELECT: usize = 0x024;
const QUEUE_SELECT: usize = 0x030;
const QUEUE_MOST: usize = 0x034;
const QUEUE_SIZE: usize = 0x038;
const QUEUE_READY: usize = 0x044;
const QUEUE_NOTIFY: usize = 0x050;
const INTERRUPT_STATUS: usize = 0x060;
const INTERRUPT_ACKNOWLEDGE: usize = 0x064;
const STATUS: usize = 0x070;
const QUEUE_PLACES: [usize; 3] = [0x080, 0x090, 0x0a0];
const CONFIG: usize = 0x100;

/// The registers of one device.
pub struct Mmio {
    registers: *mut u8,
}

// SAFETY: registers can be used from any processor, one at a time.
unsafe impl Send for Mmio {}

impl Mmio {
    /// Bytes of the registers.
    pub const LENGTH: usize = 0x200;

    /// The device at `registers`, and its kind. `Ok(None)`: there is none.
    ///
    /// # Errors
    /// When it is too old.
    ///
    /// # Safety
    /// `registers` are [`LENGTH`](Self::LENGTH) bytes of device memory, for this driver alone.
    pub unsafe fn probe(registers: *mut u8) -> Result<Option<(Self, u32)>, Failure> {
        let device = Self { registers };
        if device.read(MAGIC_VALUE) != MAGIC {
            return Ok(None);
        }
        match (device.read(DEVICE), device.read(VERSION)) {
            (0, _) => Ok(None),
            (kind, 2) => Ok(Some((device, kind))),
            _ => Err(Failure::TooOld),
        }
    }

    fn read(&self, register: usize) -> u32 {
        // SAFETY: a register of the device.
        unsafe { self.registers.add(register).cast::<u32>().read_volatile() }
    }

    fn write(&mut self, register: usize, value: u32) {
        // SAFETY: a register of the device.
        unsafe { self.registers.add(register).cast::<u32>().write_volatile(value) };
    }
}

impl Transport for Mmio {
    fn features(&mut self) -> u64 {
        self.write(FEATURES_SELECT, 1);
        let high = u64::from(self.read(FEATURES));
        self.write(FEATURES_SELECT, 0);
        high << 32 | u64::from(self.read(FEATURES))
    }

    fn accept(&mut self, features: u64) {
        for (half, value) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.write(ACCEPTED_SELECT, half);
            self.write(ACCEPTED, value);
        }
    }

    fn status(&mut self) -> u8 {
        self.read(STATUS) as u8
    }

    fn set_status(&mut self, status: u8) {
        self.write(STATUS, u32::from(status));
    }

    fn queue_size(&mut self, queue: u16) -> u16 {
        self.write(QUEUE_SELECT, u32::from(queue));
        u16::try_from(self.read(QUEUE_MOST)).unwrap_or(u16::MAX)
    }

    fn start_queue(&mut self, index: u16, queue: &Queue) {
        self.write(QUEUE_SELECT, u32::from(index));
        self.write(QUEUE_SIZE, u32::from(queue.size()));
        for (register, place) in QUEUE_PLACES.into_iter().zip(queue.places()) {
            self.write(register, place as u32);
            self.write(register + 4, (place >> 32) as u32);
        }
        self.write(QUEUE_READY, 1);
    }

    fn notify(&mut self, queue: u16) {
        self.write(QUEUE_NOTIFY, u32::from(queue));
    }

    fn acknowledge(&mut self) {
        let status = self.read(INTERRUPT_STATUS);
        if status != 0 {
            self.write(INTERRUPT_ACKNOWLEDGE, status);
        }
    }

    fn config(&mut self, offset: usize) -> u8 {
        // SAFETY: a byte of the device's configuration, which may be read in bytes.
        unsafe { self.registers.add(CONFIG + offset).read_volatile() }
    }
}
