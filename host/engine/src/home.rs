//! Where drupe keeps what it makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};

/// The one folder that holds drupe's caches and state. It can be moved or deleted as a whole.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// The home that the environment asks for: `DRUPE_HOME`, otherwise `drupe` in the user's
    /// data folder (`XDG_DATA_HOME`, otherwise `~/.local/share`).
    ///
    /// # Errors
    /// When the environment names no home at all.
    pub fn from_environment() -> Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = if let Some(path) = variable("DRUPE_HOME") {
            PathBuf::from(path)
        } else if let Some(data) = variable("XDG_DATA_HOME") {
            Path::new(&data).join("drupe")
        } else if let Some(home) = variable("HOME") {
            Path::new(&home).join(".local/share/drupe")
        } else {
            return Err(Error::new("no folder for drupe's data is known")
                .hint("set DRUPE_HOME to a folder that drupe may write to"));
        };
        Ok(Self { path })
    }

    /// A home at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself; it need not exist yet.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder `name` in the home, created when it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder)
            .map_err(|error| unwritable(format!("cannot create {}", folder.display()), error))?;
        Ok(folder)
    }

    /// Whether files can be made here.
    pub(crate) fn spool_check(&self) -> std::io::Result<()> {
        self.spool().map(|_| ())
    }

    /// An empty file without a name: it vanishes when it is closed.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn spool(&self) -> std::io::Result<fs::File> {
        let folder = self.path.join("tmp");
        fs::create_dir_all(&folder)?;
        let path = unfinished(&folder.join("spool"));
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }
}

/// A name beside `path` that nobody else uses at this time.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{}-{number}.part", std::process::id()))
}

/// Writes `path` so that other processes see either the old file or the whole new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = unfinished(path);
    fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path)).map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        unwritable(format!("cannot write {}", path.display()), error)
    })
}

/// The error for something in the home that cannot be written: `message` says what.
pub(crate) fn unwritable(message: String, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let hint = match error.kind() {
        StorageFull | QuotaExceeded => {
            "make room there (drupe prune removes what can be made again), or set DRUPE_HOME to a \
             folder on another disk"
        }
        _ => "set DRUPE_HOME to a folder that drupe may write to",
    };
    Error::new(message).because(error).hint(hint)
}

/// Whether the process that has made up the name of an [unfinished] file is gone.
pub(crate) fn writer_is_gone(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let writer = name.rsplit('.').next().and_then(|part| part.split('-').next());
    let Some(writer) = writer.and_then(|number| number.parse().ok()) else { return false };
    let Some(writer) = rustix::process::Pid::from_raw(writer) else { return false };
    rustix::process::test_kill_process(writer) == Err(rustix::io::Errno::SRCH)
}
