//! `cargo xtask clickbench`: packets per second of processor time of our Click, beside
//! those of the original where it is there.
//!
//! Both run the same configuration text with 64-byte frames on one thread, in turn, several
//! times; the medians count. Ours gives every packet a buffer of its own; the original's
//! source shares one buffer among all packets and copies it when an element writes to it.

mod cases;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use self::cases::Case;
use crate::process;

/// How the command is used.
pub const USAGE: &str = "\
  clickbench [--peer FILE] [--conf DIR] [--binary FILE] [--rounds N] [filter...]
                    measure our Click, beside the program FILE of the original; DIR is
                    the original's folder of configurations; a filter is a part of a
                    measurement's name
";

/// Runs the command.
pub fn command(arguments: &[&str]) -> Result<()> {
    let (mut peer, mut conf, mut binary) = (None, None, None);
    let mut rounds = 3;
    let mut filters = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
        match *argument {
            "--peer" => peer = Some(PathBuf::from(value()?).canonicalize()?),
            "--conf" => conf = Some(PathBuf::from(value()?).canonicalize()?),
            "--binary" => binary = Some(PathBuf::from(value()?).canonicalize()?),
            "--rounds" => rounds = value()?.parse::<usize>()?.max(1),
            option if option.starts_with('-') => bail!("unknown option `{option}`"),
            filter => filters.push(filter),
        }
    }
    let binary = match binary {
        Some(binary) => binary,
        None => {
            process::check(process::cargo().args(["build", "--release", "-p", "drupe-click"]))?;
            process::root().join("target/release/drupe-click")
        }
    };
    let work = process::root().join("target/clickbench");
    std::fs::create_dir_all(&work)?;
    // Called `click`, our program takes the same arguments as the original.
    let ours = work.join("click");
    let _ = std::fs::remove_file(&ours);
    std::os::unix::fs::symlink(&binary, &ours)?;

    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|part| name.contains(part));
    println!("{:<34} {:>9} {:>9} {:>7}  goal", "M packets / CPU s", "ours", "peer", "ratio");
    let mut missed = 0;
    for case in cases::compared(conf.as_deref())? {
        if chosen(case.name) {
            missed += usize::from(!compare(&case, &ours, peer.as_deref(), &work, rounds)?);
        }
    }
    for scale in cases::scales(&work)? {
        if chosen(scale.name) {
            missed += usize::from(!grow(&scale, &ours, &work, rounds)?);
        }
    }
    if missed > 0 {
        bail!("{missed} goals missed");
    }
    Ok(())
}

/// What a run took.
#[derive(Clone, Copy)]
struct Run {
    /// Processor time, in seconds.
    processor: f64,
    /// Time on the wall, in seconds.
    wall: f64,
    /// Resident memory before the router ended, in bytes; 0 if it did not say.
    memory: f64,
}

/// Runs a configuration and reads the times that it prints.
fn run(program: &Path, case: &Case, packets: u64, work: &Path) -> Result<Run> {
    let file = work.join("case.click");
    std::fs::write(&file, (case.text)(packets))?;
    let output = Command::new(program)
        .arg("-t")
        .args(case.options)
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {} failed: {errors}", case.name, program.display());
    }
    // `1.234u 0.010s 0:01.25`
    let line = text.lines().find(|line| line.contains("u ") && line.contains("s "));
    let line = line.with_context(|| format!("{}: no times in {text:?}", case.name))?;
    let mut words = line.split_whitespace();
    let mut seconds = |end: char| -> Option<f64> {
        words.next().and_then(|word| word.trim_end_matches(end).parse().ok())
    };
    let processor = seconds('u').zip(seconds('s')).map(|(user, system)| user + system);
    let wall = words.next().and_then(|word| {
        let (minutes, seconds) = word.split_once(':')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    });
    let memory = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = memory.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    Ok(Run {
        processor: processor.context("no processor time")?,
        wall: wall.context("no wall time")?,
        memory: memory.unwrap_or(0.0) * 1024.0,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn verdict(fine: bool) -> &'static str {
    if fine { "" } else { "  MISSED" }
}

/// Measures ours and the peer's in turn. Says whether the goal was met.
fn compare(
    case: &Case,
    ours: &Path,
    peer: Option<&Path>,
    work: &Path,
    rounds: usize,
) -> Result<bool> {
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        own.push(case.packets as f64 / run(ours, case, case.packets, work)?.processor / 1e6);
        if let Some(peer) = peer {
            // The original is slower: fewer packets take as long.
            let packets = case.packets / 3;
            other.push(packets as f64 / run(peer, case, packets, work)?.processor / 1e6);
        }
    }
    let own = median(own);
    if other.is_empty() {
        println!("{:<34} {own:>9.2}", case.name);
        return Ok(true);
    }
    let other = median(other);
    let ratio = own / other;
    let fine = ratio >= case.goal;
    println!(
        "{:<34} {own:>9.2} {other:>9.2} {ratio:>7.2}  >= {}{}",
        case.name,
        case.goal,
        verdict(fine)
    );
    Ok(fine)
}

/// Measures how rate and memory change from a small case to a large one.
fn grow(scale: &cases::Scale, ours: &Path, work: &Path, rounds: usize) -> Result<bool> {
    let mut ratios = Vec::new();
    let mut rates = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..rounds {
        let rate = |case: &Case| -> Result<(f64, f64)> {
            // The difference of two runs leaves out what happens once.
            let (less, more) = (case.packets / 2, case.packets);
            let (first, second) = (run(ours, case, less, work)?, run(ours, case, more, work)?);
            let time = if scale.wall {
                second.wall - first.wall
            } else {
                second.processor - first.processor
            };
            Ok(((more - less) as f64 / time.max(1e-3) / 1e6, second.memory))
        };
        let (small, before) = rate(&scale.small)?;
        let (large, after) = rate(&scale.large)?;
        ratios.push(small / large);
        rates.push((small, large));
        memory.push((after - before) / scale.items);
    }
    let (ratio, memory) = (median(ratios), median(memory));
    let (small, large) = rates[rates.len() / 2];
    let mut fine = ratio >= scale.least && ratio <= scale.most;
    let goal = if scale.least > 0.0 {
        format!(">= {}", scale.least)
    } else {
        format!("<= {}", scale.most)
    };
    print!("{:<34} {small:>9.2} {large:>9.2} {ratio:>7.2}  {goal}", scale.name);
    if let Some(most) = scale.memory {
        fine &= memory <= most;
        print!(", {memory:.1} bytes each <= {most}");
    }
    println!("{}", verdict(fine));
    Ok(fine)
}
