//! IP summary dumps: packets as lines of fields.
//!
//! Source: the documentation of FromIPSummaryDump and ToIPSummaryDump.

use alloc::string::String;

pub(crate) mod draft;
pub(crate) mod fields;
pub(crate) mod icmp_names;
pub(crate) mod ip_options;
pub(crate) mod md5;
pub(crate) mod pcap;
pub(crate) mod show;
pub(crate) mod tcp_options;

pub(crate) use fields::{Field, find};

/// The version of the format that dumps are written in.
pub(crate) const VERSION: &str = "1.3";

/// Appends an address.
pub(crate) fn push_ip(out: &mut String, address: [u8; 4]) {
    out.push_str(&click_language::value::unparse_ip(address));
}
