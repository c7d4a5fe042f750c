//! What a signal does.

use super::number::*;
use crate::layout;

pub const SA_NOCLDSTOP: u64 = 1;
pub const SA_NOCLDWAIT: u64 = 2;
pub const SA_RESTORER: u64 = 0x0400_0000;
pub const SA_ONSTACK: u64 = 0x0800_0000;
pub const SA_RESTART: u64 = 0x1000_0000;
pub const SA_NODEFER: u64 = 0x4000_0000;
pub const SA_RESETHAND: u64 = 0x8000_0000;

layout! {
    /// `struct sigaction` of the kernel.
    pub struct RawAction {
        pub handler: u64,
        pub flags: u64,
        pub restorer: u64,
        pub mask: u64,
    }
}

/// Who handles a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handler {
    /// The kernel, as is usual for the signal.
    #[default]
    Default,
    /// Nobody.
    Ignore,
    /// A function of the program.
    Function(u64),
}

/// What a signal does.
#[derive(Clone, Copy, Debug, core::default::Default)]
pub struct Action {
    pub handler: Handler,
    pub flags: u64,
    pub restorer: u64,
    pub mask: u64,
}

impl Action {
    /// From the form that programs use.
    pub fn from_raw(raw: RawAction) -> Self {
        let handler = match raw.handler {
            0 => Handler::Default,
            1 => Handler::Ignore,
            function => Handler::Function(function),
        };
        Self {
            handler,
            flags: raw.flags,
            restorer: raw.restorer,
            mask: raw.mask & !super::UNSTOPPABLE,
        }
    }

    /// In the form that programs use.
    pub fn to_raw(self) -> RawAction {
        let handler = match self.handler {
            Handler::Default => 0,
            Handler::Ignore => 1,
            Handler::Function(function) => function,
        };
        RawAction { handler, flags: self.flags, restorer: self.restorer, mask: self.mask }
    }

    /// Whether the signal would do nothing.
    pub fn ignores(&self, signal: u8) -> bool {
        match self.handler {
            Handler::Ignore => true,
            Handler::Default => default_action(signal) == Default::Ignore,
            Handler::Function(_) => false,
        }
    }
}

/// What the kernel does with a signal by default (`signal(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Ends the process.
    Terminate,
    /// Ends the process with a core dump.
    Core,
    /// Nothing.
    Ignore,
    /// Stops the process.
    Stop,
    /// Continues the process.
    Continue,
}

/// The default action of a signal.
pub fn default_action(signal: u8) -> Default {
    match signal {
        SIGCHLD | SIGURG | SIGWINCH => Default::Ignore,
        SIGCONT => Default::Continue,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => Default::Stop,
        SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGXCPU | SIGXFSZ
        | SIGSYS => Default::Core,
        _ => Default::Terminate,
    }
}
