//! The kernel for the process platform: started by `drupe`, not by hand.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
plat_hosted::entry!(kernel_image::main, kernel_image::last_words);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this kernel is built for x86_64-unknown-none; `drupe run` does that");
}
