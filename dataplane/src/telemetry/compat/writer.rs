//! Writes families in either text format. prometheus-client cannot write all of them: it appends
//! `_total` to every counter, and Triton's have none.

use std::fmt::Write;

use crate::telemetry::metrics::Figures;

/// Where families are written to.
pub(super) struct Writer<'o> {
    pub(super) out: &'o mut String,
    /// OpenMetrics rather than the classic format.
    pub(super) open: bool,
}

/// What a family is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Its name ends in `_total`.
    Counter,
    /// A counter whose name does not end so, which OpenMetrics has no type for.
    BareCounter,
    Gauge,
    Histogram,
}

/// A label's name and value.
pub(super) type Label<'l> = (&'l str, &'l str);

impl Writer<'_> {
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let (word, name) = match (kind, self.open) {
            (Kind::Counter, true) => ("counter", name.strip_suffix("_total").unwrap_or(name)),
            (Kind::BareCounter, true) => ("unknown", name),
            (Kind::Counter | Kind::BareCounter, false) => ("counter", name),
            (Kind::Gauge, _) => ("gauge", name),
            (Kind::Histogram, _) => ("histogram", name),
        };
        let out = &mut *self.out;
        out.extend([
            "# HELP ",
            name,
            " ",
            help,
            ".\n# TYPE ",
            name,
            " ",
            word,
            "\n",
        ]);
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: f64) {
        self.out.push_str(name);
        let mut separator = '{';
        for (label, text) in labels {
            self.out.push(separator);
            self.out.extend([label, "=\""]);
            self.escaped(text);
            self.out.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.out.push('}');
        }
        // Writing to a String does not fail.
        let _ = writeln!(self.out, " {value}");
    }

    fn escaped(&mut self, text: &str) {
        for char in text.chars() {
            match char {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                char => self.out.push(char),
            }
        }
    }

    pub(super) fn histogram(&mut self, name: &str, labels: &[Label<'_>], figures: &Figures) {
        let bucket = format!("{name}_bucket");
        let mut up_to_bound = 0;
        for (bound, count) in figures.buckets() {
            up_to_bound += count;
            let bound = if bound.is_finite() {
                // With a digit behind the point, as Serin's own histograms.
                format!("{bound:?}")
            } else {
                "+Inf".to_owned()
            };
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(&bucket, &labels, up_to_bound as f64);
        }
        self.sample(&format!("{name}_sum"), labels, figures.sum());
        self.sample(&format!("{name}_count"), labels, figures.count() as f64);
    }
}
