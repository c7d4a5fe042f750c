//! Runs a Click router: packets, elements, tasks, timers, notifiers and handlers.
//!
//! A [`Router`] is built from a flat graph and a table of element classes, and then driven
//! with [`Router::step`]. Everything outside comes in through the [`Host`] trait: time,
//! files, sockets, randomness, output. So the same code runs in a process, in the
//! unikernel, in tests with virtual time, and under a fuzzer.
//!
//! How packets move: an element gets a [`Batch`] of packets at one of its inputs and hands
//! batches on with [`Context::push`]. What it hands on is delivered after it returns,
//! depth first and in order, so elements never call each other and a loop in the graph
//! costs no stack. Pulls are direct calls up the graph, one per batch.
//!
//! Each packet owns its buffer, which comes from a pool of the router and goes back there
//! with [`Context::kill`]; nothing is shared between packets.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod anno;
pub mod args;
pub mod context;
pub mod element;
pub mod handler;
pub mod host;
pub mod names;
pub mod notify;
pub mod packet;
pub mod random;
pub mod router;
pub mod search;

mod build;
mod ports;
mod schedule;
mod timers;

pub use args::Args;
pub use context::Context;
pub use element::{Class, Documentation, Element, Phase};
pub use handler::{Answer, Handler};
pub use host::{Host, SocketEvent};
pub use packet::{Batch, Packet};
pub use router::{Outcome, Router, RouterOptions};
