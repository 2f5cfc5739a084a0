//! A report's body: the text that is filed, and whose digest goes with it.

use millstream_udf::prelude::*;
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::totals::{Sum, Totals, hex};

/// The body, in the order in which it is written.
#[derive(Debug, Serialize)]
pub struct Body<'a> {
    pub report: &'a str,
    pub subject: &'a str,
    pub period: &'a str,
    pub version: u32,
    pub currency: &'a str,
    pub lines: Vec<Line<'a>>,
    pub classes: Vec<Class<'a>>,
    pub inputs: Inputs,
}

/// A line of the report.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    pub code: &'a str,
    #[serde(flatten)]
    pub sum: Sum,
    pub reported: bool,
    pub reason: &'static str,
}

/// What one class of records adds up to. The classes add up to the inputs.
#[derive(Debug, Serialize)]
pub struct Class<'a> {
    pub class: &'a str,
    #[serde(flatten)]
    pub sum: Sum,
    /// Whether a line holds it.
    pub in_report: bool,
}

/// All records of the period.
#[derive(Debug, Serialize)]
pub struct Inputs {
    #[serde(flatten)]
    pub sum: Sum,
    pub digest: String,
}

impl<'a> Body<'a> {
    /// The next version of a period's report.
    pub fn new(
        subject: &'a str,
        period: &'a str,
        totals: &'a Totals,
        config: &'a Config,
    ) -> Result<Self> {
        let mut lines = Vec::new();
        for line in &config.lines {
            let sum = totals.of(|class| line.classes.iter().any(|of| of == class))?;
            let (reported, reason) = match line.threshold_minor {
                None => (true, "always"),
                Some(threshold) if sum.total_minor > threshold => (true, "above_threshold"),
                Some(_) => (false, "not_above_threshold"),
            };
            lines.push(Line { code: &line.code, sum, reported, reason });
        }
        let in_report =
            |class: &str| config.lines.iter().any(|line| line.classes.iter().any(|of| of == class));
        let classes = totals.classes.iter().map(|(class, sum)| Class {
            class,
            sum: *sum,
            in_report: in_report(class),
        });
        Ok(Self {
            report: &config.report,
            subject,
            period,
            version: totals.versions + 1,
            currency: config.currency.code(),
            lines,
            classes: classes.collect(),
            inputs: Inputs { sum: totals.all()?, digest: totals.digest() },
        })
    }

    /// Whether there is a line to report.
    pub fn is_due(&self) -> bool {
        self.lines.iter().any(|line| line.reported)
    }

    /// The text, and its SHA-256 in hexadecimal.
    pub fn sealed(&self) -> Result<(String, String)> {
        let text = serde_json::to_string(self)?;
        let digest = hex(&Sha256::digest(&text));
        Ok((text, digest))
    }
}
