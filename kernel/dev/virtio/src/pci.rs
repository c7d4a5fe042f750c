//! Devices on PCI (VIRTIO 1.2, section 4.1).

use crate::queue::Queue;
use crate::transport::{Failure, Transport};

const VENDOR: u16 = 0x1af4;
/// What a modern device's identifier is above its kind.
const FIRST_MODERN: u16 = 0x1040;

/// Access to the configuration space of one function.
pub trait ConfigSpace {
    /// Reads an aligned word.
    fn read(&mut self, offset: u16) -> u32;
    /// Writes an aligned word.
    fn write(&mut self, offset: u16, value: u32);
    /// Maps a part of the memory behind a base address register.
    fn map(&mut self, physical: u64, length: u64) -> Option<*mut u8>;
}

// Capabilities.
const VENDOR_SPECIFIC: u8 = 0x09;
const MSI_X: u8 = 0x11;
// Structures of virtio.
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const DEVICE: u8 = 4;

// Common configuration, by offset.
const FEATURES_SELECT: usize = 0x00;
const FEATURES: usize = 0x04;
const ACCEPTED_SELECT: usize = 0x08;
const ACCEPTED: usize = 0x0c;
const CONFIG_VECTOR: usize = 0x10;
const STATUS: usize = 0x14;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_SIZE: usize = 0x18;
const QUEUE_VECTOR: usize = 0x1a;
const QUEUE_ENABLE: usize = 0x1c;
const QUEUE_NOTIFY_OFFSET: usize = 0x1e;
const QUEUE_PLACES: [usize; 3] = [0x20, 0x28, 0x30];
const NO_VECTOR: u16 = 0xffff;

/// A modern virtio function, with one message interrupt for everything.
pub struct Pci {
    common: *mut u8,
    notify: *mut u8,
    notify_length: usize,
    notify_step: usize,
    device: *mut u8,
    device_length: usize,
    /// Where each queue's notification goes, found when it is started.
    places: [usize; 2],
}

// SAFETY: registers can be used from any processor, one at a time.
unsafe impl Send for Pci {}

impl Pci {
    /// The kind of virtio device that a function is, by its identification (the first word of
    /// its configuration space).
    pub fn kind(identification: u32) -> Option<u32> {
        let (vendor, device) = (identification as u16, (identification >> 16) as u16);
        // Transitional devices have the identifiers of old ones and the modern structures.
        match device {
            _ if vendor != VENDOR => None,
            0x1000 => Some(1),
            FIRST_MODERN..=0x107f => Some(u32::from(device - FIRST_MODERN)),
            _ => None,
        }
    }

    /// Sets up a function whose interrupts are the message (address, data).
    ///
    /// # Errors
    /// When a structure is missing or cannot be mapped.
    pub fn new(space: &mut dyn ConfigSpace, message: (u64, u32)) -> Result<Self, Failure> {
        const COMMAND: u16 = 0x04;
        const MEMORY_AND_MASTER: u32 = 6;
        let command = space.read(COMMAND) & 0xffff;
        space.write(COMMAND, command | MEMORY_AND_MASTER);
        let [mut common, mut notify, mut device] = [None; 3];
        let mut step = 0;
        let mut table = None;
        let mut at = space.read(0x34) as u8 & !3;
        // There is room for no more capabilities than this.
        for _ in 0..48 {
            if at == 0 {
                break;
            }
            let offset = u16::from(at);
            let head = space.read(offset);
            match head as u8 {
                VENDOR_SPECIFIC => {
                    let bar = space.read(offset + 4) as u8;
                    let place = (bar, space.read(offset + 8), space.read(offset + 12));
                    match (head >> 24) as u8 {
                        COMMON => common = common.or(Some(place)),
                        NOTIFY => {
                            notify = notify.or(Some(place));
                            step = space.read(offset + 16) as usize;
                        }
                        DEVICE => device = device.or(Some(place)),
                        _ => {}
                    }
                }
                MSI_X => table = Some((offset, space.read(offset + 4))),
                _ => {}
            }
            at = (head >> 8) as u8 & !3;
        }
        let mut map = |place: Option<(u8, u32, u32)>| {
            let (bar, offset, length) = place?;
            let base = base_address(space, bar)?;
            Some((space.map(base + u64::from(offset), u64::from(length))?, length as usize))
        };
        let found = (|| Some((map(common)?, map(notify)?, map(device)?)))();
        let Some(((common, _), (notify, notify_length), (device, device_length))) = found else {
            return Err(Failure::Malformed);
        };
        let (capability, location) = table.ok_or(Failure::Malformed)?;
        let base = base_address(space, location as u8 & 7).ok_or(Failure::Malformed)?;
        let entry = space.map(base + u64::from(location & !7), 16).ok_or(Failure::Malformed)?;
        let (address, data) = message;
        let words = [address as u32, (address >> 32) as u32, data, 0];
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: the first entry of the table of messages.
            unsafe { entry.cast::<u32>().add(index).write_volatile(word) };
        }
        const ENABLE: u32 = 1 << 31;
        const MASK_ALL: u32 = 1 << 30;
        let control = space.read(capability);
        space.write(capability, (control | ENABLE) & !MASK_ALL);
        Ok(Self {
            common,
            notify,
            notify_length,
            notify_step: step,
            device,
            device_length,
            places: [0; 2],
        })
    }

    fn read32(&self, register: usize) -> u32 {
        // SAFETY: a register of the common configuration.
        unsafe { self.common.add(register).cast::<u32>().read_volatile() }
    }

    fn write32(&mut self, register: usize, value: u32) {
        // SAFETY: a register of the common configuration.
        unsafe { self.common.add(register).cast::<u32>().write_volatile(value) };
    }

    fn read16(&self, register: usize) -> u16 {
        // SAFETY: a register of the common configuration.
        unsafe { self.common.add(register).cast::<u16>().read_volatile() }
    }

    fn write16(&mut self, register: usize, value: u16) {
        // SAFETY: a register of the common configuration.
        unsafe { self.common.add(register).cast::<u16>().write_volatile(value) };
    }
}

/// The memory behind a base address register.
fn base_address(space: &mut dyn ConfigSpace, bar: u8) -> Option<u64> {
    if bar > 5 {
        return None;
    }
    let register = 0x10 + 4 * u16::from(bar);
    let low = space.read(register);
    match low & 7 {
        0 => Some(u64::from(low & !0xf)),
        4 if bar < 5 => Some(u64::from(space.read(register + 4)) << 32 | u64::from(low & !0xf)),
        _ => None,
    }
    .filter(|address| *address != 0)
}

impl Transport for Pci {
    fn features(&mut self) -> u64 {
        self.write32(FEATURES_SELECT, 1);
        let high = u64::from(self.read32(FEATURES));
        self.write32(FEATURES_SELECT, 0);
        high << 32 | u64::from(self.read32(FEATURES))
    }

    fn accept(&mut self, features: u64) {
        for (half, value) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.write32(ACCEPTED_SELECT, half);
            self.write32(ACCEPTED, value);
        }
    }

    fn status(&mut self) -> u8 {
        // SAFETY: a register of the common configuration.
        unsafe { self.common.add(STATUS).read_volatile() }
    }

    fn set_status(&mut self, status: u8) {
        // SAFETY: a register of the common configuration.
        unsafe { self.common.add(STATUS).write_volatile(status) };
    }

    fn queue_size(&mut self, queue: u16) -> u16 {
        self.write16(QUEUE_SELECT, queue);
        self.read16(QUEUE_SIZE)
    }

    fn start_queue(&mut self, index: u16, queue: &Queue) {
        self.write16(CONFIG_VECTOR, NO_VECTOR);
        self.write16(QUEUE_SELECT, index);
        self.write16(QUEUE_SIZE, queue.size());
        self.write16(QUEUE_VECTOR, 0);
        for (register, place) in QUEUE_PLACES.into_iter().zip(queue.places()) {
            self.write32(register, place as u32);
            self.write32(register + 4, (place >> 32) as u32);
        }
        let place = usize::from(self.read16(QUEUE_NOTIFY_OFFSET)) * self.notify_step;
        if let Some(known) = self.places.get_mut(usize::from(index)) {
            *known = place;
        }
        self.write16(QUEUE_ENABLE, 1);
    }

    fn notify(&mut self, queue: u16) {
        let place = self.places.get(usize::from(queue)).copied().unwrap_or(0);
        if place + 2 <= self.notify_length {
            // SAFETY: inside the notification structure.
            unsafe { self.notify.add(place).cast::<u16>().write_volatile(queue) };
        }
    }

    fn acknowledge(&mut self) {
        // A message needs no answer.
    }

    fn config(&mut self, offset: usize) -> u8 {
        if offset >= self.device_length {
            return 0;
        }
        // SAFETY: inside the device's configuration.
        unsafe { self.device.add(offset).read_volatile() }
    }
}
