//! The figures as JSON, as a table for a terminal and as a table for docs/benchmarks.md.

use std::fmt::Write;

use serde_json::{Value, json};

/// What must hold of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Ours divided by the reference is at most this.
    RatioAtMost(f64),
    /// Ours divided by the reference is at least this.
    RatioAtLeast(f64),
    /// Ours is below this.
    Below(f64),
    /// Ours is above this.
    Above(f64),
    /// Printed, not judged.
    None,
}

/// One figure.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) ours: f64,
    pub(crate) reference: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
    /// How it was measured, and what else was seen.
    pub(crate) note: String,
}

#[derive(Clone, Copy)]
pub(crate) enum Format {
    Table,
    Json,
    Markdown,
}

impl Figure {
    fn ratio(&self) -> Option<f64> {
        self.reference.map(|reference| self.ours / reference)
    }

    fn met(&self) -> Option<bool> {
        match self.target {
            Target::RatioAtMost(bound) => Some(self.ratio().is_some_and(|ratio| ratio <= bound)),
            Target::RatioAtLeast(bound) => Some(self.ratio().is_some_and(|ratio| ratio >= bound)),
            Target::Below(bound) => Some(self.ours < bound),
            Target::Above(bound) => Some(self.ours > bound),
            Target::None => None,
        }
    }

    fn target(&self) -> Option<String> {
        match self.target {
            Target::RatioAtMost(bound) => Some(format!("ratio <= {bound}")),
            Target::RatioAtLeast(bound) => Some(format!("ratio >= {bound}")),
            Target::Below(bound) => Some(format!("< {bound} {}", self.unit)),
            Target::Above(bound) => Some(format!("> {bound} {}", self.unit)),
            Target::None => None,
        }
    }

    fn cells(&self) -> [String; 7] {
        [
            self.name.to_owned(),
            shown(self.ours),
            self.reference.map_or_else(String::new, shown),
            self.unit.to_owned(),
            self.ratio().map_or_else(String::new, |r| format!("{r:.2}")),
            self.target().unwrap_or_default(),
            match self.met() {
                Some(true) => "yes".to_owned(),
                Some(false) => "NO".to_owned(),
                None => String::new(),
            },
        ]
    }
}

const COLUMNS: [&str; 7] = [
    "figure",
    "ours",
    "reference",
    "unit",
    "ratio",
    "target",
    "met",
];

fn shown(number: f64) -> String {
    let decimals = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{number:.decimals$}")
}

pub(crate) fn render(format: Format, figures: &[Figure], machine: &Value) -> String {
    match format {
        Format::Json => json_text(figures, machine),
        Format::Table => table(figures, machine, false),
        Format::Markdown => table(figures, machine, true),
    }
}

fn json_text(figures: &[Figure], machine: &Value) -> String {
    let figures: Vec<Value> = figures
        .iter()
        .map(|figure| {
            json!({
                "name": figure.name,
                "ours": figure.ours,
                "reference": figure.reference,
                "unit": figure.unit,
                "ratio": figure.ratio(),
                "target": figure.target(),
                "met": figure.met(),
                "note": figure.note,
            })
        })
        .collect();
    format!("{:#}\n", json!({"figures": figures, "machine": machine}))
}

fn table(figures: &[Figure], machine: &Value, markdown: bool) -> String {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(figures.iter().map(Figure::cells));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let (edge, between) = if markdown { ("|", " | ") } else { ("", "  ") };
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let line = format!("{edge} {} {edge}", padded.join(between));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim());
        if markdown && number == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            let _ = writeln!(text, "| {} |", rule.join(" | "));
        }
    }
    text.push('\n');
    for figure in figures.iter().filter(|figure| !figure.note.is_empty()) {
        let bullet = if markdown { "- " } else { "" };
        let _ = writeln!(text, "{bullet}{}: {}", figure.name, figure.note);
    }
    let field = |name: &str| machine.get(name).map(plain).unwrap_or_default();
    let _ = writeln!(
        text,
        "\nMachine: {}, {} cores, Linux {}, {}; load average {} (1 and 5 minutes, at the end).",
        field("cpu"),
        field("cores"),
        field("kernel"),
        field("filesystem"),
        field("load"),
    );
    text
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
