//! Who is told about changes of readiness.

use alloc::sync::{Arc, Weak};

use drupe_net_stack::Event;
use drupe_net_stack::base::{Handle, Slab};
use drupe_net_stack::tcp::Ready;
use lock::{Rank, SpinLock};

/// Somebody who wants to know when a socket becomes ready.
pub trait Observer: Send + Sync {
    /// The socket became ready for this, or for more of it. Called without locks of the network held; must not
    /// sleep.
    fn changed(&self, changed: Ready);
}

const OBSERVERS: Rank = Rank::new(130, "net observers");

static TABLE: SpinLock<Slab<Weak<dyn Observer>>> = SpinLock::new(OBSERVERS, Slab::new());

/// The name of an observer in the stack's events, until it is dropped.
#[derive(Debug)]
pub struct Token(u64);

impl Token {
    /// A name for an observer.
    pub fn new(observer: Weak<dyn Observer>) -> Self {
        // 0 means nobody.
        Self(TABLE.lock().insert(observer).to_bits() + 1)
    }

    /// The number that the stack knows.
    pub const fn number(&self) -> u64 {
        self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let observer = TABLE.lock().remove(Handle::from_bits(self.0 - 1));
        drop(observer);
    }
}

/// Tells whoever is behind an event.
pub(crate) fn tell(event: &Event) {
    let Some(number) = event.token.checked_sub(1) else { return };
    let observer: Option<Arc<dyn Observer>> =
        TABLE.lock().get(Handle::from_bits(number)).and_then(Weak::upgrade);
    if let Some(observer) = observer {
        observer.changed(event.changed);
    }
}
