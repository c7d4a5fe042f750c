//! Passes the linker script: the image lies at a fixed physical address and carries a note for
//! boot loaders.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo:rustc-link-arg-bins=-T{folder}/link.ld");
        // One bit for each address instead of 24 bytes; equal functions only once.
        println!("cargo:rustc-link-arg-bins=--pack-dyn-relocs=relr");
        println!("cargo:rustc-link-arg-bins=--icf=all");
    }
}
