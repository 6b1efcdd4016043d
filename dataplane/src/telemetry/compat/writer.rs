//! Writes families in either text format. prometheus-client cannot write all of them: it appends
//! `_total` to every counter, and Triton's have none.

use std::fmt::Write;

use super::page::Histogram;

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
    /// A counter whose name does not, which OpenMetrics cannot tell as one.
    BareCounter,
    Gauge,
    Histogram,
}

/// A label's name, and its value as it stands on the page.
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
            self.out.extend([label, "=\"", text, "\""]);
            separator = ',';
        }
        if separator == ',' {
            self.out.push('}');
        }
        // Writing to a String does not fail.
        let _ = writeln!(self.out, " {value}");
    }

    pub(super) fn histogram(&mut self, name: &str, labels: &[Label<'_>], figures: &Histogram<'_>) {
        let bucket = format!("{name}_bucket");
        let mut with_bound = labels.to_vec();
        for (bound, count) in &figures.buckets {
            with_bound.truncate(labels.len());
            with_bound.push(("le", bound));
            self.sample(&bucket, &with_bound, *count);
        }
        self.sample(&format!("{name}_sum"), labels, figures.sum);
        self.sample(&format!("{name}_count"), labels, figures.count);
    }
}
