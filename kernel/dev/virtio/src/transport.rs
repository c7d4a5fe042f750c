//! How a device is configured (VIRTIO 1.2, sections 2.1, 2.2 and 3.1).

use crate::queue::Queue;

/// Why a device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is from before version 1.0.
    TooOld,
    /// It does not accept the features that both sides have.
    Features,
    /// It has fewer queues than it needs, or none of a usable size.
    Queues,
    /// A structure that the transport needs is missing.
    Malformed,
}

impl Failure {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooOld => "the virtio device is from before version 1.0",
            Self::Features => "the virtio device does not accept the features that it offers",
            Self::Queues => "the virtio device has no usable queues",
            Self::Malformed => "the virtio device lacks a structure that it needs",
        }
    }
}

/// Bits of a device's status.
pub mod status {
    /// The driver has seen the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// There is a driver for it.
    pub const DRIVER: u8 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 4;
    /// The features are settled.
    pub const FEATURES_OK: u8 = 8;
}

/// `VIRTIO_F_EVENT_IDX`.
pub const EVENT_INDEX: u64 = 1 << 29;
/// `VIRTIO_F_VERSION_1`.
pub const VERSION_1: u64 = 1 << 32;

/// A device's registers.
pub trait Transport: Send {
    /// What the device offers.
    fn features(&mut self) -> u64;
    /// What the driver takes of that.
    fn accept(&mut self, features: u64);
    /// The status.
    fn status(&mut self) -> u8;
    /// Sets the status; 0 resets the device.
    fn set_status(&mut self, status: u8);
    /// The largest size of a queue; 0: there is no such queue.
    fn queue_size(&mut self, queue: u16) -> u16;
    /// Puts a queue to work.
    fn start_queue(&mut self, index: u16, queue: &Queue);
    /// Tells the device that a queue has something for it.
    fn notify(&mut self, queue: u16);
    /// Takes note of an interrupt, where the device must be told.
    fn acknowledge(&mut self);
    /// A byte of the device's own configuration.
    fn config(&mut self, offset: usize) -> u8;
}

/// Resets a device and settles its features: those of `wanted` that it has. Gives them.
///
/// # Errors
/// When it is too old, or refuses.
pub fn negotiate(transport: &mut dyn Transport, wanted: u64) -> Result<u64, Failure> {
    transport.set_status(0);
    // A reset takes as long as it takes, but not for ever.
    for _ in 0..1_000_000 {
        if transport.status() == 0 {
            break;
        }
        core::hint::spin_loop();
    }
    transport.set_status(status::ACKNOWLEDGE | status::DRIVER);
    let offered = transport.features();
    if offered & VERSION_1 == 0 {
        return Err(Failure::TooOld);
    }
    let features = offered & (wanted | VERSION_1);
    transport.accept(features);
    let settled = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
    transport.set_status(settled);
    if transport.status() & status::FEATURES_OK == 0 {
        return Err(Failure::Features);
    }
    Ok(features)
}
