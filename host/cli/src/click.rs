//! `drupe click`, and drupe under the names of Click's programs.

use std::ffi::OsString;

use clap::Args;

/// Run, check and talk to Click routers
#[derive(Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct Click {
    /// Command and its options; `drupe click help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Click {
    /// Hands everything to Click's command, whose options are those that scripts know.
    pub fn execute(self) -> u8 {
        let program = std::iter::once(OsString::from("drupe"));
        drupe_click::run(&program.chain(self.arguments).collect::<Vec<_>>())
    }
}

/// Acts as one of Click's programs if drupe was called by its name. Gives the exit status.
pub fn by_name() -> Option<u8> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let name = std::path::Path::new(arguments.first()?).file_name()?.to_str()?;
    drupe_click::is_program(name).then(|| drupe_click::run(&arguments))
}
