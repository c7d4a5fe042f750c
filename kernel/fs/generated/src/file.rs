//! Files that render their text.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;
use lock::{Rank, SpinLock};
use vfs::{Attachment, Content, Inode, Kind, Metadata};

use crate::Attributes;

const TEXT: Rank = Rank::new(180, "generated text");

type Render = Arc<dyn Fn() -> Result<Vec<u8>, Errno> + Send + Sync>;
type Store = Arc<dyn Fn(u64, &[u8]) -> Result<usize, Errno> + Send + Sync>;
type Make = Box<dyn Fn() -> Result<Arc<dyn Content>, Errno> + Send + Sync>;

/// A regular file without storage.
pub struct File {
    attributes: Attributes,
    size: u64,
    source: Source,
    attachment: Attachment,
}

enum Source {
    Text { render: Option<Render>, store: Option<Store> },
    Content(Make),
}

impl File {
    /// A file that shows what `render` returns. Reading from the start renders anew, so that a
    /// program can keep the file open and look again.
    pub fn new(
        attributes: Attributes,
        render: impl Fn() -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
    ) -> Self {
        Self::of(attributes, Source::Text { render: Some(Arc::new(render)), store: None })
    }

    /// A file that can be written to, not read.
    pub fn write_only(
        attributes: Attributes,
        store: impl Fn(u64, &[u8]) -> Result<usize, Errno> + Send + Sync + 'static,
    ) -> Self {
        Self::of(attributes, Source::Text { render: None, store: Some(Arc::new(store)) })
    }

    /// A file whose content is an object made at each opening, for what is no text.
    pub fn with_content(
        attributes: Attributes,
        make: impl Fn() -> Result<Arc<dyn Content>, Errno> + Send + Sync + 'static,
    ) -> Self {
        Self::of(attributes, Source::Content(Box::new(make)))
    }

    fn of(attributes: Attributes, source: Source) -> Self {
        Self { attributes, size: 0, source, attachment: Attachment::new() }
    }

    /// Lets the file take writes: `store(offset, bytes)` returns how many bytes it took.
    #[must_use]
    pub fn writable(
        mut self,
        store: impl Fn(u64, &[u8]) -> Result<usize, Errno> + Send + Sync + 'static,
    ) -> Self {
        if let Source::Text { store: slot, .. } = &mut self.source {
            *slot = Some(Arc::new(store));
        }
        self
    }

    /// The size that `stat` shows; 0 unless set, as in procfs.
    #[must_use]
    pub fn sized(mut self, size: u64) -> Self {
        self.size = size;
        self
    }

    /// The file as an inode.
    pub fn into_inode(self) -> Arc<dyn Inode> {
        Arc::new(self)
    }
}

impl Inode for File {
    fn kind(&self) -> Kind {
        Kind::File
    }

    fn metadata(&self) -> Metadata {
        self.attributes.metadata(Kind::File, 1, self.size)
    }

    fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    fn open(&self) -> Result<Option<Arc<dyn Content>>, Errno> {
        match &self.source {
            Source::Content(make) => make().map(Some),
            Source::Text { render, store } => {
                let (render, store) = (render.clone(), store.clone());
                let text = SpinLock::new(TEXT, None);
                Ok(Some(Arc::new(Text { render, store, text })))
            }
        }
    }
}

/// An open file with text.
struct Text {
    render: Option<Render>,
    store: Option<Store>,
    text: SpinLock<Option<Arc<[u8]>>>,
}

impl Content for Text {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let render = self.render.as_ref().ok_or(Errno::EINVAL)?;
        let kept = if offset == 0 { None } else { self.text.lock().clone() };
        let text = match kept {
            Some(text) => text,
            None => {
                let text: Arc<[u8]> = render()?.into();
                let old = self.text.lock().replace(text.clone());
                drop(old);
                text
            }
        };
        let start = usize::try_from(offset).map_or(text.len(), |offset| offset.min(text.len()));
        let length = buffer.len().min(text.len() - start);
        buffer[..length].copy_from_slice(&text[start..start + length]);
        Ok(length)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.store.as_ref().ok_or(Errno::EINVAL)?(offset, bytes)
    }
}
