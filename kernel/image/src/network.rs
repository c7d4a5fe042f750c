//! The network: interfaces of the boot module and drivers of the platform brought together.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi_guest::{Config, Network, NetworkFact};
use abi_report::Level;
use hal::Report;
use net_service::stack::{Autoconf, Offloads, Prefix};
use net_service::{Interface, MakeDevice, Settings};

/// A device that was found.
pub struct Opened {
    /// Makes its driver.
    pub driver: MakeDevice,
    /// What it does for the stack.
    pub offloads: Offloads,
    /// Its hardware address, if it has one of its own.
    pub mac: Option<[u8; 6]>,
}

/// What a platform brings along.
#[derive(Clone, Copy)]
pub struct Drivers {
    /// Opens the device behind a network interface; fails with the reason.
    pub network: fn(&Network) -> Result<Opened, &'static str>,
}

/// The part of the memory that packets and socket buffers may take.
const SHARE: usize = 4;

/// Starts the network with the interfaces of the boot module.
pub fn start(config: &Config<'_>, drivers: &Drivers) {
    let mut interfaces = Vec::new();
    for (index, (network, facts)) in config.networks().enumerate() {
        let name = format!("eth{index}");
        match (drivers.network)(&network) {
            Ok(opened) => interfaces.push(interface(name, &network, facts, opened)),
            Err(reason) => {
                let text = format!("there is no interface {name}: {reason}");
                hal::report(Report::Log, Level::Warning as u8, text.as_bytes());
            }
        }
    }
    // The stack's secrets come from the seed, but not as it is: programs' random numbers do too.
    let word = |at: usize| {
        let bytes = config.seed[at..].first_chunk::<8>();
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes)).rotate_left(17) ^ 0x6472_7570_6521_6e65
    };
    let mut seed = [word(0) ^ word(16), word(8) ^ word(24)];
    let mut own = [0; 16];
    if hal::entropy(&mut own) {
        for (word, bytes) in seed.iter_mut().zip(own.chunks_exact(8)) {
            *word ^= bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        }
    }
    net_service::start(Settings {
        seed,
        memory: mm::frames::total() * hal::PAGE_SIZE as usize / SHARE,
        host_name: String::from_utf8_lossy(config.host_name).into_owned(),
        interfaces,
    });
}

fn interface(
    name: String,
    network: &Network,
    facts: impl Iterator<Item = NetworkFact>,
    opened: Opened,
) -> Interface {
    let mut interface = Interface {
        name,
        mac: opened.mac.filter(|_| network.mac == [0; 6]).unwrap_or(network.mac),
        mtu: network.mtu,
        offloads: opened.offloads,
        addresses: Vec::new(),
        gateways: Vec::new(),
        name_servers: Vec::new(),
        autoconf: Autoconf { ipv6: network.routers, dhcp4: network.dhcp },
        device: opened.driver,
    };
    for fact in facts {
        match fact {
            NetworkFact::Address(address, length) => {
                interface.addresses.push(Prefix::new(address, length));
            }
            NetworkFact::Gateway(address) => interface.gateways.push(address),
            NetworkFact::NameServer(address) => interface.name_servers.push(address),
        }
    }
    interface
}
