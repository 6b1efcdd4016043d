//! Our own page, read again.

use std::collections::HashMap;

/// The samples of a page, by model and version.
pub(super) struct Page<'a> {
    /// Configured models, in the order of their names.
    pub(super) models: Vec<Model<'a>>,
}

/// The samples of one version of a model.
pub(super) struct Model<'a> {
    /// Label values, escaped as they stand on the page.
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    samples: Vec<Sample<'a>>,
}

struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

/// A histogram's figures, summed over series with the same buckets.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Histogram<'a> {
    /// Upper bounds as text, and the counts up to each.
    pub(super) buckets: Vec<(&'a str, f64)>,
    pub(super) sum: f64,
    pub(super) count: f64,
}

impl<'a> Page<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        let mut models: Vec<Model<'a>> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some(sample) = Sample::read(line) else {
                continue;
            };
            let (Some(name), Some(version)) = (sample.label("model"), sample.label("version"))
            else {
                continue;
            };
            let place = *places.entry((name, version)).or_insert_with(|| {
                models.push(Model {
                    name,
                    version,
                    samples: Vec::new(),
                });
                models.len() - 1
            });
            models[place].samples.push(sample);
        }
        // What callers ask of models that do not exist is nobody's load.
        models.retain(|model| model.has("serin_requests_in_flight"));
        models.sort_by_key(|model| (model.name, model.version));
        Self { models }
    }

    pub(super) fn sum(&self, name: &str, only: &[(&str, &str)]) -> f64 {
        // Not `sum`, whose sum of nothing is -0.
        let values = self.models.iter().map(|model| model.sum(name, only));
        values.fold(0.0, |sum, value| sum + value)
    }

    pub(super) fn histogram(&self, name: &str, only: &[(&str, &str)]) -> Histogram<'a> {
        let mut histogram = Histogram::default();
        for model in &self.models {
            model.add_to(&mut histogram, name, only);
        }
        histogram
    }
}

impl<'a> Model<'a> {
    fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }

    /// The sum of the samples of this name that have `only` these label values.
    pub(super) fn sum(&self, name: &str, only: &[(&str, &str)]) -> f64 {
        self.samples
            .iter()
            .filter(|sample| sample.name == name && sample.has(only))
            .fold(0.0, |sum, sample| sum + sample.value)
    }

    /// Adds the histograms of this name that have `only` these label values.
    pub(super) fn add_to(&self, sum: &mut Histogram<'a>, name: &str, only: &[(&str, &str)]) {
        for sample in self.samples.iter().filter(|sample| sample.has(only)) {
            match sample.name.strip_prefix(name) {
                Some("_sum") => sum.sum += sample.value,
                Some("_count") => sum.count += sample.value,
                Some("_bucket") => {
                    let bound = sample.label("le").unwrap_or_default();
                    match sum.buckets.iter_mut().find(|(other, _)| *other == bound) {
                        Some((_, count)) => *count += sample.value,
                        // A page has a series' buckets in ascending order.
                        None => sum.buckets.push((bound, sample.value)),
                    }
                }
                _ => {}
            }
        }
    }
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{')?;
        Some(Self {
            name,
            labels: labels.strip_suffix('}')?,
            value: value.parse().ok()?,
        })
    }

    fn has(&self, only: &[(&str, &str)]) -> bool {
        only.iter()
            .all(|(label, value)| self.label(label) == Some(value))
    }

    /// A label's value, escaped as it stands. Inside of a value a quote has a backslash before it,
    /// so `label="` at a start or after a comma is a label.
    fn label(&self, label: &str) -> Option<&'a str> {
        let mut from = 0;
        while let Some(at) = self.labels[from..].find(label) {
            let (start, end) = (from + at, from + at + label.len());
            from = end;
            let begins = start == 0 || self.labels.as_bytes()[start - 1] == b',';
            if let (true, Some(value)) = (begins, self.labels[end..].strip_prefix("=\"")) {
                return value.get(..closing_quote(value)?);
            }
        }
        None
    }
}

fn closing_quote(value: &str) -> Option<usize> {
    let mut escaped = false;
    value.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_with_quotes_commas_and_other_labels_names_are_read_as_they_stand() {
        let line = r#"serin_requests_in_flight{model="a\",version=\"x,\\",version="1"} 3"#;
        let page = Page::read(line);
        assert_eq!(page.models[0].name, r#"a\",version=\"x,\\"#);
        assert_eq!(page.models[0].version, "1");
        assert_eq!(page.sum("serin_requests_in_flight", &[]), 3.0);
    }

    #[test]
    fn models_that_are_not_configured_are_nobodys() {
        let text = "serin_requests_total{model=\"_unknown\",version=\"_unknown\"} 5\n";
        assert!(Page::read(text).models.is_empty());
    }

    #[test]
    fn histograms_are_summed_bucket_by_bucket() {
        let text = "\
serin_requests_in_flight{model=\"a\",version=\"1\"} 0
h_sum{model=\"a\",version=\"1\",p=\"x\"} 1.5
h_count{model=\"a\",version=\"1\",p=\"x\"} 2
h_bucket{model=\"a\",version=\"1\",p=\"x\",le=\"1.0\"} 1
h_bucket{model=\"a\",version=\"1\",p=\"x\",le=\"+Inf\"} 2
h_bucket{model=\"a\",version=\"1\",p=\"y\",le=\"1.0\"} 4
h_bucket{model=\"a\",version=\"1\",p=\"y\",le=\"+Inf\"} 4
h_sum{model=\"a\",version=\"1\",p=\"y\"} 1
h_count{model=\"a\",version=\"1\",p=\"y\"} 4
";
        let page = Page::read(text);
        let expected = Histogram {
            buckets: vec![("1.0", 5.0), ("+Inf", 6.0)],
            sum: 2.5,
            count: 6.0,
        };
        assert_eq!(page.histogram("h", &[]), expected);
        assert_eq!(page.histogram("h", &[("p", "y")]).count, 4.0);
    }
}
