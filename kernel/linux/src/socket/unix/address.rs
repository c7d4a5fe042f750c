//! Names of unix sockets: in file systems and abstract ones.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec;
use alloc::vec::Vec;

use errno::Errno;
use lock::SpinLock;
use vfs::{Access, Final, Kind, NewKind, Resolve};

use super::UnixSocket;
use crate::error::{Fail, Result, fail};
use crate::rank;
use crate::thread::Thread;

/// The family, as an address begins.
pub const FAMILY: [u8; 2] = [1, 0];
/// Bytes of a `struct sockaddr_un`.
const LONGEST: usize = 110;

/// Sockets by kind and name.
type Names = BTreeMap<(u32, Vec<u8>), Weak<UnixSocket>>;

/// Sockets with abstract names.
static ABSTRACT: SpinLock<Names> = SpinLock::new(rank::SOCKET_NAMES, BTreeMap::new());

/// What a name in a file system leads to.
struct Bound(Weak<UnixSocket>);

/// An address as a program gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Any free abstract name.
    Any,
    /// An abstract name, without the zero byte that it begins with.
    Abstract(Vec<u8>),
    /// A path.
    Path(Vec<u8>),
}

impl Address {
    /// From a `struct sockaddr_un`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < FAMILY.len() || bytes.len() > LONGEST || bytes[..2] != FAMILY {
            return fail(Errno::EINVAL);
        }
        Ok(match &bytes[2..] {
            [] => Self::Any,
            [0, name @ ..] => Self::Abstract(name.to_vec()),
            path => {
                let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                Self::Path(path[..end].to_vec())
            }
        })
    }

    /// As programs are told.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = FAMILY.to_vec();
        match self {
            Self::Any => {}
            Self::Abstract(name) => {
                bytes.push(0);
                bytes.extend_from_slice(name);
            }
            Self::Path(path) => {
                bytes.extend_from_slice(path);
                bytes.push(0);
            }
        }
        bytes
    }

    /// The socket that has this name.
    pub fn find(&self, thread: &Thread, kind: u32) -> Result<Arc<UnixSocket>> {
        match self {
            Self::Any => fail(Errno::EINVAL),
            Self::Abstract(name) => {
                let found = ABSTRACT.lock().get(&(kind, name.clone())).and_then(Weak::upgrade);
                Ok(found.ok_or(Errno::ECONNREFUSED)?)
            }
            Self::Path(path) => {
                let location = thread.with_context(|context| {
                    let place = context.resolve(None, path, Final::Follow, Resolve::default())?;
                    context.check(&place, Access::WRITE)?;
                    Ok::<_, Errno>(place)
                })?;
                if location.kind() != Kind::Socket {
                    return fail(Errno::ECONNREFUSED);
                }
                let bound = location.inode().attachment().get::<Bound>();
                let socket = bound.and_then(|bound| bound.0.upgrade());
                let socket = socket.ok_or(Errno::ECONNREFUSED)?;
                if socket.kind != kind { fail(Errno::EPROTOTYPE) } else { Ok(socket) }
            }
        }
    }

    /// Gives a socket this name; the name as programs are told.
    pub fn take(self, thread: &Thread, socket: &Arc<UnixSocket>) -> Result<Vec<u8>> {
        match &self {
            Self::Any => return take_any(socket),
            Self::Abstract(name) => {
                if !take_abstract(name.clone(), socket) {
                    return fail(Errno::EADDRINUSE);
                }
            }
            Self::Path(path) => {
                let made =
                    thread.with_context(|context| context.make(None, path, NewKind::Socket, 0o777));
                let place = match made {
                    Err(Errno::EEXIST) => return fail(Errno::EADDRINUSE),
                    other => other.map_err(Fail::Errno)?,
                };
                let weak = Arc::downgrade(socket);
                place.inode().attachment().get_or_insert(|| Bound(weak));
            }
        }
        Ok(self.encode())
    }
}

fn take_abstract(name: Vec<u8>, socket: &Arc<UnixSocket>) -> bool {
    let mut names = ABSTRACT.lock();
    let key = (socket.kind, name);
    let free = names.get(&key).is_none_or(|other| other.strong_count() == 0);
    if free {
        names.insert(key, Arc::downgrade(socket));
    }
    free
}

/// A free name of five hexadecimal digits, as Linux chooses them.
fn take_any(socket: &Arc<UnixSocket>) -> Result<Vec<u8>> {
    const NAMES: u32 = 1 << 20;
    let mut seed = [0; 4];
    crate::random::fill(&mut seed);
    let seed = u32::from_le_bytes(seed);
    for attempt in 0..NAMES {
        let number = seed.wrapping_add(attempt) % NAMES;
        let name = alloc::format!("{number:05x}").into_bytes();
        if take_abstract(name.clone(), socket) {
            return Ok(Address::Abstract(name).encode());
        }
    }
    fail(Errno::ENOSPC)
}

/// Gives a name back, if it is the socket's own: those that a listener made have its name too.
pub fn release(socket: &UnixSocket, name: &[u8]) {
    if let [_, _, 0, name @ ..] = name {
        let key = (socket.kind, name.to_vec());
        let mut names = ABSTRACT.lock();
        if names.get(&key).is_some_and(|owner| core::ptr::eq(owner.as_ptr(), socket)) {
            names.remove(&key);
        }
    }
}

/// The address of a socket without a name.
pub fn unnamed() -> Vec<u8> {
    vec![FAMILY[0], FAMILY[1]]
}
