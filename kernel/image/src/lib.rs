//! The kernel put together: its main function, the adapters between crates that do not know each
//! other, the global allocator and what happens on a panic.
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

extern crate alloc;

mod panic;

use alloc::vec::Vec;

pub use panic::last_words;

use abi_guest::{Config, RootSource};
use hal::{Boot, PhysAddr};
use linux::Configuration;

#[global_allocator]
static HEAP: mm::Heap = mm::Heap;

/// The kernel's main function on the first vCPU.
pub fn main(boot: Boot) -> ! {
    let config = match Config::parse(boot.module) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    };
    let configuration = configuration(&boot, &config);
    sched::start(move || linux::start(configuration))
}

fn configuration(boot: &Boot, config: &Config<'static>) -> Configuration {
    let owned = |items: &mut dyn Iterator<Item = &'static [u8]>| -> Vec<Vec<u8>> {
        items.map(<[u8]>::to_vec).collect()
    };
    let root = config.roots().find(|root| root.target == b"/").and_then(|root| match root.source {
        RootSource::Module { offset, length } => {
            let bytes = boot.module.get(offset as usize..)?.get(..length as usize)?;
            Some((bytes, PhysAddr(boot.module_address.0 + offset)))
        }
        _ => None,
    });
    Configuration {
        root,
        program: config.program.to_vec(),
        arguments: owned(&mut config.arguments()),
        environment: owned(&mut config.environment()),
        working_directory: config.working_directory.to_vec(),
        host_name: config.host_name.to_vec(),
        user: (config.user.uid, config.user.gid),
        seed: config.seed,
        terminal: config.terminal.map(|terminal| (terminal.rows, terminal.columns)),
        input: config.input,
        trace_syscalls: config.trace.syscalls,
        log_level: config.trace.log_level,
    }
}
