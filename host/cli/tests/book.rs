//! The examples of the book: every `console` block of docs/src and the README is typed, and shows
//! what it says.
//!
//! A line that begins with `$ ` is a command, given to a shell in a folder with a copy of
//! `examples`; the lines up to the next are what it prints. A line of `…` stands for any lines, one that ends with
//! `…` for all that begin so.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::Place;

struct Example {
    page: String,
    command: String,
    printed: Vec<String>,
}

/// The examples of a page.
fn examples(page: &Path) -> Vec<Example> {
    let text = fs::read_to_string(page).unwrap();
    let name = page.file_name().unwrap().to_string_lossy().into_owned();
    let mut found: Vec<Example> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        match line.strip_prefix("$ ") {
            Some(command) => found.push(Example {
                page: name.clone(),
                command: command.to_owned(),
                printed: Vec::new(),
            }),
            None => found.last_mut().expect("a command first").printed.push(line.to_owned()),
        }
    }
    found
}

/// Whether lines are as the book says.
fn matches(wanted: &[String], seen: &[&str]) -> bool {
    match wanted.split_first() {
        None => seen.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=seen.len()).any(|skipped| matches(rest, &seen[skipped..]))
        }
        Some((first, rest)) => {
            let is_it = |line: &&str| match first.strip_suffix('…') {
                Some(start) => line.starts_with(start),
                None => line == first,
            };
            seen.first().is_some_and(is_it) && matches(rest, &seen[1..])
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" {
            copy_folder(&path, &to.join(name));
        } else if path.is_file() {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn what_the_book_shows_is_what_happens() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages: Vec<PathBuf> = fs::read_dir(checkout.join("docs/src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    pages.push(checkout.join("README.md"));
    pages.sort();
    let place = Place::new();
    copy_folder(&checkout.join("examples"), &place.path("examples"));
    let drupe = Path::new(env!("CARGO_BIN_EXE_drupe")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(drupe.to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.unwrap();
    let mut count = 0;
    for example in pages.iter().flat_map(|page| examples(page)) {
        let home = place.drupe_with_kernels();
        let output = Command::new("sh")
            .args(["-c", &format!("{{ {}\n}} 2>&1", example.command)])
            .current_dir(place.path(""))
            .envs(home.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("PATH", &path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        // What a first run has to say beside it.
        let is_progress = |line: &&str| {
            ["drupe: building ", "drupe: compiling ", "drupe: making "]
                .iter()
                .any(|start| line.starts_with(start))
        };
        let seen: Vec<&str> = text.lines().filter(|line| !is_progress(line)).collect();
        let Example { page, command, printed } = &example;
        assert!(
            matches(printed, &seen),
            "{page}: {command} printed {seen:#?} instead of {printed:#?}"
        );
        count += 1;
    }
    assert!(count >= 8, "only {count} examples were found");
}
