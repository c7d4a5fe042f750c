//! Shards behind locks.

use alloc::sync::Arc;
use alloc::vec::Vec;

use drupe_net_stack::base::{HeapPool, Instant};
use drupe_net_stack::{Event, InterfaceAddress, InterfaceId, Limits, Medium, Route, Shared, Stack};
use hal::MAX_VCPUS;
use lock::{Rank, SpinLock};
use sched::{Expire, Timer};

use crate::device::{Attached, Interface, Ports};
use crate::observer;

/// Below every lock of the stack.
const SHARD: Rank = Rank::new(118, "net shard");

/// How often a shard is polled in a row before its lock is given up for a moment.
const ROUNDS: usize = 8;

/// What the network is given at the start.
pub struct Settings {
    /// 128 bits of entropy.
    pub seed: [u64; 2],
    /// The most bytes that packets and socket buffers may take.
    pub memory: usize,
    /// The host name, told to DHCP servers.
    pub host_name: alloc::string::String,
    /// Interfaces besides the loopback.
    pub interfaces: Vec<Interface>,
}

struct Inner {
    stack: Stack,
    ports: Ports,
    events: Vec<Event>,
    timer: Option<(u64, Timer)>,
}

struct Shard {
    inner: SpinLock<Inner>,
    alarm: Arc<Alarm>,
}

struct Service {
    shared: Arc<Shared>,
    shards: Vec<Shard>,
    attached: Vec<Arc<Attached>>,
}

static SERVICE: spin::Once<Service> = spin::Once::new();

/// Starts the network, once.
pub fn start(settings: Settings) {
    let count = hal::vcpu_count().min(MAX_VCPUS);
    let pool = HeapPool::new(settings.memory);
    let shared = Shared::new(count, Limits::default(), pool.clone(), settings.seed);
    shared.configure(|config| config.host_name = settings.host_name);
    let mut attached = Vec::new();
    for (index, interface) in settings.interfaces.into_iter().enumerate() {
        let id = InterfaceId(InterfaceId::LOOPBACK.0 + 1 + index as u32);
        configure(&shared, id, &interface);
        attached.push(Arc::new(Attached::new(id, (interface.device)(pool.clone()))));
    }
    let shard = |index| Shard {
        inner: SpinLock::new(
            SHARD,
            Inner {
                stack: Stack::new(Arc::clone(&shared), index, now()),
                ports: Ports { attached: attached.clone(), receives: index == 0 },
                events: Vec::new(),
                timer: None,
            },
        ),
        alarm: Arc::new(Alarm { shard: index }),
    };
    let shards = (0..count).map(shard).collect();
    SERVICE.call_once(|| Service { shared: Arc::clone(&shared), shards, attached });
    sched::on_device_event(device_event);
    // The first poll begins what interfaces do by themselves, and arms the devices.
    drive(1);
}

fn configure(shared: &Shared, id: InterfaceId, given: &Interface) {
    shared.configure(|config| {
        let mut interface = drupe_net_stack::Interface::new(
            id,
            &given.name,
            Medium::Ethernet,
            given.mac,
            given.mtu,
        );
        interface.offloads = given.offloads;
        interface.autoconf = given.autoconf;
        config.interfaces.push(interface);
        for prefix in &given.addresses {
            config.add_address(id, InterfaceAddress::fixed(*prefix));
        }
        for gateway in &given.gateways {
            config.add_route(Route::default_via(*gateway, id));
        }
        config.dns.servers.extend(given.name_servers.iter().map(|server| (id, *server)));
    });
}

fn service() -> &'static Service {
    match SERVICE.get() {
        Some(service) => service,
        None => panic!("the network is used before it was started"),
    }
}

/// What the shards have in common: ports, listeners, datagram sockets, the configuration.
pub fn shared() -> &'static Arc<Shared> {
    &service().shared
}

/// How many shards there are.
pub fn shards() -> usize {
    service().shards.len()
}

/// The time as the stack counts it.
pub fn now() -> Instant {
    Instant::from_nanos(hal::monotonic())
}

/// Calls into a shard, then does what the call made possible. No lock of a rank above 118 may be
/// held.
pub fn with<R>(shard: usize, call: impl FnOnce(&mut Stack, Instant) -> R) -> R {
    let service = service();
    let mut inner = service.shards[shard].inner.lock();
    let now = now();
    let result = call(&mut inner.stack, now);
    let work = inner.stack.has_work();
    let kicks = if work { service.poll(shard, &mut inner) } else { 0 };
    let events = inner.take_events();
    drop(inner);
    tell(&events);
    if kicks != 0 {
        drive(kicks);
    }
    result
}

/// Polls shards (as bits), and those that they give something to.
fn drive(mut shards: u64) {
    let service = service();
    while shards != 0 {
        let shard = shards.trailing_zeros() as usize;
        shards &= !(1 << shard);
        let mut inner = service.shards[shard].inner.lock();
        shards |= service.poll(shard, &mut inner);
        let events = inner.take_events();
        drop(inner);
        tell(&events);
    }
}

fn tell(events: &[Event]) {
    events.iter().for_each(observer::tell);
}

/// A device of this vCPU wants to be looked at.
fn device_event() {
    service().attached.iter().for_each(|device| device.wake());
    drive(1);
}

impl Service {
    /// Polls a shard until it has nothing more to do now. Gives the shards, as bits, that have
    /// something to do because of that.
    fn poll(&self, shard: usize, inner: &mut Inner) -> u64 {
        let mut kicks = 0;
        for _ in 0..ROUNDS {
            let poll = inner.stack.poll(now(), &mut inner.ports);
            kicks |= poll.kick;
            if !poll.more {
                inner.arm(poll.deadline, &self.shards[shard].alarm);
                return kicks;
            }
        }
        kicks | 1 << shard
    }
}

impl Inner {
    fn take_events(&mut self) -> Vec<Event> {
        let mut events = core::mem::take(&mut self.events);
        self.stack.take_events(&mut events);
        events
    }

    /// Has this shard polled at the deadline at the latest.
    fn arm(&mut self, deadline: Instant, alarm: &Arc<Alarm>) {
        let deadline = deadline.nanos();
        if deadline == u64::MAX {
            return;
        }
        if let Some((armed, timer)) = &self.timer {
            // One that expires early finds nothing to do and is set anew.
            if *armed <= deadline {
                return;
            }
            timer.cancel();
        }
        let timer = Timer::new(deadline, Arc::clone(alarm) as Arc<dyn Expire>);
        self.timer = Some((deadline, timer));
    }
}

/// Polls a shard when its time has come.
struct Alarm {
    shard: usize,
}

impl Expire for Alarm {
    fn expire(self: Arc<Self>, _now: u64) {
        service().shards[self.shard].inner.lock().timer = None;
        drive(1 << self.shard);
    }
}
