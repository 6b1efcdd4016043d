//! The pull reader of JSON, against serde_json and against arithmetic on paper.

use serde::de::IgnoredAny;
use serde_json::Value;
use serin_wire::json::{Integer, Problem};

use crate::Target;
use crate::decimal::{Decimal, Whole};
use crate::document::{Json, json, skip_json};

const DEPTH: usize = 100;

pub const DOCUMENT: Target = Target {
    name: "json",
    about: "the JSON reader takes what serde_json takes, and reads the same values",
    run: document,
    seeds: || {
        [
            r#"{"inputs":[{"name":"X","shape":[2,2],"data":[[1.5,-2e3],[0,1]]}],"id":"a"}"#,
            r#"["é\n\u00e9\ud83d\ude00",true,false,null,{},[],-0.0,1E+2,{"a":1,"a":2}]"#,
            r#""\ud800""#,
            "[[[[[[[[[[1]]]]]]]]]]",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    dictionary: &[
        "\\u0000",
        "\\ud83d\\ude00",
        "\\ud800",
        "\\\"",
        "true",
        "false",
        "null",
        "-0",
        "1e9",
        "1.5E-3",
        "[[[[[[[[",
        "{\"a\":",
        "]",
        "}",
        "\u{feff}",
        " \n\t\r",
    ],
    longest: 4096,
};

fn document(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let ours = json(text, DEPTH);
    assert_eq!(
        ours.as_ref().err(),
        skip_json(text, DEPTH).as_ref().err(),
        "skipping reads otherwise"
    );
    if let Err(error) = &ours {
        assert!(error.at <= text.len(), "the place is outside of the text");
    }
    // serde_json gives up at 128 levels: what nests deeper than that tells nothing.
    let grammar = serde_json::from_str::<IgnoredAny>(text);
    let deep = grammar
        .as_ref()
        .is_err_and(|error| error.to_string().contains("recursion limit"));
    match ours.as_ref().map_err(|error| error.problem.clone()) {
        Ok(_) => assert!(grammar.is_ok(), "read, but serde_json: {grammar:?}"),
        Err(Problem::TooDeep) => assert!(levels(text) > DEPTH, "not too deep"),
        // It does not look at the surrogates of what it ignores.
        Err(Problem::LoneSurrogate) => assert!(serde_json::from_str::<Value>(text).is_err()),
        Err(problem) => assert!(grammar.is_err() || deep, "refused: {problem:?}"),
    }
    if let (Ok(ours), Ok(theirs)) = (ours, serde_json::from_str::<Value>(text)) {
        compare(&ours, &theirs);
    }
}

/// An upper bound of the nesting.
fn levels(text: &str) -> usize {
    text.bytes()
        .filter(|byte| matches!(byte, b'[' | b'{'))
        .count()
}

fn compare(ours: &Json, theirs: &Value) {
    match (ours, theirs) {
        (Json::Null, Value::Null) => {}
        (Json::Bool(a), Value::Bool(b)) => assert_eq!(a, b),
        (Json::String(a), Value::String(b)) => assert_eq!(a, b),
        (Json::Number(text), Value::Number(number)) => {
            let value: f64 = text.parse().unwrap_or(f64::NAN);
            let other = number.as_f64().unwrap_or(f64::NAN);
            let close = (value - other).abs() <= value.abs() * 1e-14 + f64::MIN_POSITIVE;
            assert!(close, "{text} is {value}, not {other}");
        }
        (Json::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| compare(a, b));
        }
        (Json::Object(a), Value::Object(b)) => {
            for (name, theirs) in b {
                // Of doubles, serde_json keeps the last.
                let ours = a.iter().rev().find(|(ours, _)| ours == name);
                compare(ours.map_or(&Json::Null, |(_, value)| value), theirs);
            }
            assert!(a.iter().all(|(name, _)| b.contains_key(name)));
        }
        _ => panic!("{ours:?} is not {theirs:?}"),
    }
}

pub const INTEGER: Target = Target {
    name: "json_integer",
    about: "an integer is exact in every spelling of a JSON number, or refused",
    run: whole_number,
    seeds: || {
        [
            "0",
            "-0.0",
            "1e1",
            "1200e-2",
            "9223372036854775807.0",
            "-9223372036854775808",
            "18446744073709551615",
            "0.00e99999999999999999999",
            "1e38",
            "99999999999999999999999999999999999999",
            "0.1",
            "12.50e1",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    dictionary: &[
        "e",
        "E+",
        "e-",
        ".",
        "-",
        "000000000",
        "9223372036854775807",
        "18446744073709551616",
        "e38",
        "e99999999999999999999",
    ],
    longest: 256,
};

fn whole_number(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(Json::Number(text)) = json(text, 1) else {
        return;
    };
    let wanted = match Decimal::of(&text).whole() {
        Whole::Exactly(value) => Integer::Exact(value),
        Whole::Huge => Integer::TooLarge,
        Whole::No => Integer::Fraction,
    };
    assert_eq!(Integer::of(&text), wanted, "{text}");
}
