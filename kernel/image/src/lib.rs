//! The kernel put together: its main function, the adapters between crates that do not know each
//! other, the global allocator and what happens on a panic.
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

extern crate alloc;

mod panic;

use abi_guest::Config;
use hal::{Boot, Report};

#[global_allocator]
static HEAP: mm::Heap = mm::Heap;

/// The kernel's main function on the first vCPU.
pub fn main(boot: Boot) -> ! {
    let config = match Config::parse(boot.module) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    };
    let text = alloc::format!(
        "hello from {} with {} free frames\n",
        core::str::from_utf8(config.program).unwrap_or("?"),
        mm::frames::free()
    );
    hal::report(Report::Stdout, 0, text.as_bytes());
    hal::exit(0)
}
