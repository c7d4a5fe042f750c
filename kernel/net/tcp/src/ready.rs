/// What an application can do with a socket without waiting, as `poll(2)` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(pub u16);

impl Ready {
    /// Nothing.
    pub const NONE: Ready = Ready(0);
    /// Data, the end of the stream, or a connection to accept can be read.
    pub const READABLE: Ready = Ready(0x001);
    /// Urgent data arrived.
    pub const PRIORITY: Ready = Ready(0x002);
    /// There is room for data to send.
    pub const WRITABLE: Ready = Ready(0x004);
    /// An error waits to be taken.
    pub const ERROR: Ready = Ready(0x008);
    /// Both directions are shut.
    pub const HANGUP: Ready = Ready(0x010);
    /// The peer will send no more.
    pub const READ_HANGUP: Ready = Ready(0x2000);

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Ready) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets.
    pub const fn with(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }

    /// `other` if `condition` holds, added.
    pub const fn with_if(self, other: Ready, condition: bool) -> Ready {
        if condition { self.with(other) } else { self }
    }

    /// Whether nothing is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
