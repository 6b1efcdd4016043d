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

/// The most that one step of a decompression reads and writes. Both are bounded: a body of empty blocks
/// is read for long and gives nothing, a bomb gives much for little.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    /// Compressed bytes.
    pub input: usize,
    /// Plain bytes.
    pub output: usize,
}

impl Portion {
    /// A whole body at once.
    pub const ALL: Self = Self {
        input: usize::MAX,
        output: usize::MAX,
    };
}

/// The decompression of one body, step by step.
pub struct Inflation {
    compressed: Bytes,
    stream: Stream,
    plain: Vec<u8>,
    limit: usize,
    phase: Phase,
}

enum Phase {
    /// Plain bytes are kept.
    Growing,
    /// Plain bytes are counted.
    Counting { total: usize, scratch: Vec<u8> },
    /// The counted bytes are written to memory of their size; so many are there.
    Filling { at: usize },
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
            phase: Phase::Growing,
        }
    }

    /// Inflates at most one portion more: the plain bytes, whole and checked, or `None` if there is,
    /// or may be, more to do. `reserve` is asked before plain bytes are allocated, for how many in
    /// all.
    ///
    /// # Errors
    /// `Malformed` for a damaged body, `TooLarge`, and what `reserve` refuses with.
    pub fn step(
        &mut self,
        portion: Portion,
        mut reserve: impl FnMut(usize) -> Result<(), Fault>,
    ) -> Result<Option<Bytes>, Fault> {
        let mut left = portion;
        while left.input > 0 && left.output > 0 {
            let whole = match self.phase {
                Phase::Growing => self.grow(&mut left, &mut reserve)?,
                Phase::Counting { .. } => self.count(&mut left, &mut reserve)?,
                Phase::Filling { at } => self.fill(at, &mut left)?,
            };
            if whole {
                return Ok(Some(self.take_plain()));
            }
        }
        Ok(None)
    }

    /// Of a body that compresses well, so many bytes are allocated before it is measured.
    fn trusted(&self) -> usize {
        let trusted = self.compressed.len().saturating_mul(USUAL_RATIO);
        // One more than is allowed tells a body of just the limit from a larger one.
        trusted.max(TRUSTED_BYTES).min(self.limit.saturating_add(1))
    }

    /// Inflates more plain bytes; true at the body's end.
    fn grow(
        &mut self,
        left: &mut Portion,
        reserve: &mut impl FnMut(usize) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        let (held, trusted) = (self.plain.len(), self.trusted());
        if held >= trusted {
            let scratch = vec![0; SCRATCH_BYTES];
            self.phase = Phase::Counting {
                total: held,
                scratch,
            };
            return Ok(false);
        }
        let room = held
            .saturating_mul(2)
            .max(SCRATCH_BYTES)
            .min(held.saturating_add(left.output))
            .min(trusted);
        reserve(room)?;
        if held > 0 {
            // Address space in one piece: memory comes with what is written, and nothing is moved.
            self.plain.reserve_exact(trusted - held);
        }
        self.plain.resize(room, 0);
        let inflated = self.stream.fill(&mut self.plain[held..], &mut left.input)?;
        self.plain.truncate(held + inflated);
        left.output -= inflated;
        if self.plain.len() > self.limit {
            return Err(too_large(self.limit));
        }
        Ok(self.stream.ended)
    }

    /// Counts more plain bytes; never the end, as they are still to be written.
    fn count(
        &mut self,
        left: &mut Portion,
        reserve: &mut impl FnMut(usize) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        let Phase::Counting { total, scratch } = &mut self.phase else {
            return Ok(false);
        };
        let room = scratch.len().min(left.output);
        let inflated = self.stream.fill(&mut scratch[..room], &mut left.input)?;
        left.output -= inflated;
        *total += inflated;
        let total = *total;
        if total > self.limit {
            return Err(too_large(self.limit));
        }
        if self.stream.ended {
            // The first bytes are given up before memory for all is taken.
            self.plain = Vec::new();
            reserve(total)?;
            self.plain = vec![0; total];
            self.stream = Stream::new(self.stream.coding, self.compressed.clone());
            self.phase = Phase::Filling { at: 0 };
        }
        Ok(false)
    }

    /// Writes more of the counted bytes; true when all are there. The checks at the body's end have
    /// been passed once.
    fn fill(&mut self, at: usize, left: &mut Portion) -> Result<bool, Fault> {
        let to = self.plain.len().min(at.saturating_add(left.output));
        let inflated = self.stream.fill(&mut self.plain[at..to], &mut left.input)?;
        left.output -= inflated;
        let at = at + inflated;
        self.phase = Phase::Filling { at };
        Ok(at == self.plain.len())
    }

    fn take_plain(&mut self) -> Bytes {
        self.plain.shrink_to_fit();
        Bytes::from(std::mem::take(&mut self.plain))
    }
}

/// The members of a body, one after the other.
pub(super) struct Stream {
    coding: Coding,
    decompress: Decompress,
    rest: Bytes,
    length: usize,
    members: usize,
    /// The body is sound and has ended.
    pub(super) ended: bool,
}

impl Stream {
    pub(super) fn new(coding: Coding, compressed: Bytes) -> Self {
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

    /// Fills `out` from at most `input` compressed bytes, which are counted off; less where the body
    /// ends, or where `input` does.
    pub(super) fn fill(&mut self, out: &mut [u8], input: &mut usize) -> Result<usize, Fault> {
        let mut filled = 0;
        while filled < out.len() && !self.ended && *input > 0 {
            let before = (self.decompress.total_in(), self.decompress.total_out());
            let next = &self.rest[..self.rest.len().min(*input)];
            let status =
                self.decompress
                    .decompress(next, &mut out[filled..], FlushDecompress::None);
            // Neither counts more than the slices hold.
            let read = (self.decompress.total_in() - before.0) as usize;
            let written = (self.decompress.total_out() - before.1) as usize;
            self.rest.advance(read);
            *input -= read;
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

pub(super) fn too_large(limit: usize) -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        "payload_too_large",
        format!("the request body is larger than {limit} bytes when inflated"),
    )
}

#[cfg(test)]
mod tests;
