//! Descriptors that carry messages, such as the frames of a network, and the threads that watch
//! them.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::gateway::host_call;
use crate::slot::{self, Slot};
use crate::vcpu::{self, Vcpu};
use crate::{host, space};

/// The most channels that are watched.
const MOST: usize = 4;
/// The most pieces of one message.
pub const MOST_PARTS: usize = 24;

/// What a watcher waits for, as bits; none: it sleeps.
const READABLE: u32 = 1;
const WRITABLE: u32 = 2;

struct Watch {
    descriptor: AtomicU32,
    wanted: AtomicU32,
}

static WATCHES: [Watch; MOST] =
    [const { Watch { descriptor: AtomicU32::new(0), wanted: AtomicU32::new(0) } }; MOST];
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A descriptor that carries messages and does not block.
pub struct Channel {
    descriptor: u32,
    watch: &'static Watch,
}

/// Why a message was not sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// There is none, or no room for one, now.
    WouldBlock,
    /// The other side is gone.
    Closed,
}

impl Channel {
    /// Opens a channel over a descriptor of the boot module. `None`: the host has no thread or
    /// memory for the watcher.
    pub fn open(descriptor: u32) -> Option<Self> {
        let index = COUNT.fetch_add(1, Ordering::Relaxed) as usize;
        let watch = WATCHES.get(index)?;
        watch.descriptor.store(descriptor, Ordering::Relaxed);
        let slot = Slot::allocate(&space::KERNEL)?;
        slot.start_vcpu.store(index, Ordering::Relaxed);
        let process = Vcpu::this().slot().process();
        // SAFETY: the flags are those of a thread.
        let thread = unsafe { slot::create(slot, space::THREAD_FLAGS, watcher) }.ok()?;
        slot.set_ids(process, thread);
        Some(Self { descriptor, watch })
    }

    /// Receives one message into two buffers, the first filled first.
    pub fn receive(&self, first: &mut [u8], second: &mut [u8]) -> Result<usize, ChannelError> {
        let parts = [
            [first.as_mut_ptr() as usize, first.len()],
            [second.as_mut_ptr() as usize, second.len()],
        ];
        // SAFETY: writes into the buffers only.
        let read = host::check(unsafe {
            host_call(host::READV, self.descriptor as usize, parts.as_ptr() as usize, 2, 0, 0, 0)
        });
        match read {
            Ok(0) => Err(ChannelError::Closed),
            Ok(count) => Ok(count),
            Err(host::HostError(host::EAGAIN | host::EINTR)) => Err(ChannelError::WouldBlock),
            Err(_) => Err(ChannelError::Closed),
        }
    }

    /// Sends one message made of up to [`MOST_PARTS`] pieces.
    pub fn send<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), ChannelError> {
        let mut parts = [[0; 2]; MOST_PARTS];
        let mut count = 0;
        for (part, piece) in parts.iter_mut().zip(pieces) {
            *part = [piece.as_ptr() as usize, piece.len()];
            count += 1;
        }
        // SAFETY: reads the pieces only.
        let sent = host::check(unsafe {
            let pointer = parts.as_ptr() as usize;
            host_call(host::WRITEV, self.descriptor as usize, pointer, count, 0, 0, 0)
        });
        match sent {
            Ok(_) => Ok(()),
            Err(host::HostError(host::EAGAIN | host::EINTR)) => Err(ChannelError::WouldBlock),
            Err(_) => Err(ChannelError::Closed),
        }
    }

    /// Asks for one device event when a message is there, or (`room`) when one can be sent.
    pub fn watch(&self, room: bool) {
        let wanted = READABLE | if room { WRITABLE } else { 0 };
        if self.watch.wanted.swap(wanted, Ordering::SeqCst) != wanted {
            host::futex_wake(&self.watch.wanted);
        }
    }
}

/// The thread that waits for a channel and tells a vCPU.
extern "C" fn watcher(slot: usize) -> ! {
    // SAFETY: the creator gives a slot.
    let slot = unsafe { &*(slot as *const Slot) };
    slot.adopt_signals();
    let watch = &WATCHES[slot.start_vcpu.load(Ordering::Relaxed)];
    let descriptor = watch.descriptor.load(Ordering::Relaxed);
    loop {
        let wanted = watch.wanted.load(Ordering::SeqCst);
        if wanted == 0 {
            host::futex_wait(&watch.wanted, 0, u64::MAX);
            continue;
        }
        if !host::wait_for(descriptor, wanted & READABLE != 0, wanted & WRITABLE != 0) {
            // The other side is gone: nothing comes any more.
            watch.wanted.store(0, Ordering::SeqCst);
            vcpu::device_event();
            return_never();
        }
        // Who asks for more meanwhile is served by the next round.
        let _ = watch.wanted.compare_exchange(wanted, 0, Ordering::SeqCst, Ordering::SeqCst);
        vcpu::device_event();
    }
}

/// Sleeps for good: a thread's slot must outlive it, so it does not end.
fn return_never() -> ! {
    let word = AtomicU32::new(0);
    loop {
        host::futex_wait(&word, 0, u64::MAX);
    }
}
