//! Writes tar archives (ustar) whose bytes depend on their content alone: no times, no owners.
use std::io::{self, Read, Write};

const BLOCK: usize = 512;
/// Longer paths need extensions that nothing here asks for.
const LONGEST_PATH: usize = 100;

enum Kind<'a> {
    /// With its size in bytes.
    File(u64),
    /// With what it points to.
    Link(&'a str),
    Directory,
}

/// An archive being written.
pub(crate) struct Archive<W> {
    to: W,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to }
    }

    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.header(&format!("{path}/"), 0o755, &Kind::Directory)
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.header(path, 0o777, &Kind::Link(target))
    }

    /// A file with exactly `size` bytes of `content`.
    pub(crate) fn file(
        &mut self,
        path: &str,
        mode: u32,
        size: u64,
        content: impl Read,
    ) -> io::Result<()> {
        self.header(path, mode, &Kind::File(size))?;
        let written = io::copy(&mut content.take(size), &mut self.to)?;
        if written != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{path} became shorter while it was read"),
            ));
        }
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if over > 0 {
            self.to.write_all(&[0; BLOCK][over..])?;
        }
        Ok(())
    }

    /// Ends the archive and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn header(&mut self, path: &str, mode: u32, kind: &Kind) -> io::Result<()> {
        let (letter, size, target) = match *kind {
            Kind::File(size) => (b'0', size, ""),
            Kind::Link(target) => (b'2', 0, target),
            Kind::Directory => (b'5', 0, ""),
        };
        if path.len() > LONGEST_PATH || target.len() > LONGEST_PATH {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{path}: longer than {LONGEST_PATH} characters"),
            ));
        }
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, path.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{size:011o}").as_bytes());
        put(136, b"00000000000");
        // The checksum counts its own field as spaces.
        put(148, b"        ");
        put(156, &[letter]);
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.to.write_all(&block)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        archive.directory("usr").unwrap();
        archive
            .file("usr/seven", 0o755, 7, &b"content"[..])
            .unwrap();
        archive.link("usr/link", "seven").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn tar_reads_what_is_written() {
        let mut tar = Command::new("tar")
            .args(["-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&sample()).unwrap();
        let output = tar.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(
            text.contains("drwxr-xr-x 0/0") && text.contains("usr/link -> seven"),
            "{text}"
        );
        assert!(
            text.lines().any(|line| line.starts_with("-rwxr-xr-x 0/0")
                && line.contains(" 7 ")
                && line.ends_with("usr/seven")),
            "{text}"
        );
    }

    #[test]
    fn the_same_content_makes_the_same_bytes() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let mut archive = Archive::new(Vec::new());
        assert!(archive.file("short", 0o644, 9, &b"content"[..]).is_err());
    }
}
