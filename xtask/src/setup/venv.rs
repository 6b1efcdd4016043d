//! Python environments, in the cache by what is in them.
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::packages;
use crate::{
    error::{Error, Result},
    process, workspace,
};

const LIMIT: Duration = Duration::from_secs(900);

/// The `python` of an environment with what the requirements file (relative to the root) names.
pub fn python(requirements: &str) -> Result<PathBuf> {
    let file = workspace::root().join(requirements);
    let text = workspace::read(&file)?;
    packages::need("python3", "python3")?;
    let version = process::output(Command::new("python3").arg("--version"), LIMIT)?;
    let folder = workspace::cache()?.join("venv").join(key(&text, &version));
    let python = folder.join("bin/python");
    // Written last: an environment without it was left half made.
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(python);
    }
    println!(
        "    making a Python environment for {requirements} in {}",
        folder.display()
    );
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
    }
    make(&folder)?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ])
    .arg(&file);
    process::stream(&mut pip, LIMIT)?;
    fs::write(&complete, text).map_err(Error::file("write", &complete))?;
    Ok(python)
}

fn make(folder: &Path) -> Result {
    let venv = || {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(folder);
        process::output(&mut venv, LIMIT).map(drop)
    };
    let Err(error) = venv() else { return Ok(()) };
    // Debian keeps a part that venv needs in a package of its own.
    if !error.to_string().contains("ensurepip") {
        return Err(error);
    }
    packages::install("Python's venv module", "python3-venv")?;
    venv()
}

fn key(requirements: &str, version: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (requirements, version).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_requirement_or_python_is_another_environment() {
        let one = key("numpy==1\n", "Python 3.11.7");
        assert_ne!(one, key("numpy==2\n", "Python 3.11.7"));
        assert_ne!(one, key("numpy==1\n", "Python 3.12.0"));
        assert_eq!(one, key("numpy==1\n", "Python 3.11.7"));
    }
}
