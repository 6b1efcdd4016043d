use proptest::prelude::*;

use super::*;
use crate::room::within;

fn read<T>(text: &str, depth: usize, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
    within(
        0,
        |_| Ok(()),
        |room| read(&mut Reader::new(text, depth, room)),
    )
}

fn skim(text: &str, depth: usize) -> Result<()> {
    read(text, depth, |reader| {
        reader.skip()?;
        reader.end()
    })
}

#[test]
fn depth_is_counted_from_the_root() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(skim(&nested(100), 100), Ok(()));
    let error = skim(&nested(101), 100).unwrap_err();
    assert_eq!(
        error,
        JsonError {
            at: 100,
            problem: Problem::TooDeep
        }
    );
    let objects = format!("{}1{}", "{\"a\":".repeat(101), "}".repeat(101));
    assert_eq!(skim(&objects, 100).unwrap_err().problem, Problem::TooDeep);
}

#[test]
fn lone_surrogates_are_refused_and_pairs_read() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\u0041""#,
        r#""\ud800x""#,
        r#"{"\udfff":1}"#,
    ] {
        assert_eq!(
            skim(text, 9).unwrap_err().problem,
            Problem::LoneSurrogate,
            "{text}"
        );
    }
    let text = r#""a\ud83d\ude00\n\u00e9""#;
    let found = read(text, 9, |reader| reader.owned_string().unwrap());
    assert_eq!(found, "a😀\né");
}

#[test]
fn strings_without_escapes_are_borrowed() {
    read("\"héllo\"", 9, |reader| {
        assert!(matches!(reader.string(), Ok(Cow::Borrowed("héllo"))));
    });
}

/// Text that looks like JSON more often than random bytes do.
fn json_like() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"a\""),
        Just("\""),
        Just("\\u0041"),
        Just("\"\\n\\u00e9\""),
        Just("1"),
        Just("-0"),
        Just("01"),
        Just("1.5e3"),
        Just("1."),
        Just(".5"),
        Just("-"),
        Just("1e"),
        Just("true"),
        Just("false"),
        Just("null"),
        Just("nul"),
        Just(" "),
        Just("\n"),
        Just("\u{1}"),
        Just("é"),
        Just("NaN"),
    ];
    prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

fn agrees_with_serde_json(text: &str) {
    let ours = skim(text, 100);
    let theirs = serde_json::from_str::<serde_json::Value>(text);
    // serde_json refuses numbers beyond f64; whether a number fits its datatype is decided later.
    let out_of_range = |error: &serde_json::Error| error.to_string().contains("out of range");
    match theirs {
        Err(error) if out_of_range(&error) => {}
        theirs => assert_eq!(
            ours.is_ok(),
            theirs.is_ok(),
            "{text:?}: {ours:?} against {theirs:?}"
        ),
    }
}

proptest! {
    #[test]
    fn the_grammar_is_that_of_serde_json(text in json_like()) {
        agrees_with_serde_json(&text);
    }

    #[test]
    fn any_text_is_read_or_refused_as_serde_json_does(text: String) {
        agrees_with_serde_json(&text);
    }

    #[test]
    fn strings_read_back_what_serde_json_wrote(text: String) {
        let written = serde_json::to_string(&text).unwrap();
        let found = read(&written, 9, |reader| reader.owned_string().unwrap());
        prop_assert_eq!(found, text);
    }

    #[test]
    fn integers_agree_with_the_standard_library(value: i128) {
        let expected = if value.to_string().trim_start_matches('-').len() <= 38 {
            Integer::Exact(value)
        } else {
            Integer::of(&value.to_string())
        };
        prop_assert_eq!(Integer::of(&value.to_string()), expected);
    }
}
