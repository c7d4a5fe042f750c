//! A pseudo-terminal with a person in front of it: types, and waits for what is shown.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command on a terminal of its own.
pub struct Terminal {
    master: File,
    child: Child,
    /// All that was shown.
    shown: String,
    /// Up to where it was waited for.
    seen: usize,
}

impl Terminal {
    /// Starts `command` as the leader of a session with a new terminal, 30 rows and 90 columns.
    pub fn start(command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut leader = Command::new("setsid");
        // Whoever runs tests in the background ignores signals of the keyboard.
        leader.args(["--ctty", "env", "--default-signal"]);
        leader.arg(command.get_program()).args(command.get_args());
        leader.current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            leader.env(name, value.unwrap_or_default());
        }
        let stream = || OwnedFd::from(slave.try_clone().unwrap());
        leader.stdin(stream()).stdout(stream()).stderr(stream());
        let child = leader.spawn().expect("setsid of util-linux");
        let terminal = Self { master: master.into(), child, shown: String::new(), seen: 0 };
        terminal.resize(30, 90);
        terminal
    }

    /// Changes the size of the terminal.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// The command's process.
    pub fn process(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Waits until `text` is shown behind what was waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(self.read_more(deadline), "no {text:?} in {:?}", self.shown);
        }
    }

    /// Reads what is there, waiting for it; `false` at the end or when it is late.
    fn read_more(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut set = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
        if rustix::event::poll(&mut set, Some(&left)).unwrap() == 0 {
            return false;
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
                true
            }
        }
    }

    /// All that was shown so far.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The terminal's window is closed; waits for the command's end.
    pub fn hang_up(mut self) -> ExitStatus {
        self.master = File::open("/dev/null").unwrap();
        self.child.wait().unwrap()
    }

    /// Waits for the command's end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while self.read_more(deadline) {}
        if Instant::now() >= deadline {
            let _ = self.child.kill();
            panic!("no end; shown: {:?}", self.shown);
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
