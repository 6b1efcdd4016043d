//! Digests of files, and their comparison with the declared ones.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::LoadError;

/// Read at once.
const CHUNK: usize = 1 << 20;

/// `sha256:` and the file's hash in hexadecimal.
pub(super) fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("sha256:{}", hex::encode(hash.finalize())));
        }
        hash.update(&buffer[..read]);
    }
}

/// Compares what was found with what was declared.
///
/// # Errors
/// Permanent; names both.
pub(super) fn compare(shown: &str, declared: Option<&str>, found: &str) -> Result<(), LoadError> {
    match declared {
        Some(declared) if !declared.eq_ignore_ascii_case(found) => {
            Err(LoadError::permanent(format!(
                "digest mismatch: {shown} hashes to {found}, model.source.digest is {declared}. Put the former into \
             model.source.digest if it is the file you mean, or restore the file"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_hashes_as_sha256sum_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_file(file.path()).unwrap(), expected);
        assert_eq!(compare("x", Some(expected), expected), Ok(()));
        assert_eq!(compare("x", None, expected), Ok(()));
    }

    #[test]
    fn a_mismatch_names_both_digests_and_the_cure() {
        let error = compare("file:///m.onnx", Some("sha256:aa"), "sha256:bb").unwrap_err();
        assert!(error.permanent);
        for part in [
            "file:///m.onnx",
            "sha256:aa",
            "sha256:bb",
            "model.source.digest",
        ] {
            assert!(error.message.contains(part), "{error}");
        }
    }
}
