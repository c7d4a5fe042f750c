//! Devices as the shards see them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use drupe_net_stack::base::BufferPool;
use drupe_net_stack::{Autoconf, Devices, Frame, InterfaceId, Offloads, Prefix, Received};
use lock::{Rank, SpinLock};

/// A driver of a network device.
pub trait Device: Send {
    /// The next frame that arrived.
    fn receive(&mut self) -> Option<Received>;

    /// Whether there is room for one more frame.
    fn has_room(&mut self) -> bool;

    /// Sends a frame; called only after [`Device::has_room`] said yes.
    fn transmit(&mut self, frame: Frame);

    /// The last frame of several: the moment to tell the device.
    fn flush(&mut self) {}

    /// Nothing is left to receive: asks for an event when something comes, and when there is room
    /// again if there was none. `true`: that has happened already.
    fn rest(&mut self) -> bool;
}

/// Makes a driver that takes its buffers from the given pool.
pub type MakeDevice = Box<dyn FnOnce(Arc<dyn BufferPool>) -> Box<dyn Device> + Send>;

/// An interface with a device behind it, as the kernel is given it at the start.
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Largest IP packet.
    pub mtu: u32,
    /// What the device does for the stack.
    pub offloads: Offloads,
    /// Its addresses, with the length of the network's prefix.
    pub addresses: Vec<Prefix>,
    /// Routers for everything else, one of each family at most.
    pub gateways: Vec<IpAddr>,
    /// Name servers.
    pub name_servers: Vec<IpAddr>,
    /// What it finds out by itself.
    pub autoconf: Autoconf,
    /// Makes the driver.
    pub device: MakeDevice,
}

const DEVICE: Rank = Rank::new(129, "net device");

/// A device in use.
pub(crate) struct Attached {
    interface: InterfaceId,
    device: SpinLock<Box<dyn Device>>,
    /// It may have frames, or room where it had none.
    ready: AtomicBool,
}

impl Attached {
    pub fn new(interface: InterfaceId, device: Box<dyn Device>) -> Self {
        Self {
            interface,
            device: SpinLock::new(DEVICE, device),
            // The first poll arms it.
            ready: AtomicBool::new(true),
        }
    }

    /// The device wants to be looked at.
    pub fn wake(&self) {
        self.ready.store(true, Ordering::Release);
    }

    fn receive(&self) -> Option<Received> {
        if !self.ready.load(Ordering::Acquire) {
            return None;
        }
        let mut device = self.device.lock();
        loop {
            if let Some(received) = device.receive() {
                return Some(received);
            }
            self.ready.store(false, Ordering::Release);
            if !device.rest() {
                return None;
            }
            self.ready.store(true, Ordering::Release);
        }
    }
}

/// The devices that one shard uses. All send; one shard receives and hands on what belongs to
/// others.
pub(crate) struct Ports {
    pub attached: Vec<Arc<Attached>>,
    pub receives: bool,
}

impl Ports {
    fn of(&self, interface: InterfaceId) -> Option<&Attached> {
        self.attached.iter().find(|port| port.interface == interface).map(|port| &**port)
    }
}

impl Devices for Ports {
    fn receive(&mut self) -> Option<(InterfaceId, Received)> {
        if !self.receives {
            return None;
        }
        self.attached.iter().find_map(|port| Some((port.interface, port.receive()?)))
    }

    fn has_room(&mut self, interface: InterfaceId) -> bool {
        // A frame for no device is lost, not kept.
        self.of(interface).is_none_or(|port| port.device.lock().has_room())
    }

    fn transmit(&mut self, interface: InterfaceId, frame: Frame) {
        if let Some(port) = self.of(interface) {
            port.device.lock().transmit(frame);
        }
    }

    fn flush(&mut self) {
        for port in &self.attached {
            port.device.lock().flush();
        }
    }
}
