//! What a benchmark prints: a table for people, or one JSON object a line.

use serde::Serialize;

/// One figure beside its baseline of the same run.
#[derive(Serialize)]
pub struct Figure {
    /// `BENCHMARK/WHAT`.
    pub name: String,
    /// Millstream's.
    pub value: f64,
    /// Of `value` and `baseline`.
    pub unit: &'static str,
    /// The baseline's; none where there is nothing to compare with.
    pub baseline: Option<f64>,
    /// `value` by `baseline`; none where that is 0: too little to be told from nothing.
    pub ratio: Option<f64>,
}

impl Figure {
    /// A figure with a baseline.
    pub fn against(name: impl Into<String>, unit: &'static str, value: f64, baseline: f64) -> Self {
        let name = name.into();
        Figure {
            name,
            value,
            unit,
            baseline: Some(baseline),
            ratio: (baseline != 0.0).then_some(value / baseline),
        }
    }

    /// A figure without one.
    pub fn alone(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Figure { name: name.into(), value, unit, baseline: None, ratio: None }
    }
}

/// Prints the figures to standard output.
pub fn print(figures: &[Figure], json: bool) -> serde_json::Result<()> {
    if json {
        for figure in figures {
            println!("{}", serde_json::to_string(figure)?);
        }
        return Ok(());
    }
    println!("{:<30} {:>14} {:>14} {:>8}  unit", "", "millstream", "baseline", "ratio");
    for Figure { name, value, unit, baseline, ratio } in figures {
        let (value, baseline) = (number(Some(*value)), number(*baseline));
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        println!("{name:<30} {value:>14} {baseline:>14} {ratio:>8}  {unit}");
    }
    Ok(())
}

/// Three decimals where they matter.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 1_000.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.3}"),
    }
}
