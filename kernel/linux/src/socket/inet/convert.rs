//! What the stack says, in Linux's words.

use errno::Errno;
use net_service::stack::tcp::{Failure, IoError, Ready};
use net_service::stack::{BindError, ConnectError, SendError, SocketError};

use crate::file::events;

/// Readiness as `poll(2)` shows it.
pub fn events_of(ready: Ready) -> u32 {
    let table = [
        (Ready::READABLE, events::IN | events::RDNORM),
        (Ready::PRIORITY, events::PRI | events::RDBAND),
        (Ready::WRITABLE, events::OUT | events::WRNORM),
        (Ready::ERROR, events::ERR),
        (Ready::HANGUP, events::HUP),
        (Ready::READ_HANGUP, events::RDHUP),
    ];
    let set = table.iter().filter(|(bit, _)| ready.has(*bit));
    set.fold(0, |all, (_, events)| all | events)
}

/// Why a connection ended.
pub fn failure(failure: Failure) -> Errno {
    match failure {
        Failure::Refused => Errno::ECONNREFUSED,
        Failure::Reset => Errno::ECONNRESET,
        Failure::BrokenPipe => Errno::EPIPE,
        Failure::TimedOut => Errno::ETIMEDOUT,
        Failure::HostUnreachable => Errno::EHOSTUNREACH,
        Failure::NetworkUnreachable => Errno::ENETUNREACH,
        Failure::Aborted => Errno::ECONNABORTED,
    }
}

/// Why bytes did not move.
pub fn io_error(error: IoError) -> Errno {
    match error {
        // A call on a connection that is still being made waits until it is.
        IoError::WouldBlock | IoError::NotConnected => Errno::EAGAIN,
        IoError::Shut => Errno::EPIPE,
        IoError::Failed(why) => failure(why),
    }
}

/// Why a port cannot be had.
pub fn bind_error(error: BindError) -> Errno {
    match error {
        BindError::InUse | BindError::Exhausted => Errno::EADDRINUSE,
        BindError::NotLocal => Errno::EADDRNOTAVAIL,
    }
}

/// Why a connection cannot be begun.
pub fn connect_error(error: ConnectError) -> Errno {
    match error {
        ConnectError::NetworkUnreachable | ConnectError::BadDestination => Errno::ENETUNREACH,
        ConnectError::HostUnreachable => Errno::EHOSTUNREACH,
        ConnectError::NoSource | ConnectError::NoPort | ConnectError::Exists => {
            Errno::EADDRNOTAVAIL
        }
        ConnectError::OtherShard(_) => Errno::EAGAIN,
        ConnectError::Limit => Errno::ENOBUFS,
    }
}

/// An error that a datagram sent earlier came back with.
pub fn socket_error(error: SocketError) -> Errno {
    match error {
        SocketError::Refused => Errno::ECONNREFUSED,
        SocketError::HostUnreachable => Errno::EHOSTUNREACH,
        SocketError::NetworkUnreachable => Errno::ENETUNREACH,
        SocketError::TooLarge(_) => Errno::EMSGSIZE,
    }
}

/// Why a datagram was not sent.
pub fn send_error(error: SendError) -> Errno {
    match error {
        SendError::NoDestination => Errno::EDESTADDRREQ,
        SendError::Family => Errno::EAFNOSUPPORT,
        SendError::NetworkUnreachable => Errno::ENETUNREACH,
        SendError::HostUnreachable => Errno::EHOSTUNREACH,
        SendError::NoSource => Errno::EADDRNOTAVAIL,
        SendError::Broadcast => Errno::EACCES,
        SendError::TooLarge => Errno::EMSGSIZE,
        SendError::WouldBlock | SendError::NoPort => Errno::EAGAIN,
        SendError::NoMemory => Errno::ENOBUFS,
        SendError::Invalid => Errno::EINVAL,
        SendError::Shut => Errno::EPIPE,
        SendError::Earlier(earlier) => socket_error(earlier),
    }
}
