//! Rewriting of flows: patterns, the table of flows, and what all rewriters share.
//!
//! Source: the documentation of IPRewriter, TCPRewriter, UDPRewriter, IPAddrRewriter and
//! IPRewriterPatterns.

pub(crate) mod flow;
pub(crate) mod pattern;
pub(crate) mod sequence;
pub(crate) mod spec;
pub(crate) mod table;

pub(crate) use flow::{Flavor, FlowId};
pub(crate) use pattern::Pattern;
pub(crate) use spec::Spec;
pub(crate) use table::Table;
