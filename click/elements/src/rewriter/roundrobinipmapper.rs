//! RoundRobinIPMapper: gives the new flows of a rewriter to patterns in turn.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Phase;

use crate::nat;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "RoundRobinIPMapper",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<RoundRobinIPMapper>::default(),
    documentation: Documentation {
        summary: "Gives the new flows of a rewriter to patterns in turn.",
        arguments: &[("PATTERN...", "patterns with outputs")],
        handlers: &[],
    },
};

#[derive(Default)]
pub(crate) struct RoundRobinIPMapper {
    specs: Vec<nat::Spec>,
    next: usize,
}

impl RoundRobinIPMapper {
    /// The specification for the next flow.
    pub(crate) fn next(&mut self) -> Option<&mut nat::Spec> {
        let count = self.specs.len();
        let at = self.next;
        self.next = (self.next + 1) % count.max(1);
        self.specs.get_mut(at)
    }
}

impl Element for RoundRobinIPMapper {
    fn phase(&self) -> Phase {
        Phase::Early
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        for (number, argument) in args.rest().into_iter().enumerate() {
            // Outputs are those of the rewriter, which checks them when it sends.
            let spec =
                nat::Spec::parse(&argument, nat::Flavor::Ports, usize::MAX, &args.scope, &|_| None);
            match spec {
                Ok(spec) => self.specs.push(spec),
                Err(error) => args.error(&format!("pattern {number}: {error}")),
            }
        }
        if self.specs.is_empty() {
            args.error("no patterns given");
        }
    }
}
