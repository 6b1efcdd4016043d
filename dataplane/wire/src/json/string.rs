//! Strings: borrowed from the text unless they hold an escape.

use std::borrow::Cow;

use super::{JsonError, Problem, Reader};

/// Reads the string whose opening quote is next.
pub(super) fn read<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, str>, JsonError> {
    reader.at += 1;
    let start = reader.at;
    let mut owned: Option<String> = None;
    let mut copied = start;
    loop {
        // Quotes, backslashes and control characters are ASCII: they never cut a character, so
        // slicing the text at them is always on a boundary.
        match reader.byte() {
            None => return Err(reader.error(Problem::Truncated)),
            Some(b'"') => {
                let tail = &reader.text[copied..reader.at];
                reader.at += 1;
                return Ok(match owned {
                    None => Cow::Borrowed(tail),
                    Some(mut text) => {
                        text.push_str(tail);
                        Cow::Owned(text)
                    }
                });
            }
            Some(b'\\') => {
                let text = owned.get_or_insert_default();
                text.push_str(&reader.text[copied..reader.at]);
                text.push(escape(reader)?);
                copied = reader.at;
            }
            Some(0..=0x1f) => return Err(reader.error(Problem::ControlCharacter)),
            Some(_) => reader.at += 1,
        }
    }
}

/// Reads the escape whose backslash is next.
fn escape(reader: &mut Reader<'_>) -> Result<char, JsonError> {
    reader.at += 1;
    let Some(letter) = reader.byte() else {
        return Err(reader.error(Problem::Truncated));
    };
    reader.at += 1;
    Ok(match letter {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(reader),
        _ => {
            reader.at -= 1;
            return Err(reader.error(Problem::BadEscape));
        }
    })
}

/// Reads the four digits after `\u`, and the second half of a pair.
fn unicode(reader: &mut Reader<'_>) -> Result<char, JsonError> {
    let start = reader.at;
    let lone = |at| JsonError {
        at,
        problem: Problem::LoneSurrogate,
    };
    let first = four_digits(reader)?;
    let code = match first {
        0xd800..=0xdbff => {
            if !reader.text.as_bytes()[reader.at..].starts_with(b"\\u") {
                return Err(lone(start));
            }
            reader.at += 2;
            let second = four_digits(reader)?;
            if !(0xdc00..=0xdfff).contains(&second) {
                return Err(lone(start));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        }
        other => other,
    };
    char::from_u32(code).ok_or_else(|| lone(start))
}

fn four_digits(reader: &mut Reader<'_>) -> Result<u32, JsonError> {
    let digits = reader.text.as_bytes().get(reader.at..reader.at + 4);
    let Some(digits) = digits else {
        return Err(reader.error(Problem::Truncated));
    };
    let mut code = 0;
    for digit in digits {
        let Some(value) = char::from(*digit).to_digit(16) else {
            return Err(reader.error(Problem::BadEscape));
        };
        code = code * 16 + value;
    }
    reader.at += 4;
    Ok(code)
}
