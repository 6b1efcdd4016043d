//! Decompression into pieces, for readers that copy a body into memory of their own: each piece is given
//! up as it is read, so that the body is not in memory twice.

use bytes::Bytes;

use super::Coding;
use super::inflate::{Portion, Stream, too_large};
use serin_core::fault::Fault;

/// Bytes of a piece; the last one may have fewer.
const PIECE_BYTES: usize = 64 << 10;

/// The decompression of one body, step by step.
pub struct PieceInflation {
    stream: Stream,
    limit: usize,
    total: usize,
    pieces: Vec<Bytes>,
    /// The piece that is being filled, and how much of it is.
    open: Vec<u8>,
    filled: usize,
}

impl PieceInflation {
    /// Begins to inflate a body as [`Inflation::new`](super::Inflation::new) does.
    pub fn new(coding: Coding, compressed: Bytes, limit: usize) -> Self {
        Self {
            stream: Stream::new(coding, compressed),
            limit,
            total: 0,
            pieces: Vec::new(),
            open: Vec::new(),
            filled: 0,
        }
    }

    /// Inflates at most one portion more: all pieces, or `None` if there is, or may be, more to do.
    /// `reserve` is asked before plain bytes are allocated, for how many in all.
    ///
    /// # Errors
    /// `Malformed` for a damaged body, `TooLarge`, and what `reserve` refuses with.
    pub fn step(
        &mut self,
        portion: Portion,
        mut reserve: impl FnMut(usize) -> Result<(), Fault>,
    ) -> Result<Option<Vec<Bytes>>, Fault> {
        let mut left = portion;
        while left.input > 0 && left.output > 0 {
            if self.filled == self.open.len() {
                self.close();
                // One more than is allowed tells a body of just the limit from a larger one.
                let room = PIECE_BYTES.min(self.limit.saturating_add(1) - self.total);
                reserve(self.total + room)?;
                self.open = vec![0; room];
            }
            let to = self.open.len().min(self.filled.saturating_add(left.output));
            let out = &mut self.open[self.filled..to];
            let inflated = self.stream.fill(out, &mut left.input)?;
            left.output -= inflated;
            self.filled += inflated;
            self.total += inflated;
            if self.total > self.limit {
                return Err(too_large(self.limit));
            }
            if self.stream.ended {
                self.close();
                return Ok(Some(std::mem::take(&mut self.pieces)));
            }
        }
        Ok(None)
    }

    fn close(&mut self) {
        let mut piece = std::mem::take(&mut self.open);
        piece.truncate(self.filled);
        self.filled = 0;
        if !piece.is_empty() {
            self.pieces.push(Bytes::from(piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use serin_core::fault::FaultKind;

    use super::super::compress;
    use super::*;

    const PORTION: Portion = Portion {
        input: 100,
        output: 10_000,
    };

    fn inflate(plain: &[u8], limit: usize) -> Result<(Vec<Bytes>, usize), Fault> {
        let packed = compress(plain, Coding::Gzip, plain.len() + 100).unwrap();
        let (mut inflation, mut most) =
            (PieceInflation::new(Coding::Gzip, packed.into(), limit), 0);
        loop {
            let step = inflation.step(PORTION, |bytes| {
                most = most.max(bytes);
                Ok(())
            })?;
            if let Some(pieces) = step {
                return Ok((pieces, most));
            }
        }
    }

    #[test]
    fn pieces_joined_are_the_body_and_were_reserved_before_they_were_there() {
        for size in [0, 1, PIECE_BYTES, 5 * PIECE_BYTES + 7] {
            let plain: Vec<u8> = (0..size).map(|at| (at / 300) as u8).collect();
            let (pieces, reserved) = inflate(&plain, 1 << 20).unwrap();
            assert_eq!(pieces.concat(), plain);
            assert!(
                reserved >= size && reserved <= size + PIECE_BYTES + 1,
                "{reserved}"
            );
        }
    }

    #[test]
    fn the_limit_is_exact() {
        for limit in [1000, PIECE_BYTES, 3 * PIECE_BYTES] {
            assert!(inflate(&vec![7; limit], limit).is_ok());
            let fault = inflate(&vec![7; limit + 1], limit).unwrap_err();
            assert_eq!(fault.kind, FaultKind::TooLarge);
        }
    }
}
