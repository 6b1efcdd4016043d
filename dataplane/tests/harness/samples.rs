//! A page of metrics as values, so that tests need not know how a line is written.

use std::collections::BTreeMap;

/// The samples of a page, by name and labels.
#[derive(Debug)]
pub struct Samples(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Samples {
    /// Reads a page in either text format.
    ///
    /// # Panics
    /// Where a line is no sample, or is there twice.
    pub fn read(page: &str) -> Self {
        let mut samples = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let (name, labels) = match series.split_once('{') {
                None => (series, BTreeMap::new()),
                Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect(line))),
            };
            let value = value.parse().expect(line);
            let before = samples.insert((name.to_owned(), labels), value);
            assert_eq!(before, None, "a series is there twice: {line}");
        }
        Self(samples)
    }

    /// The value of the series with exactly these labels.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let owned = |(label, text): &(&str, &str)| ((*label).to_owned(), (*text).to_owned());
        let labels = labels.iter().map(owned).collect();
        self.0.get(&(name.to_owned(), labels)).copied()
    }

    /// The labels and values of all series of this name.
    pub fn series<'s>(
        &'s self,
        name: &str,
    ) -> impl Iterator<Item = (&'s BTreeMap<String, String>, f64)> {
        let series = self.0.iter().filter(move |((other, _), _)| other == name);
        series.map(|((_, labels), value)| (labels, *value))
    }

    /// The sum of the series that have at least these labels; 0 where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |of: &BTreeMap<String, String>| {
            let same = |(label, text): &(&str, &str)| of.get(*label).is_some_and(|own| own == text);
            labels.iter().all(same)
        };
        let found = self.series(name).filter(|(of, _)| has(of));
        found.fold(0.0, |sum, (_, value)| sum + value)
    }
}

/// Labels as they stand between the braces.
fn labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while let Some((label, value)) = rest.split_once("=\"") {
        let mut plain = String::new();
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().expect("a closing quote") {
                (at, '"') => break at + 1,
                (_, '\\') => plain.push(match chars.next().expect("an escaped character").1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => plain.push(other),
            }
        };
        labels.insert(label.to_owned(), plain);
        rest = value[end..].trim_start_matches(',');
    }
    labels
}
