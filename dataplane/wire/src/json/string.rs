//! Strings: borrowed from the text unless they hold an escape.

use std::borrow::Cow;

use super::error::{JsonError, Problem};
use crate::room::Room;

/// Reads the string whose opening quote is at `at`, which is then after its closing quote. A string
/// with an escape is copied, for which `room` is asked first.
pub(super) fn read<'a>(
    text: &'a str,
    at: &mut usize,
    room: &Room<'_>,
) -> Result<Cow<'a, str>, JsonError> {
    *at += 1;
    let start = *at;
    if plain(text, at)? == b'"' {
        let whole = &text[start..*at];
        *at += 1;
        return Ok(Cow::Borrowed(whole));
    }
    let longest = longest(text, start, *at);
    let refused = |fault| error(start, Problem::NoRoom(Box::new(fault)));
    room.copy(longest).map_err(refused)?;
    let mut owned = String::with_capacity(longest);
    let mut copied = start;
    loop {
        let end = plain(text, at)?;
        owned.push_str(&text[copied..*at]);
        if end == b'"' {
            *at += 1;
            return Ok(Cow::Owned(owned));
        }
        owned.push(escape(text, at)?);
        copied = *at;
    }
}

/// Checks the string whose opening quote is at `at`, without a copy.
pub(super) fn skip(text: &str, at: &mut usize) -> Result<(), JsonError> {
    *at += 1;
    while plain(text, at)? != b'"' {
        escape(text, at)?;
    }
    *at += 1;
    Ok(())
}

/// Moves `at` to the next quote or backslash, which is returned.
///
/// Quotes, backslashes and control characters are ASCII: they never cut a character, so slicing the
/// text at them is always on a boundary.
#[inline]
fn plain(text: &str, at: &mut usize) -> Result<u8, JsonError> {
    loop {
        match text.as_bytes().get(*at).copied() {
            None => return Err(error(*at, Problem::Truncated)),
            Some(end @ (b'"' | b'\\')) => return Ok(end),
            Some(0..=0x1f) => return Err(error(*at, Problem::ControlCharacter)),
            Some(_) => *at += 1,
        }
    }
}

/// Most bytes of a string that begins at `start` and has its first escape at `at`: an escape takes
/// more bytes than what it stands for.
fn longest(text: &str, start: usize, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    let mut escapes = 0;
    loop {
        match bytes.get(at) {
            None | Some(b'"') => return at.min(bytes.len()) - start - escapes,
            Some(b'\\') if at + 1 < bytes.len() => {
                escapes += 1;
                at += 2;
            }
            Some(_) => at += 1,
        }
    }
}

fn error(at: usize, problem: Problem) -> JsonError {
    JsonError { at, problem }
}

/// Reads the escape whose backslash is next.
fn escape(text: &str, at: &mut usize) -> Result<char, JsonError> {
    *at += 1;
    let Some(letter) = text.as_bytes().get(*at).copied() else {
        return Err(error(*at, Problem::Truncated));
    };
    *at += 1;
    Ok(match letter {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text, at),
        _ => {
            *at -= 1;
            return Err(error(*at, Problem::BadEscape));
        }
    })
}

/// Reads the four digits after `\u`, and the second half of a pair.
fn unicode(text: &str, at: &mut usize) -> Result<char, JsonError> {
    let start = *at;
    let lone = |at| error(at, Problem::LoneSurrogate);
    let first = four_digits(text, at)?;
    let code = match first {
        0xd800..=0xdbff => {
            if !text.as_bytes()[*at..].starts_with(b"\\u") {
                return Err(lone(start));
            }
            *at += 2;
            let second = four_digits(text, at)?;
            if !(0xdc00..=0xdfff).contains(&second) {
                return Err(lone(start));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        }
        other => other,
    };
    char::from_u32(code).ok_or_else(|| lone(start))
}

fn four_digits(text: &str, at: &mut usize) -> Result<u32, JsonError> {
    let digits = text.as_bytes().get(*at..*at + 4);
    let Some(digits) = digits else {
        return Err(error(*at, Problem::Truncated));
    };
    let mut code = 0;
    for digit in digits {
        let Some(value) = char::from(*digit).to_digit(16) else {
            return Err(error(*at, Problem::BadEscape));
        };
        code = code * 16 + value;
    }
    *at += 4;
    Ok(code)
}
