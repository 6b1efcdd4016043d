//! Decompression of a body within a bound on its plain bytes.
//!
//! Memory grows with the bytes that were really inflated. A body that compresses better than
//! [`USUAL_RATIO`] is measured before more is allocated: a decompression bomb costs the time to
//! inflate the limit once, and no memory.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

use super::Coding;
use serin_core::fault::{Fault, FaultKind};

/// Of bodies that compress better, the size is found out before it is allocated. JSON of numbers
/// mostly compresses two to three times.
const USUAL_RATIO: usize = 4;

/// What is allocated without measuring, however small the body.
const TRUSTED_BYTES: usize = 256 << 10;

/// Bytes inflated at a time where they are only counted.
const SCRATCH_BYTES: usize = 32 << 10;

/// Members of one gzip body. Each costs a new decompressor, so that a body of empty ones would keep
/// a processor busy for long; block-wise writers make one for each 64 KiB or so.
const MOST_MEMBERS: usize = 1 << 16;

/// The base-2 logarithm of the largest window that a sender may have used.
const WINDOW_BITS: u8 = 15;

/// The decompression of one body.
pub struct Inflation {
    compressed: Bytes,
    stream: Stream,
    plain: Vec<u8>,
    limit: usize,
}

impl Inflation {
    /// Begins to inflate a body whose plain bytes may be `limit` in number.
    ///
    /// `deflate` is zlib's frame around deflate (RFC 9110, 8.4.1.2), and where a body does not begin
    /// with such a frame, bare deflate, which some senders mean by that name: the two cannot be
    /// confused, as encoders leave the bits of the first block that zlib's header has zero.
    pub fn new(coding: Coding, compressed: Bytes, limit: usize) -> Self {
        Self {
            stream: Stream::new(coding, compressed.clone()),
            compressed,
            plain: Vec::new(),
            limit,
        }
    }

    /// Inflates the first `bytes`, so that small bodies need no thread of their own: the plain bytes,
    /// whole and checked, or `None` if there is, or may be, more. `reserve` is asked before plain
    /// bytes are allocated, for how many in all.
    ///
    /// # Errors
    /// `Malformed` for a damaged body, `TooLarge`, and what `reserve` refuses with.
    pub fn begin(
        &mut self,
        bytes: usize,
        reserve: impl FnMut(usize) -> Result<(), Fault>,
    ) -> Result<Option<Bytes>, Fault> {
        Ok(self.grow(bytes, reserve)?.then(|| self.take_plain()))
    }

    /// Inflates the rest, however long that takes.
    ///
    /// # Errors
    /// As [`Inflation::begin`].
    pub fn finish(
        mut self,
        mut reserve: impl FnMut(usize) -> Result<(), Fault>,
    ) -> Result<Bytes, Fault> {
        let trusted = self.compressed.len().saturating_mul(USUAL_RATIO);
        let trusted = trusted.max(TRUSTED_BYTES);
        // Address space in one piece: memory comes with what is written, and nothing is moved.
        let room = trusted.min(self.limit.saturating_add(1));
        self.plain
            .reserve_exact(room.saturating_sub(self.plain.len()));
        while self.plain.len() < trusted {
            let next = (self.plain.len() * 2).max(SCRATCH_BYTES).min(trusted);
            if self.grow(next, &mut reserve)? {
                return Ok(self.take_plain());
            }
        }
        let mut scratch = vec![0; SCRATCH_BYTES];
        let mut total = self.plain.len();
        loop {
            let inflated = self.stream.fill(&mut scratch)?;
            total += inflated;
            if total > self.limit {
                return Err(too_large(self.limit));
            }
            if inflated < scratch.len() {
                break;
            }
        }
        reserve(total)?;
        self.plain = vec![0; total];
        // The checks at its end have been passed once.
        self.stream = Stream::new(self.stream.coding, self.compressed);
        self.stream.fill(&mut self.plain)?;
        Ok(Bytes::from(self.plain))
    }

    /// Inflates until there are `bytes` in all; true at the body's end.
    fn grow(
        &mut self,
        bytes: usize,
        mut reserve: impl FnMut(usize) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        // One more than is allowed tells a body of just the limit from a larger one.
        let room = bytes.min(self.limit.saturating_add(1));
        let held = self.plain.len();
        if room > held {
            reserve(room)?;
            self.plain.resize(room, 0);
        }
        let inflated = held + self.stream.fill(&mut self.plain[held..])?;
        self.plain.truncate(inflated);
        if inflated > self.limit {
            return Err(too_large(self.limit));
        }
        Ok(inflated < room)
    }

    fn take_plain(&mut self) -> Bytes {
        self.plain.shrink_to_fit();
        Bytes::from(std::mem::take(&mut self.plain))
    }
}

/// The members of a body, one after the other.
struct Stream {
    coding: Coding,
    decompress: Decompress,
    rest: Bytes,
    length: usize,
    members: usize,
    ended: bool,
}

impl Stream {
    fn new(coding: Coding, compressed: Bytes) -> Self {
        let decompress = match coding {
            Coding::Gzip => Decompress::new_gzip(WINDOW_BITS),
            Coding::Deflate => {
                Decompress::new_with_window_bits(has_zlib_header(&compressed), WINDOW_BITS)
            }
        };
        Self {
            coding,
            decompress,
            length: compressed.len(),
            rest: compressed,
            members: 1,
            ended: false,
        }
    }

    /// Fills `out` as far as there is anything to fill it with: less means that the body ends there,
    /// and is sound.
    fn fill(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        let mut filled = 0;
        while filled < out.len() && !self.ended {
            let before = (self.decompress.total_in(), self.decompress.total_out());
            let status =
                self.decompress
                    .decompress(&self.rest, &mut out[filled..], FlushDecompress::None);
            // Neither counts more than the slices hold.
            let read = (self.decompress.total_in() - before.0) as usize;
            let written = (self.decompress.total_out() - before.1) as usize;
            self.rest.advance(read);
            filled += written;
            match status {
                Ok(Status::StreamEnd) => self.next_member()?,
                Ok(_) if read == 0 && written == 0 => {
                    return Err(self.damaged("it ends in the middle"));
                }
                Ok(_) => {}
                Err(error) => {
                    return Err(self.damaged(error.message().unwrap_or("its data is corrupt")));
                }
            }
        }
        Ok(filled)
    }

    fn next_member(&mut self) -> Result<(), Fault> {
        if self.rest.is_empty() {
            self.ended = true;
            return Ok(());
        }
        match self.coding {
            Coding::Deflate => Err(self.damaged("bytes follow its end")),
            Coding::Gzip if self.members == MOST_MEMBERS => {
                Err(self.damaged("it has more than 65536 members"))
            }
            Coding::Gzip => {
                self.members += 1;
                self.decompress = Decompress::new_gzip(WINDOW_BITS);
                Ok(())
            }
        }
    }

    fn damaged(&self, why: &str) -> Fault {
        Fault::new(
            FaultKind::Malformed,
            "malformed_body",
            format!(
                "the request body is not sound {}: {why}, at byte {} of {}",
                self.coding.as_str(),
                self.length - self.rest.len(),
                self.length
            ),
        )
    }
}

/// Whether a body begins with zlib's header (RFC 1950, 2.2): method 8, a window of at most 32 KiB,
/// and a check value.
fn has_zlib_header(body: &[u8]) -> bool {
    body.first_chunk().is_some_and(|header: &[u8; 2]| {
        header[0] & 0x0f == 8
            && header[0] >> 4 <= 7
            && u16::from_be_bytes(*header).is_multiple_of(31)
    })
}

fn too_large(limit: usize) -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        "payload_too_large",
        format!("the request body is larger than {limit} bytes when inflated"),
    )
}

#[cfg(test)]
mod tests;
