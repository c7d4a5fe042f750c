//! What an element can reach while it acts.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::{Report, config};

use crate::args::Scope;
use crate::element::{Element, downcast};
use crate::handler::{Answer, Call};
use crate::host::{Handle, Host};
use crate::notify::{Signal, Which, id};
use crate::packet::{Batch, Packet};
use crate::router::{Delivery, NOWHERE, Router};

/// Elements in a row that only choose the way of a pull.
const LONGEST_DETOUR: usize = 64;

/// The router, the host, and which element is acting.
pub struct Context<'a> {
    pub(crate) router: &'a mut Router,
    host: &'a mut dyn Host,
    id: usize,
}

impl<'a> Context<'a> {
    pub(crate) fn new(router: &'a mut Router, host: &'a mut dyn Host, id: usize) -> Self {
        Self { router, host, id }
    }

    /// Index of the acting element.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Name of the acting element.
    pub fn name(&self) -> String {
        self.router.info[self.id].name.clone()
    }

    /// `name :: Class` of an element, as messages say it.
    pub fn described(&self, element: usize) -> String {
        let info = &self.router.info[element];
        format!("{} :: {}", info.name, info.class.name)
    }

    /// The router, to look things up.
    pub fn router(&self) -> &Router {
        self.router
    }

    /// The host.
    pub fn host(&mut self) -> &mut dyn Host {
        self.host
    }

    /// Inputs of the acting element.
    pub fn inputs(&self) -> usize {
        self.router.info[self.id].inputs
    }

    /// Outputs of the acting element.
    pub fn outputs(&self) -> usize {
        self.router.info[self.id].outputs
    }

    /// Whether an input of the acting element is push.
    pub fn input_is_push(&self, port: usize) -> bool {
        self.router.input_is_push(self.id, port)
    }

    /// Whether an output of the acting element is push.
    pub fn output_is_push(&self, port: usize) -> bool {
        self.router.output_is_push(self.id, port)
    }

    // Packets

    /// Sends a batch from an output. A batch for an output that is not there is killed.
    #[inline]
    pub fn push(&mut self, port: usize, batch: Batch) {
        let info = &self.router.info[self.id];
        if batch.is_empty() || port >= info.outputs {
            self.router.recycle(batch);
            return;
        }
        let at = info.first_output + port;
        let (element, port) = self.router.destinations[at];
        if (element, port) == NOWHERE {
            self.router.recycle(batch);
            return;
        }
        self.router.sent[at] += batch.len() as u64;
        self.router.pending.push(Delivery { element, port, batch });
    }

    /// Has a batch delivered to the acting element again, after what it sent before and
    /// after handler writes that wait for it.
    pub fn redeliver(&mut self, port: usize, batch: Batch) {
        if batch.is_empty() {
            self.router.recycle(batch);
        } else {
            let (element, port) = (self.id as u32, port as u32);
            self.router.pending.push(Delivery { element, port, batch });
        }
    }

    /// Sends one packet from an output.
    pub fn push_one(&mut self, port: usize, packet: Packet) {
        let mut batch = self.batch();
        batch.push(packet);
        self.push(port, batch);
    }

    /// Pulls up to `most` packets from an input.
    #[inline]
    pub fn pull(&mut self, port: usize, most: usize) -> Batch {
        let (mut id, mut port) = (self.id, port);
        // An element that only chooses the way does not act, so that it may come twice;
        // the limit stops a loop of such elements.
        for _ in 0..LONGEST_DETOUR {
            let info = &self.router.info[id];
            if port >= info.inputs {
                break;
            }
            let (element, output) = self.router.sources[info.first_input + port];
            if (element, output) == NOWHERE {
                break;
            }
            let (element, output) = (element as usize, output as usize);
            let Some(next) = &self.router.slots[element] else { break };
            if let Some(input) = next.forward(output) {
                (id, port) = (element, input);
                continue;
            }
            let Some(mut taken) = self.router.slots[element].take() else { break };
            let mut context = Context::new(self.router, self.host, element);
            let batch = taken.pull(output, most, &mut context);
            self.router.slots[element] = Some(taken);
            let at = self.router.info[element].first_output + output;
            self.router.sent[at] += batch.len() as u64;
            return batch;
        }
        self.batch()
    }

    /// Pulls one packet.
    pub fn pull_one(&mut self, port: usize) -> Option<Packet> {
        let mut batch = self.pull(port, 1);
        let packet = batch.pop();
        self.router.recycle(batch);
        packet
    }

    /// An empty batch.
    #[inline]
    pub fn batch(&mut self) -> Batch {
        self.router.pool.batch()
    }

    /// Packets that sources should make at once.
    #[inline]
    pub fn burst(&self) -> usize {
        self.router.burst
    }

    /// A fresh packet.
    pub fn packet(&mut self) -> Packet {
        self.router.pool.packet()
    }

    /// A batch of `count` fresh packets that hold `data`.
    pub fn fill(&mut self, count: usize, data: &[u8]) -> Batch {
        self.router.pool.fill(count, data)
    }

    /// A copy of a packet.
    pub fn copy(&mut self, packet: &Packet) -> Packet {
        let mut copy = self.router.pool.packet();
        copy.copy_from(packet);
        copy
    }

    /// Drops a packet.
    #[inline]
    pub fn kill(&mut self, packet: Packet) {
        self.router.pool.put(packet);
    }

    /// Drops a batch.
    #[inline]
    pub fn kill_all(&mut self, batch: Batch) {
        self.router.recycle(batch);
    }

    /// Keeps the packets for which `keep` is true; sends the others from output `port`, or
    /// drops them if there is none.
    pub fn split(
        &mut self,
        batch: &mut Batch,
        port: usize,
        mut keep: impl FnMut(&mut Packet) -> bool,
    ) -> usize {
        let Some(first) = batch.iter_mut().position(|packet| !keep(packet)) else { return 0 };
        let mut kept = self.batch();
        let mut rest = self.batch();
        for (at, mut packet) in batch.drain(..).enumerate() {
            if at < first || (at > first && keep(&mut packet)) {
                kept.push(packet);
            } else {
                rest.push(packet);
            }
        }
        core::mem::swap(batch, &mut kept);
        self.router.recycle(kept);
        let count = rest.len();
        self.push(port, rest);
        count
    }

    // Time

    /// Wall clock, in nanoseconds since 1970.
    pub fn now(&mut self) -> i64 {
        self.router.now(self.host)
    }

    /// Wall clock as of the beginning of the step, for statistics; exact in simulated time.
    #[inline]
    pub fn coarse_now(&mut self) -> i64 {
        match self.router.clock {
            crate::router::Clock::Simulated(_) => self.router.now(self.host),
            _ => self.router.coarse,
        }
    }

    /// The clock that timers go by.
    pub fn time(&mut self) -> i64 {
        self.router.time(self.host)
    }

    /// The timers' clock as of the beginning of the step; exact in simulated time.
    #[inline]
    pub fn coarse_time(&mut self) -> i64 {
        match self.router.clock {
            crate::router::Clock::Simulated(_) => self.router.time(self.host),
            _ => self.router.coarse_time,
        }
    }

    /// Sets a timer of the element to a time on the timers' clock.
    pub fn set_timer(&mut self, number: u32, at: i64) {
        self.router.timers.set(self.id, number, at);
    }

    /// Sets a timer of the element to expire after `delay` nanoseconds.
    pub fn set_timer_after(&mut self, number: u32, delay: i64) {
        let at = self.time().saturating_add(delay);
        self.set_timer(number, at);
    }

    /// Stops a timer.
    pub fn clear_timer(&mut self, number: u32) {
        self.router.timers.clear(self.id, number);
    }

    /// When a timer expires, if it is set.
    pub fn timer(&self, number: u32) -> Option<i64> {
        self.router.timers.time(self.id, number)
    }

    // Tasks and notifiers

    /// Lets the element's task run.
    #[inline]
    pub fn reschedule(&mut self) {
        self.router.schedule.schedule(self.id);
    }

    /// Keeps the element's task from running.
    pub fn unschedule(&mut self) {
        self.router.schedule.unschedule(self.id);
    }

    /// Whether the task is waiting to run.
    pub fn is_scheduled(&self) -> bool {
        self.router.schedule.is_scheduled(self.id)
    }

    /// Tickets of an element's task.
    pub fn set_tickets(&mut self, element: usize, tickets: u32) {
        self.router.schedule.set_tickets(element, tickets);
    }

    /// Assigns an element to a thread.
    pub fn set_thread(&mut self, element: usize, thread: u32) {
        self.router.info[element].thread = Some(thread);
    }

    /// Says that packets are there or room is there, or not.
    #[inline]
    pub fn notify(&mut self, which: Which, active: bool) {
        let notifier = &mut self.router.notifiers[id(self.id, which)];
        if notifier.sleeping == active {
            notifier.sleeping = !active;
            if active {
                self.router.woken.extend(notifier.listeners.iter().rev());
            }
        }
    }

    /// Whether one of the element's notifiers is active.
    pub fn notifies(&self, which: Which) -> bool {
        !self.router.notifiers[id(self.id, which)].sleeping
    }

    /// Whether a signal is active.
    #[inline]
    pub fn is_active(&self, signal: &Signal) -> bool {
        let awake = |&id: &usize| !self.router.notifiers[id].sleeping;
        signal.busy || signal.notifiers.iter().any(awake)
    }

    /// What tells whether packets can be pulled at an input. With `listen` the element is
    /// woken when the signal becomes active.
    pub fn upstream_signal(&mut self, port: usize, listen: bool) -> Signal {
        let signal = self.router.find_signal(self.id, port, true);
        self.listen(&signal, listen);
        signal
    }

    /// What tells whether there is room behind an output.
    pub fn downstream_signal(&mut self, port: usize, listen: bool) -> Signal {
        let signal = self.router.find_signal(self.id, port, false);
        self.listen(&signal, listen);
        signal
    }

    fn listen(&mut self, signal: &Signal, listen: bool) {
        if !listen {
            return;
        }
        for &notifier in &signal.notifiers {
            let listeners = &mut self.router.notifiers[notifier].listeners;
            if !listeners.contains(&self.id) {
                listeners.push(self.id);
            }
        }
    }

    /// Says how many packets fit in at the element's inputs.
    #[inline]
    pub fn set_room(&mut self, packets: usize) {
        self.router.notifiers[id(self.id, Which::Full)].room = packets;
    }

    /// How many packets fit in behind a signal from downstream.
    pub fn room(&self, signal: &Signal) -> usize {
        if signal.busy {
            return usize::MAX;
        }
        let rooms = signal.notifiers.iter().map(|&id| self.router.notifiers[id].room);
        rooms.min().unwrap_or(usize::MAX)
    }

    /// Whether an element was assigned to a thread.
    pub fn has_thread(&self, element: usize) -> bool {
        self.router.info[element].thread.is_some()
    }

    /// The signal as text: for each group of 32 notifiers of a kind which of them belong
    /// to it, and which of those are active.
    pub fn unparse_signal(&self, signal: &Signal) -> String {
        if signal.busy {
            return "busy*".into();
        }
        let mut groups: Vec<(bool, usize, u32, u32)> = Vec::new();
        for &id in &signal.notifiers {
            let full = id % 2 == 1;
            let place = self.router.notifier_number(id / 2, full);
            let bit = 1u32 << (place % 32);
            let active = if self.router.notifiers[id].sleeping { 0 } else { bit };
            let known = groups.iter_mut().find(|group| group.0 == full && group.1 == place / 32);
            match known {
                Some(group) => {
                    group.2 |= bit;
                    group.3 |= active;
                }
                None => groups.push((full, place / 32, bit, active)),
            }
        }
        groups.sort_unstable_by_key(|group| (group.0, group.1));
        let parts: Vec<String> = groups
            .iter()
            .map(|(full, group, mask, active)| {
                let kind = if *full { "full" } else { "empty" };
                let star = if *active > 0 { "*" } else { "" };
                format!("{kind}.{group}/{mask:x}:{active:x}{star}")
            })
            .collect();
        if parts.is_empty() { "idle".into() } else { parts.join("+") }
    }

    // Handlers and other elements

    /// Whether the router takes over from a running one.
    pub fn is_replacement(&self) -> bool {
        self.router.options.replaces
    }

    /// Whether another router is ready to take over from this one.
    pub fn is_replaced(&self) -> bool {
        self.router.next.is_some()
    }

    /// Takes `element.handler value` apart. Errors are as HandlerCall's in Click.
    pub fn resolve_call(&self, text: &str, write: bool) -> Result<Call, String> {
        let mut value: String = text.into();
        let name = config::shift_word(&mut value);
        self.router.resolve_call(Some(self.id), &name, value, write)
    }

    /// Finds the handler `name`, to be called with `value`.
    pub fn resolve_named(&self, name: &str, value: String, write: bool) -> Result<Call, String> {
        self.router.resolve_call(Some(self.id), name, value, write)
    }

    /// Reads a handler.
    pub fn call_read(&mut self, call: &Call) -> Answer {
        self.router.read_handler(call.element, &call.handler, &call.value, self.host)
    }

    /// Writes a handler. If the element is acting, the write happens when it is done.
    pub fn call_write(&mut self, call: &Call) -> Answer {
        if let Some(element) = call.element
            && self.router.slots[element].is_none()
        {
            self.router.deferred.push_back(call.clone());
            return Ok(String::new());
        }
        let answer = self.router.write_handler(call.element, &call.handler, &call.value, self.host);
        self.router.wake(self.host);
        answer
    }

    /// Lets another element of type `T` act. None if it is of another type or acting.
    pub fn with<T: Element, R>(
        &mut self,
        element: usize,
        act: impl FnOnce(&mut T, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let act = |element: &mut dyn Element, cx: &mut Context<'_>| {
            downcast::<T>(element).map(|element| act(element, cx))
        };
        self.router.with(element, self.host, act).flatten()
    }

    /// What names mean to the acting element.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            element: &self.router.info[self.id].name,
            names: &self.router.names,
            elements: &self.router.element_names,
        }
    }

    /// Defines a name in the scope of the acting element.
    pub fn define(&mut self, kind: crate::names::Kind, name: &str, value: &[u8]) {
        let element = self.router.info[self.id].name.clone();
        self.router.names.define(&element, kind, name, value);
    }

    /// Messages, for errors, warnings and contexts around them.
    pub fn report(&mut self) -> &mut Report {
        &mut self.router.report
    }

    /// Complains.
    pub fn error(&mut self, text: &str) {
        self.router.report.error(text);
    }

    /// Prints a line to the host's messages at once.
    pub fn message(&mut self, line: &str) {
        self.router.print_report(self.host);
        self.host.message(line);
    }

    /// Stops the router, or lets its driver script go on.
    pub fn stop(&mut self) {
        self.router.stops += 1;
    }

    /// Takes back the stop that every router with a driver script begins with.
    pub fn is_stopping(&self) -> bool {
        self.router.stops > 0
    }

    /// A random number.
    pub fn random(&mut self) -> u32 {
        self.router.random.number()
    }

    /// A random number in a range, both ends possible.
    pub fn random_range(&mut self, low: u32, high: u32) -> u32 {
        self.router.random.range(low, high)
    }

    /// Seeds the random numbers.
    pub fn seed(&mut self, seed: u32) {
        self.router.random = crate::random::Random::new(seed);
    }

    /// Changes what the `config` handler shows.
    pub fn set_configuration(&mut self, text: String) {
        self.router.info[self.id].configuration = text;
    }

    /// The configuration string.
    pub fn configuration(&self) -> &str {
        &self.router.info[self.id].configuration
    }

    /// Watches a socket; `write` asks for room to write, too. Replaces an earlier watch.
    pub fn watch(&mut self, handle: Handle, write: bool) {
        self.unwatch(handle);
        self.router.watches.push((handle, self.id, write));
    }

    /// Stops watching a socket.
    pub fn unwatch(&mut self, handle: Handle) {
        self.router.watches.retain(|(other, ..)| *other != handle);
    }

    /// Watches for a signal, once.
    pub fn watch_signal(&mut self, signal: u32) {
        self.router.signals.push((signal, self.id));
        self.host.catch_signal(signal);
    }
}
