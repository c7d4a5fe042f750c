//! Drivers for virtio devices, after VIRTIO 1.2 (OASIS): queues, transports and network devices.
//!
//! - A [`Queue`] is the driver's side of a split virtqueue. What a device writes is checked: a
//!   device that breaks the rules loses its buffers, it cannot make the driver touch others.
//! - A [`Transport`] is how the device is found and configured: registers in memory ([`Mmio`]) or a
//!   PCI function ([`Pci`]).
//! - A [`Net`] joins both for a network device. Buffers are named by the addresses that the
//!   device sees; who owns them, and what frames mean, is the caller's business.
//!
//! Nothing here knows where memory or interrupts come from, so all of it runs under plain tests
//! against a device of the test's own.
//!
//! Not here: devices from before version 1.0, packed queues.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod mmio;
mod net;
mod pci;
mod queue;
mod transport;

pub use mmio::Mmio;
pub use net::{Header, Net, Segments};
pub use pci::{ConfigSpace, Pci};
pub use queue::{Memory, Part, Queue};
pub use transport::{Failure, Transport, negotiate};
