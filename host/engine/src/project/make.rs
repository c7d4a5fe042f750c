//! Projects that bring their own build: make, CMake, or a command in `drupe.toml`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drupe_roots::ElfFile;

use super::{Project, run_tool};
use crate::error::{Error, Result};

/// Runs `make` in the project's folder.
pub fn make(project: &Project<'_>) -> Result<PathBuf> {
    (project.progress)(&format!("building {} with make", project.name));
    let mut command = Command::new("make");
    command.current_dir(project.folder).arg(format!("-j{}", cpus()));
    run_tool(&mut command, &format!("build {}", project.folder.display()))?;
    find_program(project, project.folder)
}

/// Configures and builds with CMake in `output`.
pub fn cmake(project: &Project<'_>, output: &Path) -> Result<PathBuf> {
    if !output.join("CMakeCache.txt").is_file() {
        (project.progress)(&format!("building {} with CMake", project.name));
        let mut command = Command::new("cmake");
        command.arg("-S").arg(project.folder).arg("-B").arg(output);
        command.arg("-DCMAKE_BUILD_TYPE=RelWithDebInfo");
        run_tool(&mut command, &format!("configure {}", project.folder.display()))?;
    }
    let mut command = Command::new("cmake");
    command.arg("--build").arg(output).args(["--parallel", &cpus().to_string()]);
    run_tool(&mut command, &format!("build {}", project.folder.display()))?;
    find_program(project, output)
}

/// Runs the command that `drupe.toml` gives.
pub fn run_command(project: &Project<'_>, command: &str) -> Result<PathBuf> {
    (project.progress)(&format!("building {}", project.name));
    let mut shell = Command::new("sh");
    shell.current_dir(project.folder).args(["-c", command]);
    run_tool(&mut shell, &format!("run the build command of {}", project.folder.display()))?;
    find_program(project, project.folder)
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The program that was built in `folder`: the one that `drupe.toml` names, the only one, or
/// the one with the project's name.
fn find_program(project: &Project<'_>, folder: &Path) -> Result<PathBuf> {
    if project.manifest.program.is_some() {
        return project.named_program();
    }
    let mut programs = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() && !name.starts_with('.') && name != "CMakeFiles" {
                waiting.push(path);
            } else if kind.is_file() && is_program(&path) {
                programs.push(path);
            }
        }
    }
    programs.sort();
    if let [only] = &programs[..] {
        return Ok(only.clone());
    }
    let same_name =
        programs.iter().find(|path| path.file_name().is_some_and(|name| name == project.name));
    if let Some(path) = same_name {
        return Ok(path.clone());
    }
    let hint = "say which in drupe.toml: program = \"PATH\"";
    if programs.is_empty() {
        return Err(
            Error::new(format!("the build has made no program in {}", folder.display())).hint(hint)
        );
    }
    let names: Vec<String> = programs.iter().map(|path| path.display().to_string()).collect();
    Err(Error::new(format!("the build has made several programs: {}", names.join(", "))).hint(hint))
}

/// Whether `path` is an executable ELF file and no library.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let is_executable = fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o111 != 0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_executable
        && !name.ends_with(".so")
        && !name.contains(".so.")
        && matches!(ElfFile::open(path), Ok(Ok(_)))
}
