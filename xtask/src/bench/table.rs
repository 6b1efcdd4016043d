//! Figures with names.
use std::fmt;

use serde_json::{Map, Value};

/// A table as Markdown and as JSON.
#[derive(Debug)]
pub struct Table {
    pub title: String,
    /// The first names the rows.
    pub columns: Vec<&'static str>,
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Table {
    pub fn json(&self) -> Value {
        let row = |(name, values): &(String, Vec<Option<f64>>)| {
            let cells = self
                .columns
                .iter()
                .skip(1)
                .zip(values)
                .map(|(column, value)| ((*column).to_owned(), Value::from(*value)));
            (name.clone(), Value::Object(cells.collect()))
        };
        let rows: Map<String, Value> = self.rows.iter().map(row).collect();
        serde_json::json!({"title": self.title, "rows": rows})
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "| {} |", self.columns.join(" | "))?;
        writeln!(
            f,
            "|---|{}",
            "---:|".repeat(self.columns.len().saturating_sub(1))
        )?;
        for (name, values) in &self.rows {
            let cells: Vec<String> = values
                .iter()
                .map(|value| value.map_or_else(|| "-".into(), digits))
                .collect();
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value that half of the others are below. NaN of none.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The smallest value that at least `percent` of all are not above. NaN of none.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(median(&values), 3.0);
        assert_eq!(percentile(&values, 95), 5.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_table_is_markdown_and_json() {
        let table = Table {
            title: "Idle".into(),
            columns: vec!["server", "MiB"],
            rows: vec![
                ("serin".into(), vec![Some(12.345)]),
                ("other".into(), vec![None]),
            ],
        };
        assert_eq!(
            table.to_string(),
            "Idle\n\n| server | MiB |\n|---|---:|\n| serin | 12.3 |\n| other | - |\n"
        );
        assert_eq!(table.json()["rows"]["serin"]["MiB"], 12.345);
    }
}
