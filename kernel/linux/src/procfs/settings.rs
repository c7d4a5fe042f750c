//! `/proc/sys`: the settings of the system, which nobody can change.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use generated::{Attributes, Directory};
use spin::Once;
use vfs::Inode;

use super::{Files, line, number, text};
use crate::{random, system};

const KERNEL: Files = &[
    ("cap_last_cap", || line("40".into())),
    ("hostname", || line(String::from_utf8_lossy(&system::host_name()).into_owned())),
    ("domainname", || line("(none)".into())),
    ("ngroups_max", || line("65536".into())),
    ("osrelease", || line(system::RELEASE.into())),
    ("ostype", || line("Linux".into())),
    ("overflowgid", || line("65534".into())),
    ("overflowuid", || line("65534".into())),
    ("pid_max", || line("4194304".into())),
    ("randomize_va_space", || line("2".into())),
    ("tainted", || line("0".into())),
    ("threads-max", || line("30000".into())),
    ("version", || line(system::VERSION.into())),
];

const RANDOM: Files = &[
    ("boot_id", || {
        static BOOT: Once<String> = Once::new();
        line(BOOT.call_once(new_uuid).clone())
    }),
    ("entropy_avail", || line("256".into())),
    ("poolsize", || line("256".into())),
    ("uuid", || line(new_uuid())),
];

const MEMORY: Files = &[
    ("max_map_count", || line("65530".into())),
    ("mmap_min_addr", || line("65536".into())),
    ("overcommit_memory", || line("0".into())),
    ("overcommit_ratio", || line("50".into())),
    ("swappiness", || line("0".into())),
];

const FILES: Files = &[
    ("file-max", || line("1048576".into())),
    ("nr_open", || line("1048576".into())),
    ("pipe-max-size", || line("1048576".into())),
    ("protected_hardlinks", || line("1".into())),
];

const CORE: Files = &[("somaxconn", || line("4096".into()))];

/// A random UUID (RFC 9562, version 4).
fn new_uuid() -> String {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xf << 76) & !(3 << 62) | 4 << 76 | 2 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        number >> 96,
        number >> 80 & 0xffff,
        number >> 64 & 0xffff,
        number >> 48 & 0xffff,
        number & 0xffff_ffff_ffff
    )
}

fn folder(first: u64, files: Files) -> Directory {
    let directory = Directory::new(Attributes::new(first, 0o555));
    files.iter().zip(first + 1..).fold(directory, |directory, ((name, render), number)| {
        directory.with(name, text(number, *render))
    })
}

/// `/proc/sys`.
pub fn directory() -> Arc<dyn Inode> {
    let first = |index: u64| number::SETTINGS + 0x100 * index;
    let net = Directory::new(Attributes::new(first(1), 0o555))
        .with("core", folder(first(2), CORE).into_inode());
    Directory::new(Attributes::new(first(0), 0o555))
        .with("fs", folder(first(3), FILES).into_inode())
        .with(
            "kernel",
            folder(first(4), KERNEL)
                .with("random", folder(first(5), RANDOM).into_inode())
                .into_inode(),
        )
        .with("net", net.into_inode())
        .with("vm", folder(first(6), MEMORY).into_inode())
        .into_inode()
}
