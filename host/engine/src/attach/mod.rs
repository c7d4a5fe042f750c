//! Connecting a running instance to its caller until it ends.

mod dump;
mod streams;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use abi_report::{
    Decoder, FIRST_IS_EXACT, Frame, HEAD_LEN, Kind, Level, MAX_PAYLOAD, MAX_TO_GUEST,
};
use drupe_sys::{Death, Signals};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::error::{Context, Error, Result};
use crate::provider::Instance;
use crate::symbols;

use dump::Expected;
use streams::{Control, Outlet, read, same_file, write, written};

/// How many signals a guest gets before the next one ends it by force.
const SIGNALS_PASSED: u32 = 2;

/// How long a guest may take after it was told to stop.
const STOP_TIME: Duration = Duration::from_secs(10);

/// How long a guest that says that it is well may be silent. The host may be busy with others.
const SILENCE: Duration = Duration::from_secs(40);

/// The signal of Ctrl-C (SIGINT).
const INTERRUPT: i32 = 2;

/// The signal that asks what the guest does (SIGQUIT, Ctrl-\ without a terminal for the guest).
const EXPLAIN: i32 = 3;

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
    /// Whether the terminal is in raw mode, where a line feed does not begin a line.
    pub is_raw: bool,
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
        dump: None,
        alive: None,
        is_lost: false,
        ask_again: false,
        is_listening: false,
        credit: 0,
        passed_signals: 0,
        stopping: None,
        report_open: true,
        deaths: Vec::new(),
        tree_alive: true,
        in_line: false,
        one_stream: same_file(&instance.output, &instance.error),
        output: Outlet::default(),
        error: Outlet::default(),
        complaints: Vec::new(),
        buffer: vec![0; MAX_PAYLOAD + HEAD_LEN],
        level: options.level,
        is_raw: options.is_raw,
    };
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
    /// Reports that are expected.
    dump: Option<Expected>,
    /// When the guest said last that it is well, if it does so.
    alive: Option<Instant>,
    /// A process of the guest died.
    is_lost: bool,
    /// Whether somebody asked while they were coming.
    ask_again: bool,
    /// Whether the guest takes frames.
    is_listening: bool,
    /// Bytes of input that the guest has room for.
    credit: usize,
    /// How many signals were passed to the guest, and the last one that must end it.
    passed_signals: u32,
    stopping: Option<i32>,
    report_open: bool,
    deaths: Vec<Death>,
    tree_alive: bool,
    /// Whether the program's last line on standard error is unfinished.
    in_line: bool,
    /// Whether standard output goes to the same file.
    one_stream: bool,
    /// Output that its readers have not taken yet.
    output: Outlet,
    error: Outlet,
    complaints: Vec<u8>,
    buffer: Vec<u8>,
    level: Level,
    is_raw: bool,
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
    Output,
    Error,
}

impl Session {
    /// Waits for something to happen and deals with it; `true` when it is over.
    fn step(&mut self, instance: &mut Instance, signals: Option<&Signals>) -> Result<bool> {
        let ready = self.wait(instance, signals)?;
        if ready.is_empty() {
            if self.is_silent() {
                let why = "its kernel does not answer: it or its memory is damaged";
                self.failure = Some(Error::new("the guest is lost").because(why));
                return Ok(true);
            }
            return Ok(self.time_is_over(instance));
        }
        for source in ready {
            match source {
                Source::Report => self.read_report(instance)?,
                Source::Console => {
                    let read = read(instance.console.as_ref(), &mut self.buffer)?;
                    if read == 0 {
                        instance.console = None;
                    }
                    self.output.push(&self.buffer[..read]);
                }
                Source::Complaints => {
                    let read = read(instance.complaints.as_ref(), &mut self.buffer)?;
                    if read == 0 {
                        instance.complaints = None;
                    }
                    self.complaints.extend(&self.buffer[..read]);
                    self.complaints.truncate(MAX_PAYLOAD);
                }
                Source::Output => {
                    written(&mut self.end, self.output.flush(&instance.output))?;
                }
                Source::Error => written(&mut self.end, self.error.flush(&instance.error))?,
                Source::Input => self.forward_input(instance)?,
                Source::Control => self.control.flush(&instance.control),
                Source::Deaths => self.next_death(instance)?,
                Source::Signals => match signals.and_then(Signals::next_signal) {
                    Some(WINDOW_CHANGED) => self.tell_size(instance),
                    Some(EXPLAIN) => self.ask(instance),
                    Some(signal) => self.interrupt(signal),
                    None => {}
                },
            }
        }
        if self.failure.is_some() {
            return Ok(true);
        }
        let reports_may_come = self.report_open && self.dump.is_some();
        Ok(match self.end {
            Some(End::Interrupted(_)) => true,
            // All that was written is to be read.
            Some(_) if !self.is_written() => false,
            Some(End::Exited(_)) => true,
            Some(_) => !reports_may_come,
            None => !self.tree_alive,
        })
    }

    /// Whether readers have taken all output so far.
    fn is_written(&self) -> bool {
        self.output.is_empty() && self.error.is_empty()
    }

    /// The sources that have something; none when the time is over.
    fn wait(&self, instance: &Instance, signals: Option<&Signals>) -> Result<Vec<Source>> {
        let mut sources: Vec<(Source, BorrowedFd<'_>)> = Vec::with_capacity(6);
        if !self.output.is_empty() {
            sources.push((Source::Output, instance.output.as_fd()));
        }
        if !self.error.is_empty() {
            sources.push((Source::Error, instance.error.as_fd()));
        }
        if self.report_open && self.is_written() {
            sources.push((Source::Report, instance.report.as_fd()));
        }
        if self.tree_alive {
            sources.push((Source::Deaths, instance.tree.deaths()));
        }
        if let Some(console) = &instance.console
            && self.is_written()
        {
            sources.push((Source::Console, console.as_fd()));
        }
        if let Some(complaints) = &instance.complaints {
            sources.push((Source::Complaints, complaints.as_fd()));
        }
        if let Some(input) = &instance.input
            && self.credit > 0
        {
            sources.push((Source::Input, input.as_fd()));
        }
        if self.is_listening && !self.control.is_empty() {
            sources.push((Source::Control, instance.control.as_fd()));
        }
        if let Some(signals) = signals {
            sources.push((Source::Signals, signals.as_fd()));
        }
        let mut set: Vec<PollFd<'_>> = sources
            .iter()
            .map(|(source, descriptor)| {
                let wanted = match source {
                    Source::Control | Source::Output | Source::Error => PollFlags::OUT,
                    _ => PollFlags::IN,
                };
                PollFd::from_borrowed_fd(*descriptor, wanted)
            })
            .collect();
        loop {
            let expected = self.dump.as_ref().map(|dump| dump.until);
            let silence = self.alive.map(|alive| alive + SILENCE);
            let next = [self.deadline, expected, silence].into_iter().flatten().min();
            let left = next.map(|deadline| {
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

    /// A deadline has passed; `true` when nothing more is to be waited for.
    fn time_is_over(&mut self, instance: &Instance) -> bool {
        let now = Instant::now();
        if self.dump.as_ref().is_some_and(|dump| now >= dump.until) {
            self.insist(instance);
            return self.dump.is_none() && (self.end.is_some() || self.is_lost);
        }
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return false;
        }
        self.deadline = None;
        self.end = Some(self.stopping.map_or(End::TimedOut, End::Interrupted));
        if self.stopping.is_some() {
            return true;
        }
        self.ask(instance);
        self.dump.is_none()
    }

    /// Tells the guest the size of the terminal that its output goes to.
    fn tell_size(&mut self, instance: &Instance) {
        let Ok(size) = rustix::termios::tcgetwinsize(&instance.output) else { return };
        let [a, b] = size.ws_row.to_le_bytes();
        let [c, d] = size.ws_col.to_le_bytes();
        self.control.queue(Kind::Resize, &[a, b, c, d]);
    }

    /// Whether a guest that should say that it is well does not.
    fn is_silent(&self) -> bool {
        let now = Instant::now();
        self.alive.is_some_and(|alive| now >= alive + SILENCE)
            && self.deadline.is_none_or(|deadline| now < deadline)
    }

    fn next_death(&mut self, instance: &Instance) -> Result<()> {
        match instance.tree.next_death().context(|| "cannot watch the instance")? {
            Some(death) => {
                self.deaths.push(death);
                // A process of a guest ends by itself and well; any other end is the kernel's,
                // which may have just said why.
                if !matches!(death, Death::Exited(0)) && self.end.is_none() {
                    self.is_lost = true;
                    self.dump.get_or_insert(Expected::unasked());
                }
            }
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
        // That a vCPU is alive says nothing of what was asked.
        if let Some(dump) = &mut self.dump
            && frame.kind != Kind::Alive
        {
            dump.goes_on();
        }
        match frame.kind {
            Kind::Stdout => {
                if self.one_stream {
                    self.in_line = frame.payload.last().is_some_and(|last| *last != b'\n');
                }
                self.output.push(frame.payload);
            }
            Kind::Stderr => {
                self.in_line = frame.payload.last().is_some_and(|last| *last != b'\n');
                self.error.push(frame.payload);
            }
            Kind::Exit => {
                let status = frame.status().unwrap_or(0) & 0xff;
                self.end.get_or_insert(End::Exited(status));
            }
            Kind::Log if Level::from_number(frame.flags) <= self.level => {
                self.tell(&format!("drupe: kernel: {}", frame.text()));
            }
            Kind::Alive => self.alive = Some(Instant::now()),
            Kind::Listening => self.is_listening = true,
            Kind::Credit => {
                let more = frame.number().unwrap_or(0);
                self.credit = self.credit.saturating_add(more as usize);
            }
            Kind::Panic => {
                self.end = Some(End::Panicked);
                self.dump = Some(Expected::unasked());
                self.tell(&format!("drupe: the kernel panicked: {}", frame.text()));
            }
            Kind::Backtrace => {
                let exact = frame.flags & FIRST_IS_EXACT != 0;
                let symbols = instance.kernel.symbols();
                let text = symbols::backtrace(symbols, frame.addresses(), exact);
                self.tell(&text);
            }
            Kind::DumpEnd => {
                self.dump = None;
                if std::mem::take(&mut self.ask_again) {
                    self.ask(instance);
                }
            }
            Kind::Strace if instance.trace.is_some() => {
                let text = format!("{}\n", frame.text());
                let _ = instance.trace.as_ref().map(|file| write(file, text.as_bytes()));
            }
            Kind::TraceRing | Kind::Strace | Kind::TaskDump => self.tell(&frame.text()),
            _ => {}
        }
        Ok(())
    }

    /// Lines of drupe's own among the guest's errors.
    fn tell(&mut self, lines: &str) {
        let mut text = String::new();
        if std::mem::take(&mut self.in_line) {
            // The program has not finished its line.
            text.push('\n');
        }
        text.push_str(lines.trim_end_matches('\n'));
        text.push('\n');
        if self.is_raw {
            text = text.replace('\n', "\r\n");
        }
        self.error.push(text.as_bytes());
    }

    fn forward_input(&mut self, instance: &mut Instance) -> Result<()> {
        let room = self.credit.min(MAX_TO_GUEST);
        let read = read(instance.input.as_ref(), &mut self.buffer[..room])?;
        if read == 0 {
            instance.input = None;
            self.control.queue(Kind::InputEnd, &[]);
        } else {
            self.credit -= read;
            self.control.queue(Kind::Input, &self.buffer[..read]);
        }
        Ok(())
    }

    /// Reads what was sent before the end.
    fn drain(&mut self, instance: &mut Instance) -> Result<()> {
        self.dump = None;
        self.deadline = Some(Instant::now());
        loop {
            // Whoever was told to stop does not wait for a reader.
            if !matches!(self.end, Some(End::Interrupted(_))) {
                written(&mut self.end, self.output.finish(&instance.output))?;
                written(&mut self.end, self.error.finish(&instance.error))?;
            }
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
                        self.output.push(&self.buffer[..read]);
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
        let bad = self.deaths.iter().find(|death| !matches!(death, Death::Exited(0)));
        let error = match bad {
            Some(Death::NotExecuted(errno)) => Error::new("the guest could not be started")
                .because(io::Error::from_raw_os_error(*errno)),
            Some(Death::Killed(signal)) => {
                Error::new(format!("the guest's kernel was killed by signal {signal}"))
            }
            Some(Death::Exited(status)) if complaints.is_empty() => {
                Error::new(format!("the guest ended with status {status} and no report"))
            }
            _ => Error::new("the guest ended without an exit status"),
        };
        Err(if complaints.is_empty() { error } else { error.because(complaints) })
    }
}
