//! Writing a boot module.

use alloc::vec::Vec;

use crate::config::{Descriptors, Limits, Terminal, Trace, User};
use crate::item::{Kind, REQUIRED};
use crate::{CHECKED_FROM, HEADER_LEN, MAGIC, MAX_BLOB, PAGE_SIZE, VERSION, crc32};

/// The blob would exceed [`MAX_BLOB`]: too many or too long arguments or variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl core::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "arguments and environment exceed {} MiB", MAX_BLOB >> 20)
    }
}

impl core::error::Error for TooLarge {}

/// Collects the items of a configuration blob.
#[derive(Default)]
pub struct Builder {
    items: Vec<u8>,
}

impl Builder {
    /// A blob without items.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an item of any kind; readers from before the kind was known skip it unless
    /// `flags` has bit 0 set.
    pub fn raw(&mut self, number: u16, flags: u16, payload: &[u8]) -> &mut Self {
        self.items.extend(number.to_le_bytes());
        self.items.extend(flags.to_le_bytes());
        self.items.extend((payload.len() as u32).to_le_bytes());
        self.items.extend(payload);
        self.items.resize(self.items.len().next_multiple_of(8), 0);
        self
    }

    fn item(&mut self, kind: Kind, payload: &[u8]) -> &mut Self {
        self.raw(kind as u16, REQUIRED, payload)
    }

    /// The path of the program inside the root.
    pub fn program(&mut self, path: &[u8]) -> &mut Self {
        self.item(Kind::Program, path)
    }

    /// Adds an argument; the first is the name that the program is called by.
    pub fn argument(&mut self, argument: &[u8]) -> &mut Self {
        self.item(Kind::Argument, argument)
    }

    /// Adds an environment variable, `NAME=value`.
    pub fn environment(&mut self, variable: &[u8]) -> &mut Self {
        self.item(Kind::Environment, variable)
    }

    /// The working directory.
    pub fn working_directory(&mut self, path: &[u8]) -> &mut Self {
        self.item(Kind::WorkingDirectory, path)
    }

    /// The host name.
    pub fn host_name(&mut self, name: &[u8]) -> &mut Self {
        self.item(Kind::HostName, name)
    }

    /// Who the program runs as.
    pub fn user(&mut self, user: User) -> &mut Self {
        let payload = [user.uid.to_le_bytes(), user.gid.to_le_bytes()].concat();
        self.item(Kind::User, &payload)
    }

    /// Memory and virtual CPUs.
    pub fn limits(&mut self, limits: Limits) -> &mut Self {
        let mut payload = limits.memory.to_le_bytes().to_vec();
        payload.extend(limits.cpus.to_le_bytes());
        self.item(Kind::Limits, &payload)
    }

    /// Seed of the random generator.
    pub fn seed(&mut self, seed: [u8; 32]) -> &mut Self {
        self.item(Kind::Seed, &seed)
    }

    /// The terminal on the standard streams.
    pub fn terminal(&mut self, terminal: Terminal) -> &mut Self {
        let payload = [terminal.rows.to_le_bytes(), terminal.columns.to_le_bytes()].concat();
        self.item(Kind::Terminal, &payload)
    }

    /// The host sends standard input.
    pub fn input(&mut self) -> &mut Self {
        self.item(Kind::Input, &[])
    }

    /// What to trace from the start.
    pub fn trace(&mut self, trace: Trace) -> &mut Self {
        self.item(Kind::Trace, &[u8::from(trace.syscalls), trace.log_level])
    }

    /// Descriptors that a hosted guest finds open.
    pub fn descriptors(&mut self, descriptors: Descriptors) -> &mut Self {
        let Descriptors { kernel, module, memory, report, images } = descriptors;
        let payload = [kernel, module, memory, report, images].map(u32::to_le_bytes).concat();
        self.item(Kind::Descriptors, &payload)
    }

    /// The time now, in nanoseconds since 1970.
    pub fn realtime(&mut self, nanoseconds: u64) -> &mut Self {
        self.item(Kind::Realtime, &nanoseconds.to_le_bytes())
    }

    /// The head of the module: header, items, the root's item and padding up to the page
    /// where a root image of `root_len` bytes starts. The caller appends the image and pads
    /// the file to a page; the header says the padded length.
    ///
    /// # Errors
    /// [`TooLarge`] when the blob exceeds [`MAX_BLOB`].
    pub fn head(mut self, root_len: Option<u64>) -> Result<Vec<u8>, TooLarge> {
        const ROOT_ITEM: usize = 8 + 24 + 8;
        let root_item = if root_len.is_some() { ROOT_ITEM } else { 0 };
        let blob_len = HEADER_LEN + self.items.len() + root_item;
        if blob_len > MAX_BLOB {
            return Err(TooLarge);
        }
        let head_len = blob_len.next_multiple_of(PAGE_SIZE);
        let mut module_len = head_len as u64;
        if let Some(length) = root_len {
            let mut payload = [0u32, 0].map(u32::to_le_bytes).concat();
            payload.extend((head_len as u64).to_le_bytes());
            payload.extend(length.to_le_bytes());
            payload.push(b'/');
            self.item(Kind::Root, &payload);
            module_len += length.next_multiple_of(PAGE_SIZE as u64);
        }
        let mut head = Vec::with_capacity(head_len);
        head.extend(MAGIC);
        head.extend(VERSION.to_le_bytes());
        head.extend([0; CHECKED_FROM - 12]);
        head.extend((blob_len as u64).to_le_bytes());
        head.extend(module_len.to_le_bytes());
        head.resize(HEADER_LEN, 0);
        head.extend(&self.items);
        let checksum = crc32(&head[CHECKED_FROM..]);
        head[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        head.resize(head_len, 0);
        Ok(head)
    }

    /// The whole module with `root` as its root image.
    ///
    /// # Errors
    /// [`TooLarge`] when the blob exceeds [`MAX_BLOB`].
    pub fn finish(self, root: Option<&[u8]>) -> Result<Vec<u8>, TooLarge> {
        let mut module = self.head(root.map(|root| root.len() as u64))?;
        module.extend(root.unwrap_or_default());
        module.resize(module.len().next_multiple_of(PAGE_SIZE), 0);
        Ok(module)
    }
}
