//! Figures, their targets, and how they are shown.

use anyhow::{Result, bail};
use serde_json::{Value, json};

/// How figures are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    Table,
    /// One JSON document.
    Json,
}

impl Format {
    /// The format called `name`.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            other => bail!("no such output `{other}`: table or json"),
        }
    }
}

struct Figure {
    group: &'static str,
    name: String,
    value: f64,
    unit: &'static str,
    /// The most that is wanted.
    target: Option<f64>,
    /// What it is made of.
    parts: String,
}

/// What was measured, in order.
#[derive(Default)]
pub struct Figures {
    group: &'static str,
    figures: Vec<Figure>,
    unmeasured: Vec<(&'static str, String)>,
}

impl Figures {
    /// What comes next belongs to this group.
    pub fn group(&mut self, name: &'static str) {
        self.group = name;
    }

    /// Adds a figure; `target` is the most that is wanted, `parts` says what it is made of.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: Option<f64>,
        parts: impl Into<String>,
    ) {
        let (name, parts) = (name.into(), parts.into());
        self.figures.push(Figure { group: self.group, name, value, unit, target, parts });
    }

    /// Something of the present group could not be measured.
    pub fn unmeasured(&mut self, why: &str) {
        self.unmeasured.push((self.group, why.to_owned()));
    }

    /// Prints everything to standard output.
    pub fn print(&self, format: Format) {
        match format {
            Format::Table => print!("{}", self.table()),
            Format::Json => println!("{:#}", self.json()),
        }
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{:<9}{:<26}{:>12} {:<8}{:>9}  {:<8}parts\n",
            "group", "figure", "value", "unit", "target", ""
        );
        for figure in &self.figures {
            let target = figure.target.map_or_else(String::new, |target| format!("{target}"));
            text += &format!(
                "{:<9}{:<26}{:>12.*} {:<8}{target:>9}  {:<8}{}\n",
                figure.group,
                figure.name,
                if figure.value < 10.0 { 2 } else { 1 },
                figure.value,
                figure.unit,
                figure.verdict(),
                figure.parts,
            );
        }
        for (group, why) in &self.unmeasured {
            text += &format!("{group:<9}not measured: {why}\n");
        }
        text
    }

    fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "group": figure.group,
                    "name": figure.name,
                    "value": figure.value,
                    "unit": figure.unit,
                    "target": figure.target,
                    "met": figure.is_met(),
                    "parts": figure.parts,
                })
            })
            .collect();
        let unmeasured: Vec<Value> = self
            .unmeasured
            .iter()
            .map(|(group, why)| json!({ "group": group, "why": why }))
            .collect();
        json!({ "figures": figures, "unmeasured": unmeasured })
    }
}

impl Figure {
    fn is_met(&self) -> Option<bool> {
        self.target.map(|target| self.value <= target)
    }

    fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        }
    }
}

/// The middle one of some values; of an even number, the lower middle. NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_shows() {
        let mut figures = Figures::default();
        figures.group("boot");
        figures.add("fast", 10.0, "ms", Some(10.0), "");
        figures.add("slow", 10.5, "ms", Some(10.0), "");
        figures.add("other", 1.0, "ms", None, "");
        let met: Vec<_> = figures.figures.iter().map(Figure::is_met).collect();
        assert_eq!(met, [Some(true), Some(false), None]);
        assert!(figures.table().contains("MISSED"));
        assert_eq!(figures.json()["figures"][1]["met"], false);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.0);
        assert!(median(&[]).is_nan());
    }
}
