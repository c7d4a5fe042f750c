//! FTPPortMapper: makes flows for the data connections of FTP.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Packet;
use click_runtime::Phase;
use click_runtime::args::Raw;

use super::iprewriter::Rewriter;
use crate::nat::FlowId;
use crate::nat::flow::{Flavor, Group, identify};
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "FTPPortMapper",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<FTPPortMapper>::default(),
    documentation: Documentation {
        summary: "Makes flows for the data connections of FTP: rewrites the address in PORT commands.",
        arguments: &[
            ("CONTROL_REWRITER", "the TCPRewriter that control packets go through next"),
            ("DATA_REWRITER", "the rewriter that data packets go through"),
            ("DATA_REWRITER_INPUT", "its input at which the client's data packets would come"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct FTPPortMapper {
    control: usize,
    data: usize,
    input: usize,
}

/// A PORT command (RFC 959, section 4.1.2).
#[derive(Debug, PartialEq, Eq)]
struct Command {
    /// Where its argument is.
    start: usize,
    end: usize,
    address: [u8; 4],
    port: u16,
}

/// Reads a command that fills the line up to its end.
fn command(data: &[u8]) -> Option<Command> {
    let (word, rest) = data.split_first_chunk::<5>()?;
    if !word.eq_ignore_ascii_case(b"PORT ") {
        return None;
    }
    let start = 5 + rest.iter().take_while(|byte| **byte == b' ').count();
    let argument = &data[start..];
    let length = argument.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let text = core::str::from_utf8(&argument[..length]).ok()?;
    let mut numbers = [0; 6];
    let mut words = text.split(',');
    for slot in &mut numbers {
        *slot = words.next()?.parse::<u8>().ok()?;
    }
    let [a, b, c, d, high, low] = numbers;
    words.next().is_none().then_some(Command {
        start,
        end: start + length,
        address: [a, b, c, d],
        port: u16::from_be_bytes([high, low]),
    })
}

/// Replaces the bytes from `start` to `end` of the TCP data, and makes lengths and
/// checksums right again.
fn splice(packet: &mut Packet, (start, end): (usize, usize), new: &[u8]) {
    let tail = packet.data()[end..].to_vec();
    packet.truncate(packet.len() - start);
    packet.append(new.len() + tail.len());
    let data = packet.data_mut();
    wire::put(data, start, new);
    wire::put(data, start + new.len(), &tail);
    let ip = packet.network_data_mut();
    let length = u16::try_from(ip.len()).unwrap_or(u16::MAX);
    let old = wire::u16_at(ip, 2);
    let checksum = wire::update(wire::u16_at(ip, 10), old, length);
    wire::put(ip, 2, &length.to_be_bytes());
    wire::put(ip, 10, &checksum.to_be_bytes());
    wire::set_transport_checksum(ip);
}

impl FTPPortMapper {
    fn rewrite(&self, packet: &mut Packet, cx: &mut Context<'_>) -> Option<()> {
        let (Group::Tcp, control) = identify(Flavor::Ports, packet)? else { return None };
        let tcp = packet.transport_data();
        let (sequence, header) = (wire::u32_at(tcp, 4), usize::from(*tcp.get(12)? >> 4) * 4);
        let payload = tcp.get(header..)?;
        let command = command(payload)?;
        let length = payload.len() as u32;
        let first = packet.len() - payload.len();
        // Only for connections that go through the rewriter.
        let annotation = cx.with(self.control, |rewriter: &mut Rewriter, _| {
            rewriter.lookup(Group::Tcp, control).map(|(.., annotation)| annotation)
        })??;
        let flow = FlowId {
            source: command.address,
            sport: command.port,
            destination: control.destination,
            dport: control.dport.wrapping_sub(1),
        };
        let input = self.input;
        let new = cx.with(self.data, |rewriter: &mut Rewriter, cx| {
            rewriter.establish(input, (Group::Tcp, flow), annotation, cx)
        })??;
        let [a, b, c, d] = new.source;
        let [high, low] = new.sport.to_be_bytes();
        let text: String = format!("{a},{b},{c},{d},{high},{low}");
        splice(packet, (first + command.start, first + command.end), text.as_bytes());
        let difference = text.len() as i32 - (command.end - command.start) as i32;
        cx.with(self.control, |rewriter: &mut Rewriter, _| {
            rewriter.shift(control, sequence.wrapping_add(length), difference);
        })
    }
}

impl Element for FTPPortMapper {
    fn phase(&self) -> Phase {
        Phase::Late
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut control, mut data, mut input) = (Raw::default(), Raw::default(), 0usize);
        args.required("CONTROL_REWRITER", &mut control);
        args.required("DATA_REWRITER", &mut data);
        args.required("DATA_REWRITER_INPUT", &mut input);
        args.finish();
        for (name, slot) in [(&control.0, &mut self.control), (&data.0, &mut self.data)] {
            match args.element(name) {
                Some(element) => *slot = element,
                None => args.error(&format!("'{name}' does not name an element")),
            }
        }
        self.input = input;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        let inputs = [(self.control, 0), (self.data, self.input)];
        for (element, input) in inputs {
            let fits = |rewriter: &mut Rewriter, cx: &mut Context<'_>| {
                (rewriter.flavor() == Flavor::Ports, cx.inputs())
            };
            let name = cx.described(element);
            match cx.with(element, fits) {
                Some((true, inputs)) if input < inputs => {}
                Some((true, _)) => cx.error("DATA_REWRITER_INPUT out of range"),
                _ => cx.error(&format!("'{name}' does not rewrite TCP flows")),
            }
        }
        let below = cx.router().neighbours(cx.id(), Some(0), false, cx.router().len());
        if !below.contains(&self.control) {
            let name = cx.described(self.control);
            let text = format!("control packet rewriter '{name}' is not downstream");
            cx.report().warning(&text);
        }
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        for packet in batch {
            // What is no command for a known flow stays as it is.
            let _ = self.rewrite(packet, cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_others_are_not() {
        let wanted = Command { start: 6, end: 18, address: [10, 0, 0, 2], port: 777 };
        assert_eq!(command(b"port  10,0,0,2,3,9\r\n"), Some(wanted));
        for other in [
            &b"PORT 10,0,0,2,3,9"[..],
            b"PORT 10,0,0,2,3\r\n",
            b"PORT 10,0,0,2,3,256\r\n",
            b"PORT 10,0,0,2,3,9,1\r\n",
            b"PASV\r\n",
            b"",
        ] {
            assert_eq!(command(other), None);
        }
    }
}
