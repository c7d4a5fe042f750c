use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use drupe_net_base::{Instant, SECOND};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as MapEntry;
use lock::SpinLock;

use crate::config::InterfaceId;
use crate::frame::Frame;
use crate::shared::{Hashing, rank};

/// How long an answer counts (RFC 4861 §10).
const REACHABLE: u64 = 30 * SECOND;
/// How long a stale entry that is used may be confirmed by other means before it is probed.
const DELAY: u64 = 5 * SECOND;
const RETRANSMIT: u64 = SECOND;
const TRIES: u8 = 3;
/// Frames that wait for one neighbour.
const WAITING: usize = 16;

/// State of a neighbour, as RFC 4861 §7.3.2 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum NeighbourState {
    Incomplete,
    Reachable,
    Stale,
    Delay,
    Probe,
    Permanent,
}

#[derive(Debug)]
struct Neighbour {
    state: NeighbourState,
    mac: [u8; 6],
    /// When the state ends or the next solicitation is due.
    due: Instant,
    tries: u8,
    used: Instant,
    waiting: Vec<Frame>,
}

/// A solicitation to be sent: to all, or to the neighbour that is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Solicit {
    pub interface: InterfaceId,
    pub address: IpAddr,
    pub unicast: Option<[u8; 6]>,
}

/// What is known of a neighbour when a packet is to be sent.
#[derive(Debug)]
pub(crate) enum Resolution {
    /// Its hardware address, and until when it may be used without asking here again.
    Known([u8; 6], Instant),
    /// Nothing yet: hand the frame to [`Neighbours::wait`].
    Unknown(Option<Solicit>),
}

/// What [`Neighbours::expire`] found.
#[derive(Debug, Default)]
pub(crate) struct Expired {
    pub solicit: Vec<Solicit>,
    /// Frames whose neighbour did not answer.
    pub undeliverable: Vec<Frame>,
}

/// The neighbours on all links (ARP, RFC 826; neighbour discovery, RFC 4861), shared by the
/// shards under one lock. Flows cache what they looked up and compare the generation.
#[derive(Debug)]
pub struct Neighbours {
    table: SpinLock<HashMap<(InterfaceId, IpAddr), Neighbour, Hashing>>,
    generation: AtomicU32,
    /// Nanoseconds of the next deadline; so that polling costs one load.
    deadline: AtomicU64,
    limit: usize,
}

impl Neighbours {
    pub(crate) fn new(limit: usize, hashing: Hashing) -> Self {
        Neighbours {
            table: SpinLock::new(rank::NEIGHBOURS, HashMap::with_hasher(hashing)),
            generation: AtomicU32::new(0),
            deadline: AtomicU64::new(u64::MAX),
            limit,
        }
    }

    /// Moves whenever a hardware address changed or went.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::from_nanos(self.deadline.load(Ordering::Acquire))
    }

    fn arm(&self, at: Instant) {
        self.deadline.fetch_min(at.nanos(), Ordering::AcqRel);
    }

    /// Looks a neighbour up to send to it.
    pub(crate) fn resolve(
        &self,
        interface: InterfaceId,
        address: IpAddr,
        now: Instant,
    ) -> Resolution {
        let mut table = self.table.lock();
        let count = table.len();
        match table.entry((interface, address)) {
            MapEntry::Occupied(mut entry) => {
                let neighbour = entry.get_mut();
                neighbour.used = now;
                match neighbour.state {
                    NeighbourState::Incomplete => Resolution::Unknown(None),
                    NeighbourState::Permanent => Resolution::Known(neighbour.mac, Instant::NEVER),
                    NeighbourState::Reachable if neighbour.due > now => {
                        Resolution::Known(neighbour.mac, neighbour.due)
                    }
                    NeighbourState::Reachable | NeighbourState::Stale => {
                        neighbour.state = NeighbourState::Delay;
                        neighbour.due = now + DELAY;
                        self.arm(neighbour.due);
                        Resolution::Known(neighbour.mac, now + REACHABLE)
                    }
                    NeighbourState::Delay | NeighbourState::Probe => {
                        Resolution::Known(neighbour.mac, now + REACHABLE)
                    }
                }
            }
            MapEntry::Vacant(entry) => {
                let full = count >= self.limit;
                let neighbour = Neighbour {
                    state: NeighbourState::Incomplete,
                    mac: [0; 6],
                    due: now + RETRANSMIT,
                    tries: 1,
                    used: now,
                    waiting: Vec::new(),
                };
                entry.insert(neighbour);
                if full {
                    evict(&mut table, (interface, address));
                }
                self.arm(now + RETRANSMIT);
                Resolution::Unknown(Some(Solicit { interface, address, unicast: None }))
            }
        }
    }

    /// Keeps a frame until its neighbour answers. False if it was dropped instead.
    pub(crate) fn wait(&self, interface: InterfaceId, address: IpAddr, frame: Frame) -> bool {
        let mut table = self.table.lock();
        match table.get_mut(&(interface, address)) {
            Some(neighbour) if neighbour.state == NeighbourState::Incomplete => {
                let room = neighbour.waiting.len() < WAITING;
                if room {
                    neighbour.waiting.push(frame);
                }
                room
            }
            _ => false,
        }
    }

    /// A neighbour told its hardware address: in answer to a question (`solicited`) or on its
    /// own. `create` makes a new entry for it; `replace` lets it change a known address. Returns
    /// the frames that waited for it.
    pub(crate) fn learn(
        &self,
        interface: InterfaceId,
        address: IpAddr,
        mac: [u8; 6],
        (solicited, create, replace): (bool, bool, bool),
        now: Instant,
    ) -> Vec<Frame> {
        let mut table = self.table.lock();
        let count = table.len();
        let neighbour = match table.entry((interface, address)) {
            MapEntry::Occupied(entry) => entry.into_mut(),
            MapEntry::Vacant(_) if !create => return Vec::new(),
            MapEntry::Vacant(entry) => {
                let neighbour = Neighbour {
                    state: NeighbourState::Stale,
                    mac,
                    due: Instant::NEVER,
                    tries: 0,
                    used: now,
                    waiting: Vec::new(),
                };
                entry.insert(neighbour);
                if count >= self.limit {
                    evict(&mut table, (interface, address));
                }
                return Vec::new();
            }
        };
        if neighbour.state == NeighbourState::Permanent {
            return Vec::new();
        }
        let known = neighbour.state != NeighbourState::Incomplete;
        let changed = neighbour.mac != mac;
        if known && changed && !replace {
            if neighbour.state == NeighbourState::Reachable {
                neighbour.state = NeighbourState::Stale;
            }
            return Vec::new();
        }
        neighbour.mac = mac;
        neighbour.tries = 0;
        if solicited {
            neighbour.state = NeighbourState::Reachable;
            neighbour.due = now + REACHABLE;
        } else if changed || !known {
            neighbour.state = NeighbourState::Stale;
            neighbour.due = Instant::NEVER;
        }
        if known && changed {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        core::mem::take(&mut neighbour.waiting)
    }

    /// Sets a neighbour by hand.
    pub fn set_permanent(&self, interface: InterfaceId, address: IpAddr, mac: [u8; 6]) {
        let neighbour = Neighbour {
            state: NeighbourState::Permanent,
            mac,
            due: Instant::NEVER,
            tries: 0,
            used: Instant::ZERO,
            waiting: Vec::new(),
        };
        self.table.lock().insert((interface, address), neighbour);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Everything that is known: interface, address, hardware address, state.
    pub fn list(&self) -> Vec<(InterfaceId, IpAddr, [u8; 6], NeighbourState)> {
        let table = self.table.lock();
        let mut list: Vec<_> = table
            .iter()
            .map(|(&(interface, address), n)| (interface, address, n.mac, n.state))
            .collect();
        list.sort_by_key(|entry| (entry.0, entry.1));
        list
    }

    /// Does what is due: repeats solicitations, gives up silent neighbours.
    pub(crate) fn expire(&self, now: Instant) -> Expired {
        let mut expired = Expired::default();
        if self.deadline() > now {
            return expired;
        }
        let mut table = self.table.lock();
        self.deadline.store(u64::MAX, Ordering::Release);
        let mut gone = false;
        table.retain(|&(interface, address), neighbour| {
            let waits = matches!(
                neighbour.state,
                NeighbourState::Incomplete | NeighbourState::Delay | NeighbourState::Probe
            );
            if !waits {
                return true;
            }
            if neighbour.due <= now {
                if neighbour.state == NeighbourState::Delay {
                    neighbour.state = NeighbourState::Probe;
                    neighbour.tries = 0;
                }
                if neighbour.tries >= TRIES {
                    gone |= neighbour.state == NeighbourState::Probe;
                    expired.undeliverable.append(&mut neighbour.waiting);
                    return false;
                }
                neighbour.tries += 1;
                neighbour.due = now + RETRANSMIT;
                let unicast = (neighbour.state == NeighbourState::Probe).then_some(neighbour.mac);
                expired.solicit.push(Solicit { interface, address, unicast });
            }
            self.arm(neighbour.due);
            true
        });
        if gone {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        expired
    }
}

/// Drops the entry that was used longest ago.
fn evict(
    table: &mut HashMap<(InterfaceId, IpAddr), Neighbour, Hashing>,
    keep: (InterfaceId, IpAddr),
) {
    let oldest = table
        .iter()
        .filter(|(key, n)| **key != keep && n.state != NeighbourState::Permanent)
        .min_by_key(|(_, neighbour)| neighbour.used)
        .map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        table.remove(&oldest);
    }
}
