//! Manifests on disk: which files, how large, in what encoding.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::problem::Problem;

/// Largest manifest that is read. The API server takes requests of about 3 MiB.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Most manifests of a folder that are read.
pub const MAX_FILES: usize = 1000;

/// The name under which standard input is read, as kubectl has it.
pub const STANDARD_INPUT: &str = "-";

const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// The manifests at `path`: the file itself, or those of the folder in order of name. Folders
/// below it are not entered; kubectl does not either.
///
/// # Errors
/// The folder cannot be read, holds no manifest, or too many.
pub fn manifests_at(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let name = path.display().to_string();
    if path == Path::new(STANDARD_INPUT) {
        return Ok(vec![path.to_owned()]);
    }
    let about = fs::metadata(path).map_err(|error| unreadable(&name, &error))?;
    if !about.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(&name, &error))? {
        let file = entry.map_err(|error| unreadable(&name, &error))?.path();
        let known = file
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| EXTENSIONS.contains(&extension));
        if known && file.is_file() {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(Problem::of_file(
                name,
                format!("the folder holds more than {MAX_FILES} manifests"),
                "name the files one by one, or the right folder",
            ));
        }
    }
    if files.is_empty() {
        return Err(Problem::of_file(
            name,
            "the folder holds no manifest",
            "put a file that ends in .yaml, .yml or .json there; folders below it are not read",
        ));
    }
    files.sort();
    Ok(files)
}

/// The text of one manifest.
pub(super) fn text_of(file: &Path) -> Result<String, Problem> {
    let name = file.display().to_string();
    let mut bytes = Vec::new();
    let read = if file == Path::new(STANDARD_INPUT) {
        std::io::stdin()
            .lock()
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| unreadable(&name, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Problem::of_file(
            name,
            format!("larger than {MAX_FILE_BYTES} bytes, more than an API server takes"),
            "is this a manifest? Models belong in a ConfigMap (up to 1 MiB), a volume or a web server",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Problem::of_file(
            format!("{name}:{line}"),
            "not UTF-8 text",
            "save the file as UTF-8",
        )
    })?;
    // JSON allows tabs where YAML does not; its texts never hold one.
    Ok(
        if file
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            text.replace('\t', " ")
        } else {
            text
        },
    )
}

fn unreadable(name: &str, error: &std::io::Error) -> Problem {
    let help = match error.kind() {
        std::io::ErrorKind::NotFound => "check the path",
        std::io::ErrorKind::PermissionDenied => "allow this user to read it",
        _ => "check the file and its disk",
    };
    Problem::of_file(name, format!("cannot be read: {error}"), help)
}
