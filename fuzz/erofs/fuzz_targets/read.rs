//! Any bytes as an image: every operation, on everything that can be reached.
#![no_main]

use erofs::{Image, Kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = Image::new(bytes) else { return };
    let mut budget = 1000;
    let mut folders = vec![image.root()];
    while let Some(nid) = folders.pop() {
        let Ok(folder) = image.inode(nid) else { continue };
        let Ok(entries) = image.entries(&folder, 0) else { continue };
        for entry in entries.map_while(Result::ok) {
            budget -= 1;
            if budget < 0 {
                return;
            }
            let _ = image.lookup(&folder, entry.name);
            let Ok(inode) = image.inode(entry.nid) else { continue };
            let _ = image.readlink(&inode);
            let _ = image.read(&inode, inode.size / 2, &mut [0; 4096]);
            if let Ok(xattrs) = image.xattrs(&inode) {
                xattrs.take(100).for_each(drop);
            }
            if inode.kind == Kind::Directory && entry.name != b"." && entry.name != b".." {
                folders.push(entry.nid);
            }
        }
    }
});
