//! Clipboard: copies ranges of bytes from packets at input 0 into packets at input 1.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use click_language::value as parse;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Clipboard",
    ports: "2/2",
    processing: "a/a",
    flow: "#/#",
    make: || Box::<Clipboard>::default(),
    documentation: Documentation {
        summary: "Copies ranges of bytes from packets at input 0 into packets at input 1.",
        arguments: &[("OFFSET/LENGTH...", "the ranges")],
        handlers: &[],
    },
};

#[derive(Default)]
struct Clipboard {
    ranges: Vec<(usize, usize)>,
    bytes: Vec<u8>,
    least: usize,
}

/// Longest packet that a range may reach into.
const LONGEST: usize = 1 << 16;

impl Clipboard {
    fn act(&mut self, port: usize, batch: &mut Batch) {
        for packet in batch {
            if packet.len() < self.least {
                continue;
            }
            let mut at = 0;
            for &(offset, length) in &self.ranges {
                let range = &mut packet.data_mut()[offset..offset + length];
                let kept = &mut self.bytes[at..at + length];
                if port == 0 {
                    kept.copy_from_slice(range);
                } else {
                    range.copy_from_slice(kept);
                }
                at += length;
            }
        }
    }
}

impl Element for Clipboard {
    fn configure(&mut self, args: &mut Args<'_>) {
        for (number, argument) in args.rest().into_iter().enumerate() {
            let range = argument.split_once('/').and_then(|(offset, length)| {
                let number = |text| usize::try_from(parse::unsigned(text)?).ok();
                Some((number(offset)?, number(length)?))
            });
            match range {
                Some((offset, length)) if offset.saturating_add(length) <= LONGEST => {
                    self.least = self.least.max(offset + length);
                    self.ranges.push((offset, length));
                }
                _ => args.error(&format!("range {number}: invalid offset or length")),
            }
        }
        let total = self.ranges.iter().map(|(_, length)| length).sum();
        self.bytes.resize(total, 0);
    }

    fn push(&mut self, port: usize, mut batch: Batch, cx: &mut Context<'_>) {
        self.act(port, &mut batch);
        cx.push(port, batch);
    }

    fn pull(&mut self, port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.pull(port, most);
        self.act(port, &mut batch);
        batch
    }
}
