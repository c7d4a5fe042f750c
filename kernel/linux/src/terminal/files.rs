//! The two ends of a pseudo-terminal as files.

use alloc::sync::Arc;
use core::any::Any;

use errno::Errno;
use vfs::Location;

use super::{Terminal, control, ioctl};
use crate::error::{Result, fail};
use crate::file::{File, OpenFile, events, flags};
use crate::notifier::Notifier;
use crate::process::Process;
use crate::thread::{self, Thread};
use crate::user::{Sink, Source};

/// Bytes that go through the stack at once.
const STEP: usize = 256;

/// The end that shows and types (`/dev/ptmx`).
pub struct Master(pub Arc<Terminal>);

/// The end that programs use (`/dev/pts/N`).
pub struct Slave {
    pub terminal: Arc<Terminal>,
    /// The hang-ups before it was opened.
    pub hang_ups: u32,
}

impl Slave {
    fn is_hung_up(&self) -> bool {
        self.terminal.state.lock().hang_ups != self.hang_ups
    }
}

/// Opens a new terminal's master.
pub fn open_master(thread: &Thread, location: Location, options: u32) -> Result<Arc<OpenFile>> {
    let terminal = Terminal::create(&thread.identity().checks, false)?;
    Ok(OpenFile::new(Arc::new(Master(terminal)), Some(location), options))
}

/// Opens a terminal for a program. `own`: by way of `/dev/tty`.
pub fn open_slave(
    thread: &Thread,
    terminal: &Arc<Terminal>,
    location: Location,
    options: u32,
    own: bool,
) -> Result<Arc<OpenFile>> {
    let hang_ups = {
        let mut state = terminal.state.lock();
        if !state.master_open || (state.locked && !own) {
            return fail(Errno::EIO);
        }
        state.slaves += 1;
        state.was_opened = true;
        state.hang_ups
    };
    let file = Slave { terminal: Arc::clone(terminal), hang_ups };
    let open = OpenFile::new(Arc::new(file), Some(location), options);
    let process: &Process = &thread.process;
    if options & flags::NOCTTY == 0 && process.pid == process.session() {
        // A leader that has a terminal, or finds it taken, just opens it.
        let _ = control::take(thread, terminal, false);
    }
    Ok(open)
}

/// Opens the terminal that a device number stands for.
pub fn open_numbered(
    thread: &Thread,
    number: u32,
    location: Location,
    options: u32,
) -> Result<Arc<OpenFile>> {
    match Terminal::find(number) {
        Some(terminal) => open_slave(thread, &terminal, location, options, false),
        None => fail(Errno::EIO),
    }
}

impl File for Slave {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        if self.is_hung_up() || to.room() == 0 {
            return Ok(0);
        }
        thread::with_current(|thread| control::check_read(thread, &self.terminal)).transpose()?;
        let room = usize::try_from(to.room()).unwrap_or(usize::MAX);
        let found = {
            let state = self.terminal.state.lock();
            match state.discipline.look(room) {
                Some(bytes) => bytes,
                None if state.discipline.patience() == Some(0) => return Ok(0),
                None => return fail(Errno::EAGAIN),
            }
        };
        let count = if found.is_empty() { 0 } else { to.put(&found)? };
        self.terminal.state.lock().discipline.take(count);
        self.terminal.master.notify_of(events::OUT | events::WRNORM);
        Ok(count)
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        if self.is_hung_up() {
            return fail(Errno::EIO);
        }
        thread::with_current(|thread| control::check_write(thread, &self.terminal)).transpose()?;
        let mut total = 0;
        while from.left() > 0 {
            let mut bytes = [0; STEP];
            let wanted = (from.left() as usize).min(STEP);
            let seen = match from.look(&mut bytes[..wanted]) {
                Err(_) if total > 0 => break,
                other => other?,
            };
            let count = {
                let mut state = self.terminal.state.lock();
                let fits = bytes[..seen].iter().take_while(|&&byte| {
                    let room = state.discipline.has_output_room();
                    if room {
                        state.discipline.write(byte);
                    }
                    room
                });
                fits.count()
            };
            from.get(&mut bytes[..count])?;
            total += count;
            if count < seen {
                break;
            }
        }
        if total > 0 {
            self.terminal.has_output();
            Ok(total)
        } else {
            fail(Errno::EAGAIN)
        }
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn deadline(&self, writing: bool) -> u64 {
        const TENTH: u64 = crate::abi::SECOND / 10;
        match self.terminal.state.lock().discipline.patience() {
            Some(tenths) if !writing => hal::monotonic() + u64::from(tenths) * TENTH,
            _ => u64::MAX,
        }
    }

    fn late(&self) -> Result<usize> {
        Ok(0)
    }

    fn ready(&self) -> u32 {
        let state = self.terminal.state.lock();
        if state.hang_ups != self.hang_ups {
            return events::ALWAYS | events::ERR | events::HUP;
        }
        let mut ready = 0;
        if state.discipline.is_readable() {
            ready |= events::IN | events::RDNORM;
        }
        if state.discipline.has_output_room() {
            ready |= events::OUT | events::WRNORM;
        }
        ready
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.terminal.slave)
    }

    fn ioctl(&self, thread: &Thread, request: u32, argument: u64) -> Result {
        if self.is_hung_up() {
            return fail(Errno::EIO);
        }
        ioctl::of_slave(thread, &self.terminal, request, argument)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn closed(&self, _open: &OpenFile) {
        let mut state = self.terminal.state.lock();
        if state.hang_ups == self.hang_ups {
            state.slaves -= 1;
        }
        drop(state);
        self.terminal.master.notify();
    }
}

impl File for Master {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        let mut total = 0;
        while to.room() > 0 {
            let mut bytes = [0; STEP];
            let mut count = 0;
            {
                let mut state = self.0.state.lock();
                let room = (to.room() as usize).min(STEP);
                while count < room
                    && let Some(byte) = state.discipline.output.pop_front()
                {
                    bytes[count] = byte;
                    count += 1;
                }
                if count == 0 && total == 0 {
                    let ended = state.was_opened && state.slaves == 0;
                    return fail(if ended { Errno::EIO } else { Errno::EAGAIN });
                }
            }
            if count == 0 {
                break;
            }
            match to.put(&bytes[..count]) {
                Ok(put) => total += put,
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
        }
        self.0.slave.notify_of(events::OUT | events::WRNORM);
        Ok(total)
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        let mut total = 0;
        while from.left() > 0 {
            let mut bytes = [0; STEP];
            let wanted = (from.left() as usize).min(STEP);
            let seen = from.look(&mut bytes[..wanted])?;
            let (count, pressed) = self.0.type_bytes(&bytes[..seen]);
            from.get(&mut bytes[..count])?;
            total += count;
            if let Some(key) = pressed {
                control::key_pressed(&self.0, key);
            } else if count < seen {
                break;
            }
        }
        if total == 0 {
            return fail(Errno::EAGAIN);
        }
        self.0.slave.notify();
        // What is typed is echoed.
        self.0.has_output();
        Ok(total)
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn ready(&self) -> u32 {
        let state = self.0.state.lock();
        let mut ready = 0;
        if !state.discipline.output.is_empty() {
            ready |= events::IN | events::RDNORM;
        }
        if state.discipline.has_input_room() {
            ready |= events::OUT | events::WRNORM;
        }
        if state.was_opened && state.slaves == 0 {
            ready |= events::HUP;
        }
        ready
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.0.master)
    }

    fn ioctl(&self, thread: &Thread, request: u32, argument: u64) -> Result {
        ioctl::of_master(thread, &self.0, request, argument)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn closed(&self, _open: &OpenFile) {
        self.0.end();
    }
}
