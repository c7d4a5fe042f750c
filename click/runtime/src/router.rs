//! A router: elements, the connections between them, and the loop that drives them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::{Connection, Graph, Landmark, Report};

use crate::context::Context;
use crate::element::{Class, Element};
use crate::handler::{Call, Handler};
use crate::host::{Handle, Host};
use crate::names::Names;
use crate::notify::Notifier;
use crate::packet::{Batch, Pool};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::timers::Timers;

/// How to build a router.
#[derive(Clone)]
pub struct RouterOptions {
    /// Element classes that exist.
    pub classes: &'static [&'static Class],
    /// Start of simulated time in nanoseconds; none for real time.
    pub simulated: Option<i64>,
    /// Whether the router takes over from a running one.
    pub replaces: bool,
    /// Whether the `hotconfig` handler accepts a new configuration.
    pub reconfigurable: bool,
    /// Most packets in a batch.
    pub burst: usize,
    /// Threads that elements may be assigned to.
    pub threads: u32,
    /// What the `version` handler says.
    pub version: &'static str,
    /// Elements that the driver adds to each configuration: name, class, arguments.
    pub extra: Vec<(String, String, String)>,
}

/// How time passes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    Real,
    /// Jumps ahead instead of sleeping; advances with each look at it.
    Simulated(i64),
    /// Real time at another speed, from the given real and shown times (wall, steady) on.
    Warped {
        speed: f64,
        real: (i64, i64),
        shown: (i64, i64),
    },
}

pub(crate) struct Info {
    pub(crate) name: String,
    pub(crate) class: &'static Class,
    pub(crate) configuration: String,
    pub(crate) landmark: Landmark,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Index of the first input and output in the tables of ports.
    pub(crate) first_input: usize,
    pub(crate) first_output: usize,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) thread: Option<u32>,
}

/// A batch on its way.
pub(crate) struct Delivery {
    pub(crate) element: u32,
    pub(crate) port: u32,
    pub(crate) batch: Batch,
}

/// What to do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is more to do.
    Busy,
    /// Nothing to do before the time on the timer clock, or without limit.
    Idle(Option<i64>),
    /// The router stopped.
    Stopped,
    /// A new configuration is ready to take over.
    Replaced,
}

/// No port is connected here.
pub(crate) const NOWHERE: (u32, u32) = (u32::MAX, u32::MAX);

/// A router.
pub struct Router {
    pub(crate) slots: Vec<Option<Box<dyn Element>>>,
    pub(crate) info: Vec<Info>,
    pub(crate) element_names: Vec<String>,
    pub(crate) connections: Vec<Connection>,
    /// For each push output: where it leads, and packets that left there.
    pub(crate) destinations: Vec<(u32, u32)>,
    pub(crate) sent: Vec<u64>,
    /// For each pull input: where it comes from.
    pub(crate) sources: Vec<(u32, u32)>,
    pub(crate) input_push: Vec<bool>,
    pub(crate) output_push: Vec<bool>,
    pub(crate) schedule: Schedule,
    pub(crate) timers: Timers,
    pub(crate) notifiers: Vec<Notifier>,
    pub(crate) pool: Pool,
    pub(crate) pending: Vec<Delivery>,
    pub(crate) woken: Vec<usize>,
    /// Handler writes to elements that were busy.
    pub(crate) deferred: VecDeque<Call>,
    pub(crate) stops: i64,
    pub(crate) clock: Clock,
    pub(crate) coarse: i64,
    pub(crate) coarse_time: i64,
    pub(crate) random: Random,
    pub(crate) names: Names,
    pub(crate) watches: Vec<(Handle, usize, bool)>,
    pub(crate) signals: Vec<(u32, usize)>,
    pub(crate) report: Report,
    pub(crate) driver: Option<usize>,
    pub(crate) next: Option<Box<Router>>,
    pub(crate) graph: Graph,
    pub(crate) text: String,
    pub(crate) options: RouterOptions,
    pub(crate) burst: usize,
    pub(crate) depth: u32,
}

/// Tasks that run before timers and sockets get a look.
const TASKS_PER_STEP: usize = 128;

/// Deliveries in a row after which to look whether the router shall end.
const DELIVERIES_PER_LOOK: u32 = 1 << 16;

/// Timers that run in one step.
const TIMERS_PER_STEP: usize = 64;

impl Router {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Name of an element.
    pub fn name(&self, element: usize) -> &str {
        &self.info[element].name
    }

    /// Class of an element.
    pub fn class(&self, element: usize) -> &'static Class {
        self.info[element].class
    }

    /// The element called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.info.iter().position(|info| info.name == name)
    }

    /// Sockets that elements watch, and whether they want to write.
    pub fn sockets(&self) -> Vec<(Handle, bool)> {
        self.watches.iter().map(|&(handle, _, write)| (handle, write)).collect()
    }

    /// Asks the router to stop, as a signal does.
    pub fn stop(&mut self) {
        self.stops = i64::MAX / 2;
        self.driver = None;
    }

    pub(crate) fn input_is_push(&self, element: usize, port: usize) -> bool {
        let at = self.info[element].first_input + port;
        port < self.info[element].inputs && self.input_push[at]
    }

    pub(crate) fn output_is_push(&self, element: usize, port: usize) -> bool {
        let at = self.info[element].first_output + port;
        port < self.info[element].outputs && self.output_push[at]
    }

    /// Lets an element act, if it is not acting already.
    pub(crate) fn with<R>(
        &mut self,
        element: usize,
        host: &mut dyn Host,
        act: impl FnOnce(&mut dyn Element, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let mut taken = self.slots[element].take()?;
        let mut context = Context::new(self, host, element);
        let result = act(&mut *taken, &mut context);
        self.slots[element] = Some(taken);
        Some(result)
    }

    /// Delivers all batches that are under way, depth first, and does what was put off.
    pub(crate) fn settle(&mut self, host: &mut dyn Host) {
        self.pending.reverse();
        let mut deliveries = 0u32;
        loop {
            while let Some(Delivery { element, port, batch }) = self.pending.pop() {
                // Packets may go round in circles.
                deliveries = deliveries.wrapping_add(1);
                if deliveries.is_multiple_of(DELIVERIES_PER_LOOK) && host.interrupted() {
                    self.recycle(batch);
                    self.drop_pending();
                    self.stop();
                    break;
                }
                let mark = self.pending.len();
                let element = element as usize;
                if let Some(mut taken) = self.slots[element].take() {
                    let mut context = Context::new(self, host, element);
                    taken.push(port as usize, batch, &mut context);
                    self.slots[element] = Some(taken);
                } else {
                    self.recycle(batch);
                }
                // What the element sent on comes next, in the order in which it was sent.
                if self.pending.len() - mark > 1 {
                    self.pending[mark..].reverse();
                }
                if !self.woken.is_empty() {
                    self.wake(host);
                }
                if !self.deferred.is_empty() {
                    self.write_deferred(host);
                }
            }
            self.wake(host);
            if self.deferred.is_empty() {
                break;
            }
            self.write_deferred(host);
            self.pending.reverse();
        }
        self.print_report(host);
    }

    fn drop_pending(&mut self) {
        while let Some(Delivery { batch, .. }) = self.pending.pop() {
            self.recycle(batch);
        }
    }

    /// Does the handler writes that had to wait until their element was done.
    fn write_deferred(&mut self, host: &mut dyn Host) {
        for _ in 0..self.deferred.len() {
            let Some(call) = self.deferred.pop_front() else { break };
            let answer = self.write_handler(call.element, &call.handler, &call.value, host);
            if let Err(error) = answer {
                self.report.error(&error);
            }
        }
    }

    pub(crate) fn wake(&mut self, host: &mut dyn Host) {
        while let Some(element) = self.woken.pop() {
            if self.with(element, host, |element, cx| element.woken(cx)).is_none() {
                // It is acting and will look for itself; its task looks again.
                self.schedule.schedule(element);
            }
        }
    }

    #[inline]
    pub(crate) fn recycle(&mut self, batch: Batch) {
        self.pool.put_all(batch);
    }

    pub(crate) fn print_report(&mut self, host: &mut dyn Host) {
        for line in self.report.take_lines(true) {
            host.message(&line);
        }
    }

    /// Time on the wall clock, in nanoseconds since 1970, as elements see it.
    pub fn now(&mut self, host: &mut dyn Host) -> i64 {
        match &mut self.clock {
            Clock::Real => host.now(),
            Clock::Simulated(now) => {
                *now += 1;
                *now
            }
            Clock::Warped { speed, real, shown } => {
                shown.0 + ((host.now() - real.0) as f64 * *speed) as i64
            }
        }
    }

    /// Time on the clock that timers go by.
    pub fn time(&mut self, host: &mut dyn Host) -> i64 {
        match &mut self.clock {
            Clock::Real => host.steady(),
            Clock::Simulated(now) => {
                *now += 1;
                *now
            }
            Clock::Warped { speed, real, shown } => {
                shown.1 + ((host.steady() - real.1) as f64 * *speed) as i64
            }
        }
    }

    /// Changes the speed of time.
    pub(crate) fn warp(&mut self, speed: f64, host: &mut dyn Host) {
        let shown = (self.now(host), self.time(host));
        let real = (host.now(), host.steady());
        self.clock = Clock::Warped { speed, real, shown };
    }

    fn run_tasks(&mut self, host: &mut dyn Host) {
        for _ in 0..TASKS_PER_STEP {
            if self.stops > 0 || self.next.is_some() {
                return;
            }
            let Some(task) = self.schedule.begin() else { return };
            let worked = self.with(task, host, |element, cx| element.task(cx)).unwrap_or(false);
            self.settle(host);
            if !self.schedule.end(worked) {
                return;
            }
        }
    }

    fn run_timers(&mut self, host: &mut dyn Host) {
        if self.timers.next().is_none() {
            return;
        }
        let now = self.time(host);
        for _ in 0..TIMERS_PER_STEP {
            if self.stops > 0 {
                return;
            }
            let Some((element, number)) = self.timers.due(now) else { return };
            self.with(element, host, |element, cx| element.timer(number, cx));
            self.settle(host);
        }
    }

    /// Runs tasks and timers that are due.
    pub fn step(&mut self, host: &mut dyn Host) -> Outcome {
        if self.next.is_some() {
            return Outcome::Replaced;
        }
        if self.stops > 0 && !self.run_driver_script(host) {
            return Outcome::Stopped;
        }
        if !matches!(self.clock, Clock::Simulated(_)) {
            self.coarse = self.now(host);
            self.coarse_time = self.time(host);
        }
        self.run_tasks(host);
        self.run_signals(host);
        self.run_timers(host);
        if self.next.is_some() {
            return Outcome::Replaced;
        }
        if self.stops > 0 || !self.schedule.is_idle() {
            return Outcome::Busy;
        }
        let next = self.timers.next();
        if let (Clock::Simulated(now), Some(next)) = (&mut self.clock, next) {
            *now = (*now).max(next);
            return Outcome::Busy;
        }
        Outcome::Idle(next)
    }

    /// Lets the driver script take its next steps after a stop. False if the router ends.
    fn run_driver_script(&mut self, host: &mut dyn Host) -> bool {
        while self.stops > 0 {
            let Some(driver) = self.driver else { return false };
            let more = self.with(driver, host, |element, cx| element.driver_step(cx));
            self.settle(host);
            if more != Some(true) {
                return false;
            }
            self.stops -= 1;
        }
        true
    }

    fn run_signals(&mut self, host: &mut dyn Host) {
        if self.signals.is_empty() {
            return;
        }
        for signal in host.signals() {
            let listeners: Vec<usize> = self
                .signals
                .iter()
                .filter(|(number, _)| *number == signal)
                .map(|(_, element)| *element)
                .collect();
            // A handler runs once; it watches again if it wants to.
            self.signals.retain(|(number, _)| *number != signal);
            for element in listeners {
                self.with(element, host, |element, cx| element.signal(signal, cx));
                self.settle(host);
            }
            if !self.signals.iter().any(|(number, _)| *number == signal) {
                host.release_signal(signal);
            }
        }
    }

    /// Lets elements handle what happened at their sockets. `block` says whether to wait
    /// for something until the time `until`.
    pub fn poll(&mut self, host: &mut dyn Host, block: Option<Option<i64>>) {
        let timeout = match block {
            None => Some(0),
            Some(None) => None,
            Some(Some(until)) => {
                let left = (until - self.time(host)).max(0);
                Some(match self.clock {
                    Clock::Warped { speed, .. } => (left as f64 / speed) as i64,
                    _ => left,
                })
            }
        };
        let sockets = self.sockets();
        if sockets.is_empty() && timeout == Some(0) {
            return;
        }
        for event in host.wait(&sockets, timeout) {
            let watcher = self.watches.iter().find(|(handle, ..)| *handle == event.handle);
            if let Some(&(_, element, _)) = watcher {
                self.with(element, host, |element, cx| element.socket(event, cx));
                self.settle(host);
            }
        }
        self.run_signals(host);
    }

    /// Runs until the router stops, is replaced, or the host wants it to end.
    pub fn run(&mut self, host: &mut dyn Host) -> Outcome {
        let mut steps = 0u32;
        loop {
            if host.interrupted() {
                self.stop();
            }
            self.stops = self.stops.saturating_add(i64::from(host.stops()));
            match self.step(host) {
                Outcome::Busy => {
                    steps = steps.wrapping_add(1);
                    if steps.is_multiple_of(4) {
                        self.poll(host, None);
                    }
                }
                Outcome::Idle(until) => self.poll(host, Some(until)),
                ended => return ended,
            }
        }
    }

    /// The router that takes over after [`Outcome::Replaced`], with the state of this one.
    pub fn replacement(&mut self, host: &mut dyn Host) -> Option<Box<Self>> {
        let mut next = self.next.take()?;
        for element in 0..next.len() {
            let (name, class) = (next.info[element].name.clone(), next.info[element].class.name);
            let Some(old) = self.find(&name).filter(|&old| self.info[old].class.name == class)
            else {
                continue;
            };
            if let Some(mut taken) = self.slots[old].take() {
                next.with(element, host, |element, cx| element.take_state(&mut *taken, cx));
                self.slots[old] = Some(taken);
            }
        }
        next.clock = self.clock;
        self.cleanup(host);
        Some(next)
    }

    /// Lets all elements give back what they hold outside the router.
    pub fn cleanup(&mut self, host: &mut dyn Host) {
        for element in (0..self.len()).rev() {
            self.with(element, host, |element, cx| element.cleanup(cx));
        }
        self.print_report(host);
    }
}
