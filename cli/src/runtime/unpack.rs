//! Takes the one library out of a wheel, which is a zip file.

use std::fs::File;
use std::path::Path;

use zip::ZipArchive;

use super::release::{LARGEST_LIBRARY, Release};
use super::{RuntimeError, write_bounded};

/// Writes the library of `wheel` to `to`.
pub fn library(wheel: &Path, release: &Release, to: &Path) -> Result<(), RuntimeError> {
    let not_the_wheel = |reason: String| RuntimeError::NotTheWheel {
        path: wheel.to_owned(),
        reason,
    };
    let file = File::open(wheel).map_err(RuntimeError::io(wheel))?;
    let mut archive = ZipArchive::new(file).map_err(|error| not_the_wheel(error.to_string()))?;
    let mut member = archive
        .by_name(release.member)
        .map_err(|error| not_the_wheel(format!("{}: {error}", release.member)))?;
    if member.size() > LARGEST_LIBRARY {
        return Err(not_the_wheel(format!(
            "{} is larger than any build of it",
            release.member
        )));
    }
    write_bounded(&mut member, to)
}
