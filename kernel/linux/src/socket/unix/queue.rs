//! What waits to be received.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::file::OpenFile;
use crate::socket::Sender;

/// Bytes that a message counts for besides its content.
const OVERHEAD: usize = 768;
/// Small writes to a stream share a piece of this many bytes.
const SHARED: usize = 512;

/// A message, or bytes of a stream that belong together.
pub struct Piece {
    /// The bytes; those before `start` have been received.
    pub bytes: Vec<u8>,
    /// The first one that has not been received.
    pub start: usize,
    /// Open files that go with the first byte.
    pub rights: Vec<Arc<OpenFile>>,
    /// Who sent it.
    pub sender: Sender,
    /// The sender's address; of messages only.
    pub from: Option<Vec<u8>>,
}

impl Piece {
    /// What has not been received.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Pieces in the order in which they came.
#[derive(Default)]
pub struct Queue {
    pieces: VecDeque<Piece>,
    /// Whether a receiver has taken the first piece out and may put a rest of it back.
    out: bool,
    /// Bytes of content, those of a piece that is out included.
    bytes: usize,
    spare: Option<Vec<u8>>,
}

impl Queue {
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.pieces.len() + usize::from(self.out)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of a stream.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What messages count for.
    pub fn cost(&self) -> usize {
        self.bytes + self.len() * OVERHEAD
    }

    /// The first piece.
    pub fn front(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    /// All pieces.
    pub fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter()
    }

    /// Adds a message.
    pub fn push(&mut self, piece: Piece) {
        self.bytes += piece.bytes.len();
        self.pieces.push_back(piece);
    }

    /// Adds bytes of a stream: to the last piece if it is the same sender's and has room.
    pub fn append(&mut self, bytes: &[u8], sender: Sender) {
        self.bytes += bytes.len();
        if let Some(last) = self.pieces.back_mut()
            && last.rights.is_empty()
            && last.sender == sender
            && last.bytes.capacity() - last.bytes.len() >= bytes.len()
        {
            last.bytes.extend_from_slice(bytes);
            return;
        }
        let spare = self.spare.take().filter(|spare| spare.capacity() >= bytes.len());
        let mut content = spare.unwrap_or_else(|| Vec::with_capacity(bytes.len().max(SHARED)));
        content.extend_from_slice(bytes);
        self.pieces.push_back(Piece {
            bytes: content,
            start: 0,
            rights: Vec::new(),
            sender,
            from: None,
        });
    }

    /// Takes the first piece out if `wanted`; it stays counted until it is
    /// [put back](Self::put_back).
    pub fn take_if(&mut self, wanted: bool) -> Option<Piece> {
        let piece = if wanted { self.pieces.pop_front()? } else { return None };
        self.out = true;
        Some(piece)
    }

    /// Ends a [`take_if`](Self::take_if) of which `received` bytes were received; `rest`: the piece goes
    /// back.
    pub fn put_back(&mut self, mut piece: Piece, received: usize, rest: bool) {
        self.out = false;
        self.bytes -= received;
        piece.start += received;
        if rest {
            self.pieces.push_front(piece);
        } else {
            self.bytes -= piece.rest().len();
            if piece.bytes.capacity() <= SHARED {
                piece.bytes.clear();
                self.spare = Some(piece.bytes);
            }
        }
    }

    /// Takes everything out.
    pub fn clear(&mut self) -> VecDeque<Piece> {
        self.bytes = 0;
        core::mem::take(&mut self.pieces)
    }
}
