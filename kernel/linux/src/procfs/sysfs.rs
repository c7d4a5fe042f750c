//! `/sys`, as far as programs look there: the processors.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use generated::{Attributes, Directory, File, Generated};
use vfs::{FileSystem, Inode};

use super::status::cpu_list;
use super::{Text, line, text};
use crate::process::all_vcpus;

fn all() -> Text {
    line(cpu_list(all_vcpus()))
}

fn fixed(number: u64, value: String) -> Arc<dyn Inode> {
    File::new(Attributes::new(number, 0o444), move || line(value.clone())).into_inode()
}

fn folder(number: u64) -> Directory {
    Directory::new(Attributes::new(number, 0o755))
}

/// Every processor is a core of its own in one package.
fn processor(number: u32) -> Arc<dyn Inode> {
    let first = 0x1000 + 0x100 * u64::from(number);
    let own = 1u64 << number;
    let topology = folder(first + 1)
        .with("physical_package_id", fixed(first + 2, "0".into()))
        .with("core_id", fixed(first + 3, format!("{number}")))
        .with("thread_siblings", fixed(first + 4, format!("{own:x}")))
        .with("thread_siblings_list", fixed(first + 5, format!("{number}")))
        .with("core_siblings", fixed(first + 6, format!("{:x}", all_vcpus())))
        .with("core_siblings_list", fixed(first + 7, cpu_list(all_vcpus())));
    folder(first).with("topology", topology.into_inode()).into_inode()
}

/// The file system of `/sys`.
pub fn file_system() -> Arc<dyn FileSystem> {
    const SYSFS_MAGIC: u64 = 0x6265_6572;
    let mut processors = folder(2)
        .with("online", text(3, all))
        .with("possible", text(4, all))
        .with("present", text(5, all))
        .with("offline", text(6, || line(String::new())))
        .with("kernel_max", text(7, || line("63".into())));
    for number in 0..hal::vcpu_count() as u32 {
        processors = processors.with(&format!("cpu{number}"), processor(number));
    }
    let system = folder(8).with("cpu", processors.into_inode());
    let devices = folder(9).with("system", system.into_inode());
    // Programs look for control groups here and find that there are none.
    let fs = folder(10).with("cgroup", folder(11).into_inode());
    let root = folder(1)
        .with("devices", devices.into_inode())
        .with("fs", fs.into_inode())
        .with("kernel", folder(12).into_inode());
    Generated::new("sysfs", SYSFS_MAGIC, Arc::new(root))
}
