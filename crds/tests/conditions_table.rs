//! `docs/conditions.md` names the conditions and reasons that the code has, in the same order.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use serin_crds::{ConditionType, Reason};

/// The first column of the rows below a heading, and that no cell of theirs is empty.
fn table(text: &str, heading: &str) -> Vec<String> {
    let section = text.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
            cells[0].trim_matches('`').to_owned()
        })
        .collect()
}

#[test]
fn the_documented_conditions_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conditions.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        table(&text, "Types"),
        ConditionType::ALL.map(ConditionType::as_str)
    );
    assert_eq!(table(&text, "Reasons"), Reason::ALL.map(Reason::as_str));
}
