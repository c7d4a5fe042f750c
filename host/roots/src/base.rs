//! What every root has: mount points and a minimal `/etc`.

use std::path::Path;
use std::sync::Arc;

use crate::tree::{Entry, Node, RootTree, Source};

const FOLDERS: &[(&str, u16)] = &[
    ("/dev", 0o755),
    ("/etc", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/var/tmp", 0o1777),
];

const FILES: &[(&str, &str)] = &[
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"),
    ("/etc/resolv.conf", "options timeout:2\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("/etc/hostname", "drupe\n"),
    ("/etc/host.conf", "multi on\n"),
];

/// Adds what is not there yet.
pub fn add(tree: &mut RootTree) {
    let reason: Arc<str> = "every root has it".into();
    for (path, permissions) in FOLDERS {
        let (node, reason) = (Node::Folder, Arc::clone(&reason));
        tree.insert(Path::new(path), Entry { node, permissions: *permissions, mtime: 0, reason });
    }
    for (path, text) in FILES {
        let node =
            Node::File { size: text.len() as u64, source: Source::Bytes(text.as_bytes().into()) };
        let reason = Arc::clone(&reason);
        tree.insert(Path::new(path), Entry { node, permissions: 0o644, mtime: 0, reason });
    }
}
