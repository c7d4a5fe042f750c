//! What the host asks of a running guest: the task that takes frames from it.
//!
//! Input waits here until the program takes it; the host may send as much as it has credit for,
//! so that this never grows beyond [`WINDOW`].

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;

use abi_report::{Decoder, Frame, HEAD_LEN, Kind, MAX_TO_GUEST};
use hal::Report;
use sched::Task;
use spin::Once;

use crate::dump;
use crate::error::Result;
use crate::file::{self, FileTable, OpenFile, flags};
use crate::notifier::{Listener, WakeTask};
use crate::process::by_pid;
use crate::signal::number::{SIGINT, SIGQUIT, SIGTSTP};
use crate::signal::{self, Info};
use crate::terminal::Console;
use crate::user::Bytes;

/// Bytes of input that may be on their way to the program.
const WINDOW: usize = 64 << 10;

/// The first process: signals for the guest are its.
const FIRST: u32 = 1;

/// Where input goes.
pub enum Input {
    /// There is none.
    Closed,
    /// Into a pipe, of which this is the end for writing.
    Pipe(Arc<OpenFile>),
    /// A terminal on which the host types.
    Terminal(Console),
    /// A terminal on which nobody types.
    Silent(Console),
}

static TASK: Once<Arc<Task>> = Once::new();

fn wake() {
    if let Some(task) = TASK.get() {
        task.unpark();
    }
}

/// Starts to listen. `None`: no memory for it.
pub fn start(input: Input) -> Option<()> {
    let task = sched::spawn("control", move || Control::new(input).run())?;
    TASK.call_once(|| task);
    sched::on_device_event(wake);
    Some(())
}

struct Control {
    decoder: Decoder,
    input: Input,
    /// Input that has found no room yet.
    waiting: VecDeque<u8>,
    /// The host sends no more.
    ended: bool,
    /// Bytes that the program has taken and the host has no credit for yet.
    taken: usize,
}

impl Control {
    fn new(input: Input) -> Self {
        let decoder = Decoder::new();
        Self { decoder, input, waiting: VecDeque::new(), ended: false, taken: WINDOW }
    }

    fn run(&mut self) {
        let listener: Arc<dyn Listener> = Arc::new(WakeTask(sched::current()));
        match &self.input {
            Input::Pipe(end) => {
                if let Some(notifier) = end.file.notifier() {
                    notifier.add(&listener);
                }
            }
            Input::Terminal(console) => console.add_listener(&listener),
            Input::Closed | Input::Silent(_) => {}
        }
        hal::report(Report::Listening, 0, &[]);
        let mut buffer = vec![0; HEAD_LEN + MAX_TO_GUEST];
        loop {
            let count = hal::control_read(&mut buffer);
            if count > 0 {
                self.take(&buffer[..count]);
                continue;
            }
            self.feed();
            self.give_credit();
            sched::park();
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut decoder = core::mem::take(&mut self.decoder);
        decoder.push(bytes);
        // What is no frame makes all that follows unintelligible: the host has lost its mind,
        // and the guest lives on without it.
        while let Ok(Some(frame)) = decoder.next_frame() {
            self.obey(&frame);
        }
        self.decoder = decoder;
    }

    fn obey(&mut self, frame: &Frame<'_>) {
        match frame.kind {
            Kind::Input => self.waiting.extend(frame.payload),
            Kind::InputEnd => self.ended = true,
            Kind::Signal => {
                if let Some(number) = frame.number() {
                    pass_signal(number);
                }
            }
            Kind::Resize => {
                if let (Input::Terminal(console) | Input::Silent(console), Some(size)) =
                    (&self.input, frame.size())
                {
                    console.resize(size);
                }
            }
            Kind::Dump => {
                // What runs elsewhere is seen as it is now.
                (0..hal::vcpu_count())
                    .filter(|&vcpu| vcpu != hal::vcpu_current())
                    .for_each(hal::vcpu_kick);
                dump::everything(false);
                hal::report(Report::DumpEnd, 0, &[]);
            }
            _ => {}
        }
    }

    /// Gives the program as much input as it has room for.
    fn feed(&mut self) {
        while !self.waiting.is_empty() {
            let (bytes, _) = self.waiting.as_slices();
            let count = match &self.input {
                Input::Pipe(end) => match end.file.write(end, &mut Bytes(bytes), 0) {
                    Ok(count) => count,
                    Err(fail) if fail == errno::Errno::EAGAIN.into() => break,
                    // Nobody will ever read it: the host keeps the rest.
                    Err(_) => {
                        self.waiting.clear();
                        self.input = Input::Closed;
                        return;
                    }
                },
                Input::Terminal(console) => console.type_bytes(bytes),
                Input::Closed | Input::Silent(_) => return,
            };
            if count == 0 {
                break;
            }
            self.waiting.drain(..count);
            self.taken += count;
        }
        if self.ended && self.waiting.is_empty() {
            // Dropping the end of a pipe ends what its reader reads.
            if let Input::Terminal(console) = core::mem::replace(&mut self.input, Input::Closed) {
                console.hang_up();
            }
        }
    }

    /// Lets the host send more, in large steps.
    fn give_credit(&mut self) {
        let is_open = matches!(self.input, Input::Pipe(_) | Input::Terminal(_));
        if is_open && !self.ended && self.taken >= WINDOW / 4 {
            hal::report(Report::Credit, 0, &(self.taken as u32).to_le_bytes());
            self.taken = 0;
        }
    }
}

/// A signal for the guest. What a keyboard sends goes to the first process's group, as a terminal
/// sends it to the foreground; the others to the first process alone.
fn pass_signal(number: u32) {
    let Ok(number) = u8::try_from(number) else { return };
    let Some(first) = by_pid(FIRST) else { return };
    if !(1..=64).contains(&number) {
        return;
    }
    if matches!(number, SIGINT | SIGQUIT | SIGTSTP) {
        signal::send_to_group(first.group(), number, Info::kernel());
    } else {
        signal::send_to_process(&first, number, Info::kernel());
    }
}

/// The streams of the first program: its files, and where input goes. `null` is where `/dev/null`
/// is.
pub fn streams(
    terminal: Option<(u16, u16)>,
    input: bool,
    null: Option<vfs::Location>,
) -> Result<(FileTable, Input)> {
    if let Some(window) = terminal {
        let (console, open) = Console::open(window, FIRST)?;
        let files = file::terminal_streams(&open)?;
        let input = if input { Input::Terminal(console) } else { Input::Silent(console) };
        return Ok((files, input));
    }
    if input {
        let [reader, writer] = file::pipe_to_program();
        return Ok((file::standard_streams(reader)?, Input::Pipe(writer)));
    }
    let device = vfs::DeviceNumber { major: 1, minor: 3 };
    let null = OpenFile::new(file::open_device(device)?, null, flags::RDWR);
    Ok((file::standard_streams(null)?, Input::Closed))
}
