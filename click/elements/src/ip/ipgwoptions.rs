//! IPGWOptions: processes the options that a router must: record route and timestamp.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::anno;
use click_runtime::args::Ip;
use click_runtime::args::Raw;
use click_runtime::args::Value;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPGWOptions",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<IPGWOptions>::default(),
    documentation: Documentation {
        summary: "Processes the options that a router must: record route and timestamp.",
        arguments: &[("MYADDR", "address of the router"), ("OTHERADDRS", "further addresses")],
        handlers: &[("drops", "packets with bad options")],
    },
};

#[derive(Default)]
struct IPGWOptions {
    addresses: Vec<[u8; 4]>,
    drops: u64,
}

/// The clock of the timestamp option: milliseconds since midnight.
fn milliseconds(now: i64) -> u32 {
    (now.div_euclid(1_000_000) % 86_400_000) as u32
}

/// Processes the options. The error is the offset of the byte that is wrong.
fn process_options(ip: &mut [u8], addresses: &[[u8; 4]], now: i64) -> Result<(), u8> {
    let end = wire::header_length(ip).min(ip.len());
    let own = addresses.first().copied().unwrap_or_default();
    let mut at = 20;
    while at < end {
        let kind = ip[at];
        if kind == 0 {
            break;
        }
        if kind == 1 {
            at += 1;
            continue;
        }
        let length = usize::from(*ip.get(at + 1).ok_or(at as u8)?);
        if length < 2 || at + length > end {
            return Err((at + 1) as u8);
        }
        match kind {
            7 if length >= 3 => {
                let pointer = usize::from(ip[at + 2]);
                if pointer >= 4 && pointer + 3 <= length {
                    wire::put(ip, at + pointer - 1, &own);
                    ip[at + 2] += 4;
                } else if pointer < 4 || pointer <= length {
                    return Err((at + 2) as u8);
                }
            }
            68 if length >= 4 => timestamp(&mut ip[at..at + length], own, addresses, now)
                .map_err(|offset| (at as u8).saturating_add(offset))?,
            _ => {}
        }
        at += length;
    }
    wire::set_ip_checksum(ip);
    Ok(())
}

fn timestamp(option: &mut [u8], own: [u8; 4], addresses: &[[u8; 4]], now: i64) -> Result<(), u8> {
    let pointer = usize::from(option[2]);
    let flag = option[3] & 15;
    let size = if flag == 0 { 4 } else { 8 };
    if pointer < 5 {
        return Err(2);
    }
    if pointer + size - 1 > option.len() {
        // Full: count the overflow, which itself must not overflow.
        return match option[3] >> 4 {
            15 => Err(3),
            _ => {
                option[3] += 16;
                Ok(())
            }
        };
    }
    let time = milliseconds(now).to_be_bytes();
    match flag {
        0 => wire::put(option, pointer - 1, &time),
        1 => {
            wire::put(option, pointer - 1, &own);
            wire::put(option, pointer + 3, &time);
        }
        3 if addresses.contains(&wire::ip_at(option, pointer - 1)) => {
            wire::put(option, pointer + 3, &time);
        }
        3 => return Ok(()),
        _ => return Err(3),
    }
    option[2] += size as u8;
    Ok(())
}

impl Element for IPGWOptions {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut own, mut others) = (Ip::default(), Raw::default());
        args.required("MYADDR", &mut own);
        args.positional("OTHERADDRS", &mut others);
        args.finish();
        self.addresses.push(own.0);
        for word in config::split_words(&others.0) {
            match Ip::parse(&word, &args.scope) {
                Ok(address) => self.addresses.push(address.0),
                Err(error) => args.error(&format!("OTHERADDRS: {error}")),
            }
        }
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let now = cx.coarse_now();
        let addresses = &self.addresses;
        let dropped = cx.split(batch, 1, |packet| {
            let ip = packet.network_data_mut();
            if ip.first().is_none_or(|first| first & 15 <= 5) {
                return true;
            }
            match process_options(ip, addresses, now) {
                Ok(()) => true,
                Err(offset) => {
                    packet.set_anno_u8(anno::ICMP_PARAMPROB, offset);
                    false
                }
            }
        });
        self.drops += dropped as u64;
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("drops")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.drops.to_string())
    }
}
