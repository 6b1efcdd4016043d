//! Inputs on disk: one file each, named by its hash.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Target;

/// The folder of a target's inputs in the tree.
pub fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name)
}

/// The file name of an input.
pub fn name(input: &[u8]) -> String {
    hex::encode(&Sha256::digest(input)[..8])
}

/// The seeds, and the inputs in the tree, in an order that does not change.
///
/// # Errors
/// A folder that is there and cannot be read.
pub fn read(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut inputs = (target.seeds)();
    let folder = folder(target);
    if folder.exists() {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        for file in files {
            inputs.push(std::fs::read(file)?);
        }
    }
    Ok(inputs)
}

/// Writes the seeds to `FOLDER/seeds` and the dictionary to `FOLDER/dictionary`.
///
/// # Errors
/// A file that cannot be written.
pub fn prepare(target: &Target, folder: &Path) -> io::Result<()> {
    let seeds = folder.join("seeds");
    std::fs::create_dir_all(&seeds)?;
    for seed in (target.seeds)() {
        std::fs::write(seeds.join(name(&seed)), seed)?;
    }
    std::fs::write(folder.join("dictionary"), dictionary(target.dictionary))
}

/// Bytes of all inputs of one target in the tree.
pub const MOST_BYTES: usize = 16_000;

/// Inputs of one target in the tree; the others stay in the cache of `cargo xtask fuzz`.
pub const MOST_INPUTS: usize = 60;

/// Replaces the target's inputs in the tree by some of those in `from`: of all sizes, at most
/// [`MOST_INPUTS`] and [`MOST_BYTES`].
///
/// # Errors
/// A file that cannot be read, written or removed.
pub fn take(target: &Target, from: &Path) -> io::Result<()> {
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(from)? {
        inputs.push(std::fs::read(entry?.path())?);
    }
    inputs.sort_by_key(Vec::len);
    let seeds = (target.seeds)();
    let folder = folder(target);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let (found, mut bytes, mut kept) = (inputs.len(), 0, 0);
    for input in inputs
        .into_iter()
        .step_by(found.div_ceil(MOST_INPUTS).max(1))
    {
        if !input.is_empty() && !seeds.contains(&input) && bytes + input.len() <= MOST_BYTES {
            bytes += input.len();
            std::fs::write(folder.join(name(&input)), input)?;
            kept += 1;
        }
    }
    println!("    {}: {kept} of {found} inputs kept", target.name);
    Ok(())
}

/// libFuzzer's format: one quoted entry a line, anything unusual as `\xNN`.
fn dictionary(entries: &[&str]) -> String {
    let quoted = |entry: &&str| {
        let escaped: String = entry
            .bytes()
            .map(|byte| match byte {
                b'"' | b'\\' => format!("\\{}", char::from(byte)),
                b' '..=b'~' => char::from(byte).to_string(),
                _ => format!("\\x{byte:02X}"),
            })
            .collect();
        format!("\"{escaped}\"\n")
    };
    // It takes no empty file.
    let words: String = entries.iter().map(quoted).collect();
    format!("# words\n{words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionary_entries_are_quoted_as_libfuzzer_reads_them() {
        assert_eq!(dictionary(&[]), "# words\n");
        assert_eq!(
            dictionary(&["a\"b\\", "\n"]),
            "# words\n\"a\\\"b\\\\\"\n\"\\x0A\"\n"
        );
    }
}
