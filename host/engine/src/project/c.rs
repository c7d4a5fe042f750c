//! C and C++ sources in one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::{Language, Project, run_tool};
use crate::error::{Context, Result};
use crate::home::write_whole;

const C_ENDINGS: &[&str] = &["c"];
const CPP_ENDINGS: &[&str] = &["cc", "cpp", "cxx", "C"];

/// Whether the file name says C++.
pub fn is_cpp(source: &Path) -> bool {
    has_ending(source, CPP_ENDINGS)
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known))
}

/// The C and C++ sources in `folder`, sorted.
pub fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut sources: Vec<PathBuf> = fs::read_dir(folder)
        .context(|| format!("cannot list {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| has_ending(path, C_ENDINGS) || is_cpp(path))
        .collect();
    sources.sort();
    Ok(sources)
}

/// Compiles what has changed and links it: static and position-independent when the host has
/// the libraries for it, otherwise dynamic.
pub fn build(project: &Project<'_>, language: Language, output: &Path) -> Result<PathBuf> {
    let compiler = if language == Language::Cpp { "c++" } else { "cc" };
    let program = output.join(project.name);
    let stamp = output.join("command");
    let settings = format!("{compiler}\n{:?}\n", project.manifest.c);
    let is_same = fs::read_to_string(&stamp).is_ok_and(|text| text == settings);
    let built = fs::metadata(&program).and_then(|data| data.modified()).ok().filter(|_| is_same);
    let mut objects = Vec::new();
    let (mut is_changed, mut is_told) = (built.is_none(), false);
    for source in sources(project.folder)? {
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let object = output.join(format!("{name}.o"));
        let dependencies = output.join(format!("{name}.d"));
        if !is_current(project.folder, &object, &dependencies, built) {
            if !is_told {
                (project.progress)(&format!("compiling {}", project.name));
            }
            (is_told, is_changed) = (true, true);
            let compiler = if is_cpp(&source) { "c++" } else { "cc" };
            let mut command = Command::new(compiler);
            command.current_dir(project.folder).args(["-O2", "-g", "-fPIE", "-MMD", "-MF"]);
            command.arg(&dependencies).args(&project.manifest.c.flags).arg("-c").arg(&name);
            command.arg("-o").arg(&object);
            run_tool(&mut command, &format!("compile {}", source.display()))?;
        }
        objects.push(object);
    }
    if is_changed || is_stale(output, &objects, &program) {
        link(project, compiler, &objects, &program)?;
        write_whole(&stamp, settings.as_bytes())?;
    }
    Ok(program)
}

fn link(project: &Project<'_>, compiler: &str, objects: &[PathBuf], program: &Path) -> Result<()> {
    let command = |form: &str| {
        let mut command = Command::new(compiler);
        command.current_dir(project.folder).args(["-O2", form]).args(objects);
        command.args(project.manifest.c.libraries.iter().map(|name| format!("-l{name}")));
        command.args(["-pthread", "-lm", "-o"]).arg(program);
        command
    };
    // A static program starts quicker and brings nothing along; some libraries exist only as
    // shared ones.
    if command("-static-pie").output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    run_tool(&mut command("-pie"), &format!("link {}", project.name))?;
    Ok(())
}

/// Whether the object is newer than all that it was made from.
fn is_current(
    folder: &Path,
    object: &Path,
    dependencies: &Path,
    built: Option<SystemTime>,
) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let (Some(time), Some(_)) = (modified(object), built) else { return false };
    let Ok(text) = fs::read_to_string(dependencies) else { return false };
    let Some((_, names)) = text.split_once(':') else { return false };
    // The compiler ran in the project's folder.
    names
        .replace("\\\n", " ")
        .split_whitespace()
        .all(|name| modified(&folder.join(name)).is_some_and(|changed| changed < time))
}

/// Whether a source has been removed since the program was linked: then an object is too many.
fn is_stale(output: &Path, objects: &[PathBuf], program: &Path) -> bool {
    let present = fs::read_dir(output).into_iter().flatten().flatten();
    let surplus: Vec<PathBuf> = present
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension().is_some_and(|ending| ending == "o") && !objects.contains(path)
        })
        .collect();
    for object in &surplus {
        let _ = fs::remove_file(object);
    }
    !surplus.is_empty() || !program.is_file()
}
