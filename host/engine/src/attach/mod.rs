//! Connecting a running instance to its caller until it ends.

mod streams;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use abi_report::{Decoder, FIRST_IS_EXACT, Frame, HEAD_LEN, Kind, Level, MAX_PAYLOAD};
use drupe_sys::{Death, Signals};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::error::{Context, Error, Result};
use crate::provider::{Input, Instance};
use crate::symbols;

use streams::{Control, note, put, read, write};

/// How long reports may still come after a panic, a death or a demand for them.
const GRACE: Duration = Duration::from_secs(1);

/// How many signals a guest gets before the next one ends it by force.
const SIGNALS_PASSED: u32 = 2;

/// How long a guest may take after it was told to stop.
const STOP_TIME: Duration = Duration::from_secs(10);

/// The signal of Ctrl-C (SIGINT).
const INTERRUPT: i32 = 2;

/// The signal that tells of a terminal's new size (SIGWINCH).
pub const WINDOW_CHANGED: i32 = 28;

/// What a caller wants of an attached instance.
pub struct Options<'a> {
    /// When to end it by force.
    pub timeout: Option<Duration>,
    /// Kernel messages up to this level are shown.
    pub level: Level,
    /// Signals that were blocked for this purpose, if any.
    pub signals: Option<&'a Signals>,
}

/// How an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The program ended with this status.
    Exited(i32),
    /// The caller was asked to stop by this signal.
    Interrupted(i32),
    /// The time was over.
    TimedOut,
    /// The kernel failed; the report has been shown.
    Panicked,
}

/// Runs until `instance` ends, then leaves nothing of it behind.
///
/// # Errors
/// When the instance vanished without an exit status, or its streams failed.
pub fn attach(mut instance: Instance, options: &Options<'_>) -> Result<End> {
    let mut session = Session {
        decoder: Decoder::new(),
        control: Control::default(),
        end: None,
        failure: None,
        deadline: options.timeout.map(|timeout| Instant::now() + timeout),
        is_dumping: false,
        is_listening: false,
        passed_signals: 0,
        stopping: None,
        report_open: true,
        deaths: Vec::new(),
        tree_alive: true,
        complaints: Vec::new(),
        buffer: vec![0; MAX_PAYLOAD + HEAD_LEN],
        level: options.level,
    };
    if matches!(instance.input, Input::Frames(None)) {
        session.control.queue(Kind::InputEnd, &[]);
    }
    while !session.step(&mut instance, options.signals)? {}
    session.drain(&mut instance)?;
    instance.tree.kill();
    session.conclude()
}

struct Session {
    decoder: Decoder,
    /// Frames for the guest.
    control: Control,
    end: Option<End>,
    failure: Option<Error>,
    deadline: Option<Instant>,
    is_dumping: bool,
    /// Whether the guest takes frames.
    is_listening: bool,
    /// How many signals were passed to the guest, and the last one that must end it.
    passed_signals: u32,
    stopping: Option<i32>,
    report_open: bool,
    deaths: Vec<Death>,
    tree_alive: bool,
    complaints: Vec<u8>,
    buffer: Vec<u8>,
    level: Level,
}

/// What a descriptor in the poll set is.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Report,
    Deaths,
    Signals,
    Console,
    Complaints,
    Input,
    Control,
}

impl Session {
    /// Waits for something to happen and deals with it; `true` when it is over.
    fn step(&mut self, instance: &mut Instance, signals: Option<&Signals>) -> Result<bool> {
        let ready = self.wait(instance, signals)?;
        if ready.is_empty() {
            return Ok(self.time_is_over());
        }
        for source in ready {
            match source {
                Source::Report => self.read_report(instance)?,
                Source::Console => {
                    let read = read(instance.console.as_ref(), &mut self.buffer)?;
                    if read == 0 {
                        instance.console = None;
                    }
                    put(&mut self.end, &instance.output, &self.buffer[..read])?;
                }
                Source::Complaints => {
                    let read = read(instance.complaints.as_ref(), &mut self.buffer)?;
                    if read == 0 {
                        instance.complaints = None;
                    }
                    self.complaints.extend(&self.buffer[..read]);
                    self.complaints.truncate(MAX_PAYLOAD);
                }
                Source::Input => self.forward_input(instance)?,
                Source::Control => self.control.flush(&instance.control),
                Source::Deaths => self.next_death(instance)?,
                Source::Signals => match signals.and_then(Signals::next_signal) {
                    Some(WINDOW_CHANGED) => self.tell_size(instance),
                    Some(signal) => self.interrupt(signal),
                    None => {}
                },
            }
        }
        if self.failure.is_some() {
            return Ok(true);
        }
        let reports_may_come = self.report_open && self.is_dumping;
        Ok(match self.end {
            Some(End::Exited(_) | End::Interrupted(_)) => true,
            Some(_) => !reports_may_come,
            None => !self.tree_alive,
        })
    }

    /// The sources that have something; none when the time is over.
    fn wait(&self, instance: &Instance, signals: Option<&Signals>) -> Result<Vec<Source>> {
        let mut sources: Vec<(Source, BorrowedFd<'_>)> = Vec::with_capacity(6);
        if self.report_open {
            sources.push((Source::Report, instance.report.as_fd()));
        }
        if self.tree_alive {
            sources.push((Source::Deaths, instance.tree.deaths()));
        }
        if let Some(console) = &instance.console {
            sources.push((Source::Console, console.as_fd()));
        }
        if let Some(complaints) = &instance.complaints {
            sources.push((Source::Complaints, complaints.as_fd()));
        }
        // What the guest has not taken yet must not grow without end.
        if let Input::Frames(Some(input)) = &instance.input
            && self.control.is_empty()
        {
            sources.push((Source::Input, input.as_fd()));
        }
        if !self.control.is_empty() {
            sources.push((Source::Control, instance.control.as_fd()));
        }
        if let Some(signals) = signals {
            sources.push((Source::Signals, signals.as_fd()));
        }
        let mut set: Vec<PollFd<'_>> = sources
            .iter()
            .map(|(source, descriptor)| {
                let wanted = match source {
                    Source::Control => PollFlags::OUT,
                    _ => PollFlags::IN,
                };
                PollFd::from_borrowed_fd(*descriptor, wanted)
            })
            .collect();
        loop {
            let left = self.deadline.map(|deadline| {
                let left = deadline.saturating_duration_since(Instant::now());
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
            });
            match rustix::event::poll(&mut set, left.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context(|| "cannot wait for the instance"),
                Ok(_) => break,
            }
        }
        Ok(sources
            .iter()
            .zip(&set)
            .filter(|(_, polled)| !polled.revents().is_empty())
            .map(|((source, _), _)| *source)
            .collect())
    }

    /// drupe was told to stop: passes that on to a guest that listens, and insists when it is
    /// told again or the guest takes too long.
    fn interrupt(&mut self, signal: i32) {
        if !self.is_listening || self.passed_signals >= SIGNALS_PASSED {
            self.end = Some(End::Interrupted(signal));
            return;
        }
        self.passed_signals += 1;
        self.control.queue(Kind::Signal, &(signal as u32).to_le_bytes());
        // A program may have reasons to go on after Ctrl-C; the others are demands.
        if signal != INTERRUPT {
            let latest = Instant::now() + STOP_TIME;
            self.stopping = Some(signal);
            self.deadline = Some(self.deadline.map_or(latest, |deadline| deadline.min(latest)));
        }
    }

    /// The deadline has passed: asks for reports, or gives up waiting for them.
    fn time_is_over(&mut self) -> bool {
        if self.is_dumping || self.end.is_some() {
            return true;
        }
        if let Some(signal) = self.stopping {
            self.end = Some(End::Interrupted(signal));
            return true;
        }
        self.end = Some(End::TimedOut);
        if !self.is_listening {
            return true;
        }
        self.expect_reports();
        // A guest that hangs in its kernel does not read this; then there are no reports.
        self.control.queue(Kind::Dump, &[]);
        false
    }

    /// Tells the guest the size of the terminal that its output goes to.
    fn tell_size(&mut self, instance: &Instance) {
        let Ok(size) = rustix::termios::tcgetwinsize(&instance.output) else { return };
        let [a, b] = size.ws_row.to_le_bytes();
        let [c, d] = size.ws_col.to_le_bytes();
        self.control.queue(Kind::Resize, &[a, b, c, d]);
    }

    fn expect_reports(&mut self) {
        self.is_dumping = true;
        self.deadline = Some(Instant::now() + GRACE);
    }

    fn next_death(&mut self, instance: &Instance) -> Result<()> {
        match instance.tree.next_death().context(|| "cannot watch the instance")? {
            Some(death) => self.deaths.push(death),
            None => self.tree_alive = false,
        }
        Ok(())
    }

    fn read_report(&mut self, instance: &mut Instance) -> Result<()> {
        let read = read(Some(&instance.report), &mut self.buffer)?;
        if read == 0 {
            self.report_open = false;
            return Ok(());
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        decoder.push(&self.buffer[..read]);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => self.show(&frame, instance)?,
                Ok(None) => break,
                Err(damaged) => {
                    self.report_open = false;
                    self.failure = Some(
                        Error::new("the guest is lost: its kernel or its memory is damaged")
                            .because(damaged),
                    );
                    break;
                }
            }
        }
        self.decoder = decoder;
        Ok(())
    }

    fn show(&mut self, frame: &Frame<'_>, instance: &Instance) -> Result<()> {
        match frame.kind {
            Kind::Stdout => return put(&mut self.end, &instance.output, frame.payload),
            Kind::Stderr => return put(&mut self.end, &instance.error, frame.payload),
            Kind::Exit => {
                let status = frame.status().unwrap_or(0) & 0xff;
                self.end.get_or_insert(End::Exited(status));
            }
            Kind::Log if Level::from_number(frame.flags) <= self.level => {
                note(&instance.error, &format!("kernel: {}", frame.text()));
            }
            Kind::Listening => self.is_listening = true,
            Kind::Panic => {
                self.end = Some(End::Panicked);
                self.expect_reports();
                note(&instance.error, &format!("the kernel panicked: {}", frame.text()));
            }
            Kind::Backtrace => {
                let exact = frame.flags & FIRST_IS_EXACT != 0;
                let symbols = instance.kernel.symbols();
                let text = symbols::backtrace(symbols, frame.addresses(), exact);
                let _ = write(&instance.error, text.as_bytes());
            }
            Kind::TraceRing | Kind::Strace | Kind::TaskDump => {
                let mut text = frame.text().into_owned();
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                let _ = write(&instance.error, text.as_bytes());
            }
            _ => {}
        }
        Ok(())
    }

    fn forward_input(&mut self, instance: &mut Instance) -> Result<()> {
        let Input::Frames(input) = &mut instance.input else { return Ok(()) };
        let read = read(input.as_ref(), &mut self.buffer[..MAX_PAYLOAD])?;
        if read == 0 {
            *input = None;
            self.control.queue(Kind::InputEnd, &[]);
        } else {
            self.control.queue(Kind::Input, &self.buffer[..read]);
        }
        Ok(())
    }

    /// Reads what was sent before the end.
    fn drain(&mut self, instance: &mut Instance) -> Result<()> {
        let now = Some(Instant::now());
        loop {
            self.deadline = now;
            let ready = self.wait(instance, None)?;
            let mut progress = false;
            for source in ready {
                match source {
                    Source::Report if self.end.is_none() => {
                        self.read_report(instance)?;
                        progress = true;
                    }
                    Source::Console => {
                        let read = read(instance.console.as_ref(), &mut self.buffer)?;
                        if read == 0 {
                            instance.console = None;
                        }
                        put(&mut self.end, &instance.output, &self.buffer[..read])?;
                        progress = true;
                    }
                    Source::Complaints => {
                        let read = read(instance.complaints.as_ref(), &mut self.buffer)?;
                        if read == 0 {
                            instance.complaints = None;
                        }
                        self.complaints.extend(&self.buffer[..read]);
                        progress = true;
                    }
                    Source::Deaths => {
                        self.next_death(instance)?;
                        progress = true;
                    }
                    _ => {}
                }
            }
            if !progress {
                return Ok(());
            }
        }
    }

    fn conclude(self) -> Result<End> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if let Some(end) = self.end {
            return Ok(end);
        }
        let complaints = String::from_utf8_lossy(&self.complaints).trim().to_owned();
        let error = match self.deaths.first() {
            Some(Death::NotExecuted(errno)) => Error::new("the guest could not be started")
                .because(io::Error::from_raw_os_error(*errno)),
            Some(Death::Killed(signal)) => {
                Error::new(format!("the guest's kernel was killed by signal {signal}"))
            }
            Some(Death::Exited(status)) if *status != 0 && complaints.is_empty() => {
                Error::new(format!("the guest ended with status {status} and no report"))
            }
            _ => Error::new("the guest ended without an exit status"),
        };
        Err(if complaints.is_empty() { error } else { error.because(complaints) })
    }
}
