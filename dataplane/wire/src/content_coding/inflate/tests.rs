use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::super::compress;
use super::*;

const LIMIT: usize = 8 << 20;

fn packed(plain: &[u8], coding: Coding) -> Vec<u8> {
    compress(plain, coding, plain.len() + plain.len() / 8 + 64).unwrap()
}

/// Inflates, and tells the most that was reserved.
fn inflate(
    coding: Coding,
    compressed: &[u8],
    limit: usize,
    at_first: usize,
) -> (Result<Bytes, Fault>, usize) {
    let mut most = 0;
    let mut reserve = |bytes: usize| {
        most = most.max(bytes);
        Ok(())
    };
    let mut inflation = Inflation::new(coding, Bytes::copy_from_slice(compressed), limit);
    let first = Portion {
        input: at_first,
        output: at_first,
    };
    let mut result = inflation.step(first, &mut reserve);
    while let Ok(None) = result {
        result = inflation.step(Portion::ALL, &mut reserve);
    }
    (result.map(|plain| plain.expect("the loop has ended")), most)
}

fn plain(coding: Coding, compressed: &[u8]) -> Result<Bytes, &'static str> {
    inflate(coding, compressed, LIMIT, 1 << 16)
        .0
        .map_err(|fault| fault.code)
}

fn bare_deflate(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + 64);
    let mut stream = Compress::new(Compression::default(), false);
    stream
        .compress_vec(plain, &mut out, FlushCompress::Finish)
        .unwrap();
    out
}

#[test]
fn deflate_is_read_with_zlibs_frame_and_without() {
    let text = br#"{"inputs":[{"name":"x"}]}"#;
    assert_eq!(
        plain(Coding::Deflate, &packed(text, Coding::Deflate)).unwrap(),
        text[..]
    );
    for level in 0..=9 {
        let mut out = Vec::with_capacity(1024);
        let mut stream = Compress::new(Compression::new(level), false);
        stream
            .compress_vec(text, &mut out, FlushCompress::Finish)
            .unwrap();
        assert!(!has_zlib_header(&out), "level {level}");
        assert_eq!(
            plain(Coding::Deflate, &out).unwrap(),
            text[..],
            "level {level}"
        );
    }
    // The frame's check value is checked.
    let mut damaged = packed(text, Coding::Deflate);
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(plain(Coding::Deflate, &damaged), Err("malformed_body"));
}

#[test]
fn all_members_of_a_gzip_body_are_read_and_nothing_else() {
    let members = [&b"{\"a\""[..], b"", b":1}"].map(|part| packed(part, Coding::Gzip));
    let body = members.concat();
    assert_eq!(plain(Coding::Gzip, &body).unwrap(), b"{\"a\":1}"[..]);
    for garbage in [
        &b"x"[..],
        b"\0\0\0\0",
        b"\x1f\x8b",
        &body[..12],
        &bare_deflate(b"{}"),
    ] {
        let with_more = [&body[..], garbage].concat();
        assert_eq!(plain(Coding::Gzip, &with_more), Err("malformed_body"));
    }
    let with_more = [packed(b"{}", Coding::Deflate), b"x".to_vec()].concat();
    assert_eq!(plain(Coding::Deflate, &with_more), Err("malformed_body"));
}

#[test]
fn more_members_than_anyone_writes_are_refused() {
    let empty = packed(b"", Coding::Gzip);
    assert_eq!(plain(Coding::Gzip, &empty.repeat(1000)).unwrap(), b""[..]);
    let many = empty.repeat(MOST_MEMBERS + 1);
    let fault = inflate(Coding::Gzip, &many, LIMIT, 1 << 16).0.unwrap_err();
    assert!(fault.message.contains("65536 members"), "{fault}");
}

#[test]
fn a_body_that_is_cut_off_or_empty_or_plain_is_refused_with_the_place() {
    for coding in [Coding::Gzip, Coding::Deflate] {
        let whole = packed(&b"ab".repeat(500), coding);
        for length in 0..whole.len() {
            assert_eq!(plain(coding, &whole[..length]), Err("malformed_body"));
        }
        assert_eq!(plain(coding, b"{\"inputs\":[]}"), Err("malformed_body"));
    }
    let fault = inflate(Coding::Gzip, b"plain", LIMIT, 1 << 16)
        .0
        .unwrap_err();
    assert!(fault.message.contains("not sound gzip"), "{fault}");
    assert!(fault.message.ends_with("of 5"), "{fault}");
}

#[test]
fn the_limit_is_exact() {
    for coding in [Coding::Gzip, Coding::Deflate] {
        for at_first in [1, 1 << 16, LIMIT * 2] {
            let fits = packed(&vec![b' '; LIMIT], coding);
            assert_eq!(
                inflate(coding, &fits, LIMIT, at_first).0.unwrap().len(),
                LIMIT
            );
            let over = packed(&vec![b' '; LIMIT + 1], coding);
            let fault = inflate(coding, &over, LIMIT, at_first).0.unwrap_err();
            assert_eq!(fault.kind, FaultKind::TooLarge);
        }
    }
}

#[test]
fn a_bomb_is_refused_without_its_memory() {
    let bomb = packed(&vec![0; 64 << 20], Coding::Gzip);
    assert!(bomb.len() < 400 << 10, "{}", bomb.len());
    let (result, most) = inflate(Coding::Gzip, &bomb, 48 << 20, 1 << 16);
    assert_eq!(result.unwrap_err().kind, FaultKind::TooLarge);
    assert!(
        most <= 4 * bomb.len().max(TRUSTED_BYTES),
        "{most} bytes reserved"
    );
}

#[test]
fn a_body_that_may_not_be_held_is_refused_as_the_holder_says() {
    let body = packed(&vec![0; 1 << 20], Coding::Gzip);
    let refuse = |bytes: usize| {
        if bytes <= 1 << 19 {
            return Ok(());
        }
        Err(Fault::new(FaultKind::Overloaded, "overloaded", "too much"))
    };
    let mut inflation = Inflation::new(Coding::Gzip, Bytes::from(body), LIMIT);
    let first = Portion {
        input: 1 << 16,
        output: 1 << 16,
    };
    assert_eq!(inflation.step(first, refuse).unwrap(), None);
    let fault = inflation.step(Portion::ALL, refuse).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Overloaded);
}

/// A gzip body of empty dynamic blocks: none gives a byte, and each has its own code tables to build.
fn empty_blocks(blocks: usize) -> Vec<u8> {
    let (mut bits, mut out) = (Vec::new(), vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let push = |bits: &mut Vec<bool>, value: u32, count: u32| {
        bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
    };
    for block in 0..blocks {
        push(&mut bits, u32::from(block + 1 == blocks), 1);
        // Dynamic codes; one literal code and the end of the block, one distance, 18 code lengths.
        push(&mut bits, 2, 2);
        push(&mut bits, 0, 5);
        push(&mut bits, 0, 5);
        push(&mut bits, 14, 4);
        // In the order 16, 17, 18, 0, 8, 7, ...: 18 has one bit, 0 and 1 have two.
        for at in 0..18 {
            push(
                &mut bits,
                [0, 0, 1, 2]
                    .get(at)
                    .copied()
                    .unwrap_or(if at == 17 { 2 } else { 0 }),
                3,
            );
        }
        // 138 and 118 times no code, then a code of one bit for the end, and none for distances.
        push(&mut bits, 0, 1);
        push(&mut bits, 127, 7);
        push(&mut bits, 0, 1);
        push(&mut bits, 107, 7);
        push(&mut bits, 0b11, 2);
        push(&mut bits, 0b01, 2);
        push(&mut bits, 0, 1);
    }
    for byte in bits.chunks(8) {
        out.push(
            byte.iter()
                .rev()
                .fold(0, |all, bit| all << 1 | u8::from(*bit)),
        );
    }
    // The check value and the size of no bytes.
    out.extend([0; 8]);
    out
}

#[test]
fn a_step_reads_no_more_than_its_portion_although_nothing_comes_out() {
    let body = empty_blocks(10_000);
    assert!(body.len() > 100_000, "{}", body.len());
    assert_eq!(plain(Coding::Gzip, &body).unwrap(), b""[..]);
    let mut inflation = Inflation::new(Coding::Gzip, body.clone().into(), LIMIT);
    let portion = Portion {
        input: 1000,
        output: 1 << 16,
    };
    let mut steps = 0;
    let whole = loop {
        let before = inflation.stream.rest.len();
        let step = inflation.step(portion, |_| Ok(())).unwrap();
        assert!(before - inflation.stream.rest.len() <= 1000);
        steps += 1;
        if let Some(whole) = step {
            break whole;
        }
    };
    assert!(whole.is_empty());
    assert_eq!(steps, body.len().div_ceil(1000));
}

#[test]
fn a_step_writes_no_more_than_its_portion() {
    for size in [100_000, 3 << 20] {
        let body = packed(&vec![b' '; size], Coding::Gzip);
        let mut inflation = Inflation::new(Coding::Gzip, body.into(), LIMIT);
        let portion = Portion {
            input: usize::MAX,
            output: 1 << 14,
        };
        let mut steps = 1;
        while inflation.step(portion, |_| Ok(())).unwrap().is_none() {
            steps += 1;
        }
        assert!(steps >= size >> 14, "{steps} for {size}");
    }
}

/// Bytes that compress somewhat, much, or not at all.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0usize..60_000).prop_map(|(byte, count)| vec![byte; count]),
        (0u32..3000).prop_map(|count| (0..count)
            .flat_map(|n| format!("{n},").into_bytes())
            .collect()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_was_compressed_comes_back(content in content(), gzip: bool, at_first in 1usize..100_000) {
        let coding = if gzip { Coding::Gzip } else { Coding::Deflate };
        let (result, most) = inflate(coding, &packed(&content, coding), LIMIT, at_first);
        prop_assert_eq!(&result.unwrap()[..], &content[..]);
        let bound = (4 * content.len()).max(at_first + 1).max(TRUSTED_BYTES);
        prop_assert!(most <= bound, "{} reserved for {}", most, content.len());
    }

    #[test]
    fn members_may_be_cut_anywhere(content in content(), cuts in prop::collection::vec(0.0..1.0f64, 0..5)) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| (cut * content.len() as f64) as usize).collect();
        places.extend([0, content.len()]);
        places.sort_unstable();
        let body: Vec<u8> = places
            .windows(2)
            .flat_map(|pair| packed(&content[pair[0]..pair[1]], Coding::Gzip))
            .collect();
        prop_assert_eq!(&plain(Coding::Gzip, &body).unwrap()[..], &content[..]);
    }

    #[test]
    fn any_bytes_are_inflated_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), gzip: bool) {
        let coding = if gzip { Coding::Gzip } else { Coding::Deflate };
        let (result, _) = inflate(coding, &bytes, 1000, 64);
        if let Ok(plain) = result {
            prop_assert!(plain.len() <= 1000);
        }
    }

    #[test]
    fn a_flipped_bit_of_gzip_is_never_other_content(content in content(), place in 10.0..1e9f64, bit in 0u8..8) {
        let mut body = packed(&content, Coding::Gzip);
        let place = place as usize % body.len();
        body[place] ^= 1 << bit;
        if let Ok(plain) = plain(Coding::Gzip, &body) {
            prop_assert_eq!(&plain[..], &content[..]);
        }
    }
}
