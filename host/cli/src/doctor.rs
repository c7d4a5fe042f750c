//! `drupe doctor`.

use anyhow::Result;
use clap::Args;
use drupe_engine::Home;
use drupe_engine::doctor::{Verdict, examine};

use crate::values::Format;

/// Look at what this host can do for drupe
#[derive(Args)]
pub struct Doctor {
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

impl Doctor {
    /// Prints what was found; fails when something is missing that drupe needs.
    pub fn execute(self) -> Result<u8> {
        let checks = examine(&Home::from_environment()?);
        let word = |verdict| match verdict {
            Verdict::Good => "good",
            Verdict::Limited => "limited",
            Verdict::Bad => "bad",
        };
        match self.output {
            Format::Text => {
                for check in &checks {
                    println!("{:<8} {:<17} {}", word(check.verdict), check.name, check.found);
                    if !check.advice.is_empty() {
                        println!("{:<26} {}", "", check.advice);
                    }
                }
            }
            Format::Json => {
                let checks: Vec<serde_json::Value> = checks
                    .iter()
                    .map(|check| {
                        serde_json::json!({
                            "name": check.name,
                            "verdict": word(check.verdict),
                            "found": check.found,
                            "advice": check.advice,
                        })
                    })
                    .collect();
                println!("{}", serde_json::Value::from(checks));
            }
        }
        let is_bad = checks.iter().any(|check| check.verdict == Verdict::Bad);
        Ok(if is_bad { 1 } else { 0 })
    }
}
