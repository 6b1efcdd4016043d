//! What is wrong with a manifest, where, and what would be right.

use std::fmt;
use std::sync::Arc;

use serde_saphyr::Location;

/// Characters of a source line or a value that a message shows.
const SHOWN: usize = 120;

/// A manifest as it was read.
#[derive(Debug)]
pub(super) struct Source {
    /// The file's name as the user gave it.
    pub(super) name: String,
    pub(super) text: String,
}

/// Where something stands in a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1; 0 where the parser could not tell.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// First byte and number of bytes, where the parser told.
    bytes: Option<(usize, usize)>,
}

impl Place {
    pub(super) fn of(location: &Location) -> Self {
        let span = location.span();
        let bytes = span.byte_offset().zip(span.byte_len());
        Self {
            line: location.line(),
            column: location.column(),
            bytes: bytes.and_then(|(start, length)| {
                Some((start.try_into().ok()?, length.try_into().ok()?))
            }),
        }
    }
}

/// One fault of one manifest. Its text is one line, then the source line where there is one.
#[derive(Clone, Debug)]
pub struct Problem(Box<Fault>);

#[derive(Clone, Debug)]
struct Fault {
    source: Option<Arc<Source>>,
    file: String,
    place: Option<Place>,
    field: String,
    found: Option<String>,
    wrong: String,
    help: String,
}

impl Problem {
    /// A fault of a file as a whole: it is not there, too large, holds nothing.
    pub fn of_file(
        file: impl Into<String>,
        wrong: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self(Box::new(Fault {
            source: None,
            file: file.into(),
            place: None,
            field: String::new(),
            found: None,
            wrong: wrong.into(),
            help: help.into(),
        }))
    }

    pub(super) fn at(
        source: &Arc<Source>,
        place: Place,
        field: &str,
        wrong: impl Into<String>,
    ) -> Self {
        Self(Box::new(Fault {
            source: Some(Arc::clone(source)),
            file: source.name.clone(),
            place: Some(place),
            field: field.to_owned(),
            found: None,
            wrong: wrong.into(),
            help: String::new(),
        }))
    }

    /// What stands there now; none for a list, a mapping or nothing at all.
    pub(super) fn found(mut self, found: impl Into<Option<String>>) -> Self {
        self.0.found = found.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = help.into();
        self
    }

    /// The file, as the user named it.
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// The line, from 1; `None` for a fault of the file as a whole.
    pub fn line(&self) -> Option<u64> {
        self.0.place.map(|place| place.line)
    }

    /// The field's path, `spec.model.source.uri`; empty for a fault of the file or its syntax.
    pub fn field(&self) -> &str {
        &self.0.field
    }

    /// Faults in the order of files and lines.
    pub(super) fn sort(problems: &mut [Self]) {
        problems.sort_by(|a, b| (&a.0.file, a.0.place).cmp(&(&b.0.file, b.0.place)));
    }

    fn snippet(&self) -> Option<(u64, String, usize, usize)> {
        let (source, place) = (self.0.source.as_ref()?, self.0.place?);
        let index = usize::try_from(place.line.checked_sub(1)?).ok()?;
        let line: Vec<char> = source.text.lines().nth(index)?.chars().collect();
        let column = usize::try_from(place.column)
            .ok()?
            .saturating_sub(1)
            .min(line.len());
        let from = column.saturating_sub(SHOWN / 2);
        let to = line.len().min(from + SHOWN);
        let marked = place
            .bytes
            .and_then(|(start, length)| source.text.get(start..start + length))
            .map_or(1, |text| {
                text.lines()
                    .next()
                    .unwrap_or_default()
                    .trim_end()
                    .chars()
                    .count()
            });
        let shown = line[from..to]
            .iter()
            .map(|c| if c.is_control() { ' ' } else { *c });
        Some((
            place.line,
            shown.collect(),
            column - from,
            marked.clamp(1, SHOWN),
        ))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.file)?;
        if let Some(place) = self.0.place.filter(|place| place.line > 0) {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        f.write_str(": ")?;
        if !self.0.field.is_empty() {
            write!(f, "{}: ", self.0.field)?;
        }
        f.write_str(&self.0.wrong)?;
        if let Some(found) = &self.0.found {
            write!(f, ", found {found}")?;
        }
        if !self.0.help.is_empty() {
            write!(f, "; {}", self.0.help)?;
        }
        if let Some((line, text, column, marked)) = self.snippet() {
            write!(
                f,
                "\n{line:>5} | {text}\n      | {:column$}{}",
                "",
                "^".repeat(marked)
            )?;
        }
        Ok(())
    }
}

/// Every fault of the manifests that were read, in the order of files and lines; never empty.
#[derive(Clone, Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// The text at `place` as it stands in the file, where it is on one line and short.
pub(super) fn source_text(source: &Source, place: Place) -> Option<&str> {
    let (start, length) = place
        .bytes
        .filter(|(_, length)| *length > 0 && *length <= SHOWN)?;
    let text = source.text.get(start..start.checked_add(length)?)?;
    (!text.contains('\n')).then_some(text)
}

/// A text, quoted, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
