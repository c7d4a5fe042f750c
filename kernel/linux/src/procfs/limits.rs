//! `/proc/<pid>/limits`.

use alloc::format;
use alloc::string::String;

use super::Text;
use super::process::Subject;
use crate::process::INFINITY;

/// The resources in the order of their numbers, and the order in which they are shown.
const RESOURCES: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

fn shown(limit: u64) -> String {
    if limit == INFINITY { "unlimited".into() } else { format!("{limit}") }
}

/// `/proc/<pid>/limits`.
pub fn limits(subject: &Subject) -> Text {
    let process = subject.process()?;
    let mut text =
        format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (number, (name, unit)) in RESOURCES.into_iter().enumerate() {
        let limit = process.limits.both(number);
        let (soft, hard) = (shown(limit.soft), shown(limit.hard));
        text += &format!("{name:<25} {soft:<20} {hard:<20} {unit:<10}\n");
    }
    Ok(text.into_bytes())
}
