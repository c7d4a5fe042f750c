//! Queues, and packets spread over several outputs.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;

use click_runtime::element::{Notify, downcast};
use click_runtime::handler::Answer;
use click_runtime::notify::Which;
use click_runtime::{Args, Batch, Context, Element, Handler, Packet};

use crate::common;

/// Where a packet goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One output; a packet for one that is not there is dropped.
    Port(usize),
    /// A copy to every output.
    All,
}

/// Sends each packet its way. Packets with the same way that follow each other stay
/// together.
pub(crate) fn distribute(
    batch: Batch,
    cx: &mut Context<'_>,
    mut choose: impl FnMut(&Packet) -> Way,
) {
    // The usual case is a batch that stays whole.
    let mut ways = batch.iter().map(&mut choose);
    let Some(first) = ways.next() else {
        cx.kill_all(batch);
        return;
    };
    let mut alike = 1;
    let mut next = first;
    for way in ways {
        next = way;
        if way != first {
            break;
        }
        alike += 1;
    }
    if alike == batch.len() {
        send(batch, first, cx);
        return;
    }
    let mut rest = batch;
    let mut run = cx.batch();
    run.extend(rest.drain(..alike));
    send(run, first, cx);
    let mut run = cx.batch();
    let mut current = next;
    for (at, packet) in rest.drain(..).enumerate() {
        let way = if at == 0 { next } else { choose(&packet) };
        if way != current {
            let fresh = cx.batch();
            send(core::mem::replace(&mut run, fresh), current, cx);
            current = way;
        }
        run.push(packet);
    }
    send(run, current, cx);
    cx.kill_all(rest);
}

/// Sends each packet to the output that `outputs` has at its place; drops those whose
/// output is not there.
pub(crate) fn distribute_to(batch: Batch, outputs: &[u32], cx: &mut Context<'_>) {
    if let Some((&first, rest)) = outputs.split_first()
        && rest.iter().fold(true, |alike, output| alike & (*output == first))
    {
        cx.push(first as usize, batch);
        return;
    }
    let mut outputs = outputs.iter();
    distribute(batch, cx, |_| {
        Way::Port(outputs.next().map_or(usize::MAX, |&output| output as usize))
    });
}

fn send(batch: Batch, way: Way, cx: &mut Context<'_>) {
    match way {
        Way::Port(port) => cx.push(port, batch),
        Way::All => {
            let outputs: Vec<usize> = (0..cx.outputs()).collect();
            copy_to(batch, &outputs, cx);
        }
    }
}

/// Sends copies to several outputs, the packets themselves to the last.
pub(crate) fn copy_to(batch: Batch, outputs: &[usize], cx: &mut Context<'_>) {
    let Some((last, others)) = outputs.split_last() else {
        cx.kill_all(batch);
        return;
    };
    for &output in others {
        let mut copies = cx.batch();
        for packet in &batch {
            copies.push(cx.copy(packet));
        }
        cx.push(output, copies);
    }
    cx.push(*last, batch);
}

/// What a queue tells others, and what it does when it is full.
#[derive(Clone, Copy)]
pub(crate) struct Notices {
    empty: bool,
    full: bool,
    /// Says that it is empty at once, not after several vain pulls.
    quick: bool,
    front_drop: bool,
    mixed: bool,
}

impl Notices {
    pub(crate) const NONE: Self =
        Self { empty: false, full: false, quick: false, front_drop: false, mixed: false };
    pub(crate) const EMPTY: Self = Self { empty: true, ..Self::NONE };
    pub(crate) const BOTH: Self = Self { full: true, ..Self::EMPTY };
    pub(crate) const QUICK: Self = Self { quick: true, ..Self::BOTH };
    pub(crate) const FRONT: Self = Self { front_drop: true, ..Self::EMPTY };
    pub(crate) const MIXED: Self = Self { mixed: true, ..Self::EMPTY };
}

/// Vain pulls after which a queue says that it is empty.
const SLEEPINESS: u32 = 9;

/// Most packets that a queue may be asked to hold.
const LARGEST: usize = 1 << 24;

/// A queue of packets.
pub(crate) struct Queue {
    notices: Notices,
    packets: VecDeque<Packet>,
    capacity: usize,
    highwater: usize,
    drops: u64,
    vain: u32,
}

impl Queue {
    pub(crate) fn new(notices: Notices) -> Self {
        Self { notices, packets: VecDeque::new(), capacity: 1000, highwater: 0, drops: 0, vain: 0 }
    }

    fn tell(&mut self, cx: &mut Context<'_>) {
        if self.notices.full {
            let room = self.capacity.saturating_sub(self.packets.len());
            cx.set_room(room);
            cx.notify(Which::Full, room > 0);
        }
    }

    fn note_length(&mut self) {
        self.highwater = self.highwater.max(self.packets.len());
    }

    fn overflow(&mut self, count: usize, cx: &mut Context<'_>) {
        if self.drops == 0 && self.capacity > 0 {
            let line = alloc::format!("{}: overflow", cx.described(cx.id()));
            cx.message(&line);
        }
        self.drops += count as u64;
    }

    fn put_back(&mut self, mut batch: Batch, cx: &mut Context<'_>) {
        // From input 1 the last comes first; what does not fit is the oldest.
        for packet in batch.drain(..) {
            if self.packets.len() >= self.capacity {
                self.overflow(1, cx);
                if let Some(old) = self.packets.pop_back() {
                    cx.kill(old);
                }
            }
            self.packets.push_front(packet);
        }
        cx.kill_all(batch);
    }

    fn put(&mut self, mut batch: Batch, cx: &mut Context<'_>) {
        let room = self.capacity.saturating_sub(self.packets.len());
        if batch.len() <= room {
            self.packets.extend(batch.drain(..));
            cx.kill_all(batch);
            return;
        }
        self.overflow(batch.len() - room, cx);
        if self.notices.front_drop {
            self.packets.extend(batch.drain(..));
            while self.packets.len() > self.capacity {
                if let Some(old) = self.packets.pop_front() {
                    cx.push_one(1, old);
                }
            }
            cx.kill_all(batch);
        } else {
            self.packets.extend(batch.drain(..room));
            cx.push(1, batch);
        }
    }

    fn set_capacity(&mut self, capacity: usize, cx: &mut Context<'_>) {
        self.capacity = capacity;
        while self.packets.len() > capacity {
            if let Some(packet) = self.packets.pop_back() {
                cx.kill(packet);
            }
        }
        self.tell(cx);
    }
}

impl Element for Queue {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut capacity = self.capacity;
        args.positional("CAPACITY", &mut capacity);
        args.finish();
        if capacity > LARGEST {
            args.error("CAPACITY: out of range");
        }
        self.capacity = capacity;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        if self.notices.empty {
            cx.notify(Which::Empty, false);
        }
        self.tell(cx);
    }

    fn push(&mut self, port: usize, batch: Batch, cx: &mut Context<'_>) {
        if self.notices.mixed && port == 1 {
            self.put_back(batch, cx);
        } else {
            self.put(batch, cx);
        }
        self.note_length();
        if self.notices.empty && !self.packets.is_empty() {
            cx.notify(Which::Empty, true);
        }
        self.tell(cx);
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        let count = most.min(self.packets.len());
        batch.extend(self.packets.drain(..count));
        if count > 0 {
            self.vain = 0;
            self.tell(cx);
        } else {
            self.vain += 1;
        }
        let sleepy = if self.notices.quick {
            self.packets.is_empty()
        } else {
            count == 0 && self.vain > SLEEPINESS
        };
        if sleepy && self.notices.empty {
            cx.notify(Which::Empty, false);
        }
        batch
    }

    fn notifier(&self, full: bool, port: usize) -> Option<Notify> {
        let has = if full { self.notices.full } else { self.notices.empty && port == 0 };
        has.then_some(Notify::Stop)
    }

    fn handlers(&self) -> Vec<Handler> {
        alloc::vec![
            Handler::read("length"),
            Handler::read("highwater_length"),
            Handler::both("capacity"),
            Handler::read("drops"),
            Handler::button("reset_counts"),
            Handler::button("reset"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "length" => self.packets.len().to_string(),
            "highwater_length" => self.highwater.to_string(),
            "capacity" => self.capacity.to_string(),
            _ => self.drops.to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "capacity" => {
                let capacity: usize = common::value(value, cx)?;
                if capacity > LARGEST {
                    return Err("CAPACITY: out of range".into());
                }
                self.set_capacity(capacity, cx);
                common::show_keyword("CAPACITY", value, Some(0), cx);
            }
            "reset" => {
                let mut all = cx.batch();
                all.extend(self.packets.drain(..));
                cx.kill_all(all);
                self.tell(cx);
            }
            _ => {
                self.drops = 0;
                self.highwater = 0;
            }
        }
        common::done()
    }

    fn take_state(&mut self, old: &mut dyn Element, cx: &mut Context<'_>) {
        let Some(old) = downcast::<Self>(old) else { return };
        self.packets = core::mem::take(&mut old.packets);
        let capacity = self.capacity;
        self.set_capacity(capacity, cx);
        if self.notices.empty && !self.packets.is_empty() {
            cx.notify(Which::Empty, true);
        }
    }
}
