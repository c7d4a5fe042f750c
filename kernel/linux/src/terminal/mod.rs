//! Terminals: pseudo-terminals, their line discipline, sessions' controlling terminals.

mod console;
mod control;
mod discipline;
mod files;
mod ioctl;
mod settings;

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};

use errno::Errno;
use lock::SpinLock;
use spin::Once;
use vfs::{Credentials, DeviceNumber, Location, NewKind};

pub use console::Console;
pub use control::{open_controlling, session_ends};
use files::open_slave;
pub use files::{open_master, open_numbered};

use self::discipline::{Discipline, Key};
use crate::error::{Result, fail};
use crate::file::{FileContext, events};
use crate::notifier::Notifier;
use crate::process::{ALL_CAPABILITIES, Identity};
use crate::rank;

/// The major number of the programs' ends.
pub const SLAVE_MAJOR: u32 = 136;
/// The most terminals.
const MAX_TERMINALS: u32 = 4096;

/// Session and foreground group of a terminal; 0: none.
#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    session: u32,
    group: u32,
}

struct State {
    discipline: Discipline,
    /// Rows, columns, width and height in pixels.
    window: [u16; 4],
    /// Programs cannot open it yet.
    locked: bool,
    master_open: bool,
    slaves: u32,
    /// Whether a program has ever opened it: only then its end can be told.
    was_opened: bool,
    /// How often it was hung up: ends opened before that are dead.
    hang_ups: u32,
    owner: Owner,
}

/// A pseudo-terminal.
pub struct Terminal {
    number: u32,
    state: SpinLock<State>,
    /// Changes that the master's side waits for.
    master: Notifier,
    /// Changes that programs wait for.
    slave: Notifier,
    /// That of the host: held by whoever sends output there.
    host: Option<sched::Mutex<()>>,
}

/// All terminals, by number.
static TERMINALS: SpinLock<BTreeMap<u32, Weak<Terminal>>> =
    SpinLock::new(rank::TERMINALS, BTreeMap::new());

/// Where their names are.
struct Names {
    context: FileContext,
    directory: Location,
}

static NAMES: Once<Names> = Once::new();

/// Says where terminals' names are (`/dev/pts`).
pub fn set_names(context: &FileContext, directory: Location) {
    let context = context.duplicate();
    context.set_umask(0);
    NAMES.call_once(|| Names { context, directory });
}

impl Terminal {
    /// A new terminal with a name. `host`: its other end is the host's.
    fn create(credentials: &Credentials, host: bool) -> Result<Arc<Self>> {
        let terminal = {
            let mut terminals = TERMINALS.lock();
            let free = (0..MAX_TERMINALS).find(|number| !terminals.contains_key(number));
            let Some(number) = free else { return fail(Errno::ENOSPC) };
            let terminal = Arc::new(Self {
                number,
                state: SpinLock::new(
                    rank::STREAM,
                    State {
                        discipline: Discipline::new(),
                        window: [0; 4],
                        locked: true,
                        master_open: true,
                        slaves: 0,
                        was_opened: false,
                        hang_ups: 0,
                        owner: Owner::default(),
                    },
                ),
                master: Notifier::new(),
                slave: Notifier::new(),
                host: host.then(|| sched::Mutex::new(())),
            });
            terminals.insert(number, Arc::downgrade(&terminal));
            terminal
        };
        if let Some(names) = NAMES.get() {
            // The group of terminals, as distributions have it.
            const TTY_GROUP: u32 = 5;
            let mut owner = Identity::of(credentials.uid, TTY_GROUP).checks;
            owner.capabilities = ALL_CAPABILITIES;
            let device = DeviceNumber { major: SLAVE_MAJOR, minor: terminal.number };
            let name = alloc::format!("{}", terminal.number);
            names.context.with(&owner, |context| {
                let kind = NewKind::CharDevice(device);
                context.make(Some(&names.directory), name.as_bytes(), kind, 0o620)
            })?;
        }
        Ok(terminal)
    }

    /// The terminal with a number.
    fn find(number: u32) -> Option<Arc<Self>> {
        TERMINALS.lock().get(&number).and_then(Weak::upgrade)
    }

    /// Bytes are typed, up to a key that raises a signal or as far as there is room; gives how
    /// many, and the key.
    fn type_bytes(&self, bytes: &[u8]) -> (usize, Option<Key>) {
        let mut state = self.state.lock();
        let mut count = 0;
        let mut pressed = None;
        while count < bytes.len() && pressed.is_none() && state.discipline.has_input_room() {
            pressed = state.discipline.typed(bytes[count]);
            count += 1;
        }
        (count, pressed)
    }

    /// There may be output for the master's side.
    fn has_output(&self) {
        match &self.host {
            Some(order) => console::send_output(self, order),
            None => self.master.notify_of(events::IN | events::RDNORM),
        }
    }

    /// The master's side is closed: the name goes, and whoever uses the terminal is cut off.
    fn end(&self) {
        if let Some(names) = NAMES.get() {
            let name = alloc::format!("{}", self.number);
            let system = Identity::of(0, 0).checks;
            // Somebody may have removed it already.
            let _ = names
                .context
                .with(&system, |context| context.unlink(Some(&names.directory), name.as_bytes()));
        }
        self.state.lock().master_open = false;
        self.hang_up();
        TERMINALS.lock().remove(&self.number);
    }

    /// Cuts all programs off that have it open.
    fn hang_up(&self) {
        let owner = {
            let mut state = self.state.lock();
            state.hang_ups += 1;
            state.slaves = 0;
            core::mem::take(&mut state.owner)
        };
        control::hung_up(self, owner);
        self.slave.notify();
        self.master.notify();
    }
}
