//! Lines of an input without holding more than one, and never one that is too long.

use std::io::{self, Read};

const CHUNK: usize = 256 * 1024;

/// A line without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// Longer than the limit, and skipped.
    Oversized,
}

/// Splits an input into lines. Memory is bounded by the limit on a line plus one chunk.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
    ended: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input, buffer: vec![0; CHUNK], start: 0, end: 0, limit, ended: false }
    }

    /// The next line; `None` at the end. After an error the rest of the line begun is lost.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let pending = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', &pending[searched..]) {
                let (from, to) = (self.start, self.start + searched + at);
                self.start = to + 1;
                return Ok(Some(self.line(from, to)));
            }
            searched = pending.len();
            if self.ended {
                let (from, to) = (self.start, self.end);
                self.start = self.end;
                return Ok((from < to).then(|| self.line(from, to)));
            }
            if searched > self.limit {
                self.skip_line()?;
                return Ok(Some(Line::Oversized));
            }
            self.fill()?;
        }
    }

    fn line(&self, from: usize, to: usize) -> Line<'_> {
        let to = if self.buffer[from..to].ends_with(b"\r") { to - 1 } else { to };
        if to - from > self.limit { Line::Oversized } else { Line::Whole(&self.buffer[from..to]) }
    }

    /// Reads more behind what is pending.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = read(&mut self.input, &mut self.buffer[self.end..])?;
        self.end += read;
        self.ended = read == 0;
        Ok(())
    }

    /// Drops everything up to and including the next newline.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            self.start = 0;
            self.end = read(&mut self.input, &mut self.buffer)?;
            if self.end == 0 {
                self.ended = true;
                return Ok(());
            }
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[..self.end]) {
                self.start = at + 1;
                return Ok(());
            }
        }
    }
}

fn read(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives the input in pieces of the sizes asked for.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(buffer.len()).min(self.0.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn all(input: &[u8], piece: usize, limit: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(Pieces(input, piece), limit);
        let mut out = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            out.push(match line {
                Line::Whole(line) => Some(line.to_vec()),
                Line::Oversized => None,
            });
        }
        out
    }

    proptest! {
        #[test]
        fn lines_are_those_of_a_plain_split(
            text in "[ab\n]{0,200}", piece in 1..50usize, limit in 1..20usize
        ) {
            let mut expected: Vec<_> =
                text.split('\n').map(|l| (l.len() <= limit).then(|| l.as_bytes().to_vec())).collect();
            if expected.last() == Some(&Some(vec![])) {
                expected.pop();
            }
            prop_assert_eq!(all(text.as_bytes(), piece, limit), expected);
        }
    }

    #[test]
    fn an_endless_line_is_skipped_in_bounded_memory() {
        let long = io::repeat(b'x').take(50 << 20).chain(&b"\nshort\r\n"[..]);
        let mut lines = Lines::new(long, 1 << 20);
        assert_eq!(lines.next().unwrap(), Some(Line::Oversized));
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"short")));
        assert_eq!(lines.next().unwrap(), None);
        assert!(lines.buffer.len() <= 4 << 20, "{}", lines.buffer.len());
    }
}
