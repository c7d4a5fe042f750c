//! The terminal whose other side is the host's: what is shown there goes out as it is written,
//! what is typed there comes in by frames.

use alloc::sync::Arc;

use vfs::{Final, Resolve};

use super::control::{self, CONTROLLING};
use super::files::Slave;
use super::{NAMES, Owner, Terminal};
use crate::error::Result;
use crate::file::{OpenFile, flags};
use crate::notifier::{Listener, Notifier};
use crate::process::Identity;
use crate::signal::number::SIGWINCH;

/// The host's side of a terminal.
#[derive(Clone)]
pub struct Console(Arc<Terminal>);

impl Console {
    /// A new terminal of so many rows and columns that controls the session `session`, and the
    /// file that its programs have open.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn open(window: (u16, u16), session: u32) -> Result<(Self, Arc<OpenFile>)> {
        let system = Identity::of(0, 0).checks;
        let terminal = Terminal::create(&system, true)?;
        let location = NAMES.get().and_then(|names| {
            let name = alloc::format!("{}", terminal.number);
            let found = names.context.with(&system, |context| {
                let at = Some(&names.directory);
                context.resolve(at, name.as_bytes(), Final::Follow, Resolve::default())
            });
            found.ok()
        });
        let hang_ups = {
            let mut state = terminal.state.lock();
            state.window = [window.0, window.1, 0, 0];
            state.locked = false;
            state.was_opened = true;
            state.slaves = 1;
            state.owner = Owner { session, group: session };
            state.hang_ups
        };
        CONTROLLING.lock().insert(session, Arc::clone(&terminal));
        let file = Slave { terminal: Arc::clone(&terminal), hang_ups };
        let open = OpenFile::new(Arc::new(file), location, flags::RDWR);
        Ok((Self(terminal), open))
    }

    /// Bytes are typed; gives how many found room.
    pub fn type_bytes(&self, bytes: &[u8]) -> usize {
        let mut total = 0;
        while total < bytes.len() {
            let (count, pressed) = self.0.type_bytes(&bytes[total..]);
            total += count;
            match pressed {
                Some(key) => control::key_pressed(&self.0, key),
                None if total < bytes.len() => break,
                None => {}
            }
        }
        if total > 0 {
            self.0.slave.notify();
            self.0.has_output();
        }
        total
    }

    /// The host's terminal has so many rows and columns now.
    pub fn resize(&self, window: (u16, u16)) {
        let window = [window.0, window.1, 0, 0];
        let old = core::mem::replace(&mut self.0.state.lock().window, window);
        if old != window {
            control::to_foreground(&self.0, SIGWINCH);
        }
    }

    /// Whoever typed is gone: programs are cut off, the session is told.
    pub fn hang_up(&self) {
        self.0.hang_up();
    }

    /// Tells `listener` when there may be room for typing.
    pub fn add_listener(&self, listener: &Arc<dyn Listener>) {
        let notifier: &Notifier = &self.0.master;
        notifier.add(listener);
    }
}

/// Sends what a terminal has to show to the host. One at a time, so that it comes out in order.
pub fn send_output(terminal: &Terminal, order: &sched::Mutex<()>) {
    let _order = order.lock();
    loop {
        let mut bytes = [0; 1024];
        let mut count = 0;
        {
            let mut state = terminal.state.lock();
            while count < bytes.len()
                && !state.discipline.stopped
                && let Some(byte) = state.discipline.output.pop_front()
            {
                bytes[count] = byte;
                count += 1;
            }
        }
        if count == 0 {
            break;
        }
        hal::report(hal::Report::Stdout, 0, &bytes[..count]);
    }
    terminal.slave.notify_of(crate::file::events::OUT | crate::file::events::WRNORM);
}
