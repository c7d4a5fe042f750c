//! TCP as a pure state machine (RFC 9293): segments, time and calls of the application go in;
//! segments, readiness and deadlines come out.
//!
//! - [`Connection`]: one end of a synchronized connection, or one being opened actively.
//! - [`Embryo`]: a passive open between SYN and the final ACK, in a hundred octets;
//!   [`Secrets`] holds what sequence numbers, SYN cookies and timestamps are derived from.
//! - [`TimeWait`]: what remains of a connection after its end.
//!
//! Principles:
//! - Neither addresses nor ports are known here: demultiplexing, listening and headers below TCP
//!   belong to the caller, which makes the machine testable with two ends and a list.
//! - What is sent is decided in one place, [`Connection::next_segment`]; everything else changes
//!   state. A caller that drains it after each event cannot forget an acknowledgment.
//! - Payload is shared, not copied; segments may be larger than the MSS when the device segments.
//!
//! Not supported: ECN, TCP Fast Open, MD5 and AO authentication, multipath.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod config;
mod congestion;
mod connection;
mod counters;
mod embryo;
mod header;
mod options;
mod rack;
mod ready;
mod receive_queue;
mod rtt;
mod scoreboard;
mod secrets;
mod send_queue;
mod seq;
mod time_wait;

pub use config::Config;
pub use congestion::Algorithm;
pub use connection::{Connection, Env, Failure, Info, IoError, Peer, State};
pub use counters::{ChallengeLimit, Counters};
pub use embryo::{Embryo, EmbryoAnswer};
pub use header::{Flags, Header, Segment};
pub use options::{OptionBytes, Options, SackBlocks};
pub use ready::Ready;
pub use secrets::{FlowWords, Secrets};
pub use seq::Seq;
pub use time_wait::{TimeWait, TimeWaitAnswer};
