//! Symbolic links that say where they lead when they are followed.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;
use vfs::{Attachment, Inode, Kind, LinkTarget, Location, Metadata};

use crate::Attributes;

type Text = Box<dyn Fn() -> Result<Vec<u8>, Errno> + Send + Sync>;
type Jump = Box<dyn Fn() -> Result<Location, Errno> + Send + Sync>;

/// A symbolic link.
pub struct Link {
    attributes: Attributes,
    text: Text,
    jump: Option<Jump>,
    attachment: Attachment,
}

impl Link {
    /// A link that leads where its text says.
    pub fn new(
        attributes: Attributes,
        text: impl Fn() -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
    ) -> Self {
        let attachment = Attachment::new();
        Self { attributes, text: Box::new(text), jump: None, attachment }
    }

    /// Lets the link lead straight to a place; the text is only for show.
    #[must_use]
    pub fn jumping(
        mut self,
        jump: impl Fn() -> Result<Location, Errno> + Send + Sync + 'static,
    ) -> Self {
        self.jump = Some(Box::new(jump));
        self
    }

    /// The link as an inode.
    pub fn into_inode(self) -> Arc<dyn Inode> {
        Arc::new(self)
    }
}

impl Inode for Link {
    fn kind(&self) -> Kind {
        Kind::Symlink
    }

    fn metadata(&self) -> Metadata {
        self.attributes.metadata(Kind::Symlink, 1, 0)
    }

    fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        (self.text)()
    }

    fn follow(&self) -> Result<LinkTarget, Errno> {
        match &self.jump {
            Some(jump) => jump().map(LinkTarget::Jump),
            None => self.read_link().map(LinkTarget::Path),
        }
    }
}
